"""frft: keep the reward model where the policy writes.

This is the public surface: whatever README, the docs and the signatures of these functions and classes name is here,
typed, and imported when it is first used, so that `import frft` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    # The one table of the surface. Type checkers read it as imports; at run time `_defining_files` reads it as text.
    # To add a name, import it here from the file that defines it. (Rooms do not do: `frft.selection` would do for a
    # type checker, but a module and a function of one name could not be told apart.)
    from frft.advice.advice import Advice as Advice
    from frft.advice.advice import advise as advise
    from frft.advice.evidence import Evidence as Evidence
    from frft.advice.evidence import MeasuredEvidence as MeasuredEvidence
    from frft.advice.evidence import gather_evidence as gather_evidence
    from frft.advice.predictor import Predictor as Predictor
    from frft.config.load import dump_config as dump_config
    from frft.config.load import load_config as load_config
    from frft.config.model import RunConfig as RunConfig
    from frft.config.sections.data import DataConfig as DataConfig
    from frft.config.sections.evaluation import EvaluationConfig as EvaluationConfig
    from frft.config.sections.evaluation import JudgeOptions as JudgeOptions
    from frft.config.sections.labels import LabelsConfig as LabelsConfig
    from frft.config.sections.models import EmbedderConfig as EmbedderConfig
    from frft.config.sections.models import LoraConfig as LoraConfig
    from frft.config.sections.models import PolicyConfig as PolicyConfig
    from frft.config.sections.models import RewardModelConfig as RewardModelConfig
    from frft.config.sections.models import ScratchConfig as ScratchConfig
    from frft.config.sections.models import TrainConfig as TrainConfig
    from frft.config.sections.monitor import MonitorConfig as MonitorConfig
    from frft.config.sections.refresh import GateConfig as GateConfig
    from frft.config.sections.refresh import RefreshConfig as RefreshConfig
    from frft.config.sections.refresh import SamplingConfig as SamplingConfig
    from frft.config.sections.refresh import SelectionConfig as SelectionConfig
    from frft.config.sections.training import GroupConfig as GroupConfig
    from frft.config.sections.training import PPOConfig as PPOConfig
    from frft.config.sections.world import WorldConfig as WorldConfig
    from frft.conversation import Message as Message
    from frft.conversation import parse_dialogue as parse_dialogue
    from frft.conversation import render_dialogue as render_dialogue
    from frft.diagnosis.diagnosis import Diagnosis as Diagnosis
    from frft.diagnosis.diagnosis import DiagnosisFigures as DiagnosisFigures
    from frft.diagnosis.diagnosis import diagnose as diagnose
    from frft.diagnosis.links import Link as Link
    from frft.diagnosis.links import Movement as Movement
    from frft.diagnosis.overoptimisation import GaoFit as GaoFit
    from frft.diagnosis.parts import JudgeScores as JudgeScores
    from frft.diagnosis.parts import subject_of_parts as subject_of_parts
    from frft.diagnosis.refresh import refresh_alarms as refresh_alarms
    from frft.diagnosis.subject import Course as Course
    from frft.diagnosis.subject import RewardSpread as RewardSpread
    from frft.diagnosis.subject import Scored as Scored
    from frft.diagnosis.subject import Selected as Selected
    from frft.diagnosis.subject import Subject as Subject
    from frft.diagnosis.symptoms import Symptom as Symptom
    from frft.diagnosis.verdict import RewardVerdict as RewardVerdict
    from frft.errors import ArtifactError as ArtifactError
    from frft.errors import ChatTemplateError as ChatTemplateError
    from frft.errors import ConfigError as ConfigError
    from frft.errors import DataError as DataError
    from frft.errors import FrftError as FrftError
    from frft.errors import LabelsPendingError as LabelsPendingError
    from frft.errors import ModelError as ModelError
    from frft.errors import NoProbabilitiesError as NoProbabilitiesError
    from frft.errors import OutputError as OutputError
    from frft.errors import RewardError as RewardError
    from frft.errors import SelectionError as SelectionError
    from frft.errors import SettingsError as SettingsError
    from frft.errors import TooManyRejectedError as TooManyRejectedError
    from frft.errors import TrainingError as TrainingError
    from frft.errors import UnknownLengthError as UnknownLengthError
    from frft.errors import UnreadableError as UnreadableError
    from frft.errors import UsageError as UsageError
    from frft.evaluation.annotations import StoredAnnotations as StoredAnnotations
    from frft.evaluation.annotations import Verdict as Verdict
    from frft.evaluation.chat import ChatJudge as ChatJudge
    from frft.evaluation.chat import ChatUsage as ChatUsage
    from frft.evaluation.judge import Judge as Judge
    from frft.evaluation.judge import ScoringJudge as ScoringJudge
    from frft.evaluation.judge_names import JudgeKind as JudgeKind
    from frft.evaluation.judge_names import JudgeRequest as JudgeRequest
    from frft.evaluation.judge_names import NamedJudge as NamedJudge
    from frft.evaluation.judge_names import named_judge as named_judge
    from frft.evaluation.matching import Matched as Matched
    from frft.evaluation.matching import match as match
    from frft.evaluation.ranking import Ranked as Ranked
    from frft.evaluation.ranking import rank as rank
    from frft.evaluation.scoring_judges import GoldJudge as GoldJudge
    from frft.evaluation.scoring_judges import RewardJudge as RewardJudge
    from frft.evaluation.task_scores import TaskDifference as TaskDifference
    from frft.evaluation.task_scores import TaskScore as TaskScore
    from frft.evaluation.task_scores import TaskScores as TaskScores
    from frft.evaluation.task_scores import compare_tasks as compare_tasks
    from frft.evaluation.tasks import run_tasks as run_tasks
    from frft.evaluation.winrate import Comparison as Comparison
    from frft.evaluation.winrate import WinRate as WinRate
    from frft.evaluation.winrate import compare as compare
    from frft.evaluation.winrate import win_rate as win_rate
    from frft.experiment.runner import run as run
    from frft.labels.asking import GivenLabel as GivenLabel
    from frft.labels.asking import LabelCost as LabelCost
    from frft.labels.asking import Labeller as Labeller
    from frft.labels.labellers import FunctionLabeller as FunctionLabeller
    from frft.labels.labellers import NamedLabeller as NamedLabeller
    from frft.labels.labellers import PreferenceFunction as PreferenceFunction
    from frft.labels.rows import Choice as Choice
    from frft.labels.rows import LabelQuestion as LabelQuestion
    from frft.labels.rows import Purpose as Purpose
    from frft.models.adapters import WithoutAdapters as WithoutAdapters
    from frft.models.encoding import TruncationCount as TruncationCount
    from frft.models.heads import HeadRequest as HeadRequest
    from frft.models.heads import RewardHead as RewardHead
    from frft.models.heads import ScoreHead as ScoreHead
    from frft.models.loading import Dtype as Dtype
    from frft.models.loading import load_causal_lm as load_causal_lm
    from frft.models.loading import load_tokenizer as load_tokenizer
    from frft.models.loading import save_model as save_model
    from frft.models.scratch import build_causal_lm as build_causal_lm
    from frft.models.scratch import train_tokenizer as train_tokenizer
    from frft.models.training import ReportTo as ReportTo
    from frft.policy.critic import Critic as Critic
    from frft.policy.critic import ValueHead as ValueHead
    from frft.policy.generation import Completions as Completions
    from frft.policy.generation import generate as generate
    from frft.policy.ppo.collect import Reward as Reward
    from frft.policy.ppo.rollout import Rollout as Rollout
    from frft.policy.ppo.trainer import PPOTrainer as PPOTrainer
    from frft.policy.sample_file import WrittenSamples as WrittenSamples
    from frft.policy.sample_file import write_samples as write_samples
    from frft.policy.sft import SFTReport as SFTReport
    from frft.policy.sft import fine_tune as fine_tune
    from frft.preferences.export import export_form as export_form
    from frft.preferences.export import export_rows as export_rows
    from frft.preferences.given import PairSource as PairSource
    from frft.preferences.pool import load_pool as load_pool
    from frft.preferences.rejects import UnusableRows as UnusableRows
    from frft.preferences.samples import Samples as Samples
    from frft.preferences.samples import load_prompts as load_prompts
    from frft.preferences.samples import load_samples as load_samples
    from frft.preferences.schema import FileReport as FileReport
    from frft.preferences.schema import LeftAside as LeftAside
    from frft.preferences.schema import Pool as Pool
    from frft.preferences.schema import ReadReport as ReadReport
    from frft.progress import Progress as Progress
    from frft.progress import Task as Task
    from frft.progress import for_terminal as for_terminal
    from frft.results.evaluation import EvaluationInfo as EvaluationInfo
    from frft.results.infos import SFTInfo as SFTInfo
    from frft.results.infos import StepMetrics as StepMetrics
    from frft.results.looks import LookInfo as LookInfo
    from frft.results.run import ArmFigures as ArmFigures
    from frft.results.run import RefreshFigures as RefreshFigures
    from frft.results.run import RunResults as RunResults
    from frft.results.run import StageFigures as StageFigures
    from frft.results.seeds import OverSeeds as OverSeeds
    from frft.results.seeds import SeedsResults as SeedsResults
    from frft.reward.alarm import Alarm as Alarm
    from frft.reward.aligned import AlignedReward as AlignedReward
    from frft.reward.ensemble import FrozenEnsembleReward as FrozenEnsembleReward
    from frft.reward.ensemble import RewardModelEnsemble as RewardModelEnsemble
    from frft.reward.evaluate import RewardEvaluation as RewardEvaluation
    from frft.reward.evaluate import evaluate_reward_model as evaluate_reward_model
    from frft.reward.gate import Alarms as Alarms
    from frft.reward.infos import GateInfo as GateInfo
    from frft.reward.infos import LabelsInfo as LabelsInfo
    from frft.reward.infos import RefreshedModelInfo as RefreshedModelInfo
    from frft.reward.infos import RewardModelInfo as RewardModelInfo
    from frft.reward.infos import SelectionInfo as SelectionInfo
    from frft.reward.messages import Conversation as Conversation
    from frft.reward.model import RewardModel as RewardModel
    from frft.reward.refresh import Refresh as Refresh
    from frft.reward.reward_file import Reads as Reads
    from frft.reward.samples import PolicySamples as PolicySamples
    from frft.reward.stages.labelling import Labelling as Labelling
    from frft.reward.train import TrainReport as TrainReport
    from frft.reward.train import TrainSummary as TrainSummary
    from frft.reward.train import train_reward_model as train_reward_model
    from frft.selection.embedder import Embedder as Embedder
    from frft.selection.filter import select as select
    from frft.selection.selection import Selection as Selection
    from frft.selection.vectors import VectorCache as VectorCache
    from frft.selection.weights import LogRatios as LogRatios
    from frft.statistics.accuracy import OrderAccuracy as OrderAccuracy
    from frft.statistics.estimates import Estimate as Estimate
    from frft.store.artifact import Artifact as Artifact
    from frft.store.artifact import ArtifactStore as ArtifactStore
    from frft.strategies.registry import get_strategy as get_strategy
    from frft.strategies.registry import strategy_names as strategy_names
    from frft.strategies.strategy import Candidates as Candidates
    from frft.strategies.strategy import PairEvidence as PairEvidence
    from frft.strategies.strategy import Rank as Rank
    from frft.strategies.strategy import Strategy as Strategy
    from frft.strategies.strategy import ThresholdRule as ThresholdRule
    from frft.strategies.strategy import best_first as best_first
    from frft.worlds.files import write_world as write_world
    from frft.worlds.world import World as World
else:
    # Hidden from type checkers, to which a module with `__getattr__` has every name there could be.
    from functools import cache
    from importlib import import_module
    from typing import Any

    @cache
    def _defining_files() -> dict[str, str]:
        """Of every public name, the module that defines it, as the block above says."""
        import ast

        block = next(
            statement for statement in ast.parse(__loader__.get_source(__name__)).body if isinstance(statement, ast.If)
        )
        return {alias.name: str(line.module) for line in block.body for alias in line.names}

    def __getattr__(name: str) -> Any:
        if name == "__all__":
            return ["__version__", *_defining_files()]
        if name.startswith("_") or name not in _defining_files():
            raise AttributeError(f"module 'frft' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_defining_files()[name]), name)
        return value

    def __dir__() -> list[str]:
        return sorted(["__version__", *_defining_files()])
