"""results.json: every figure of a finished run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ValidationError

from frft.config import RunConfig
from frft.config.sections import WorldConfig
from frft.errors import UsageError
from frft.models import TruncationCount
from frft.results.evaluation import EvaluationInfo, OwnTextAccuracy
from frft.results.infos import SFTInfo, StepMetrics
from frft.results.looks import LookInfo
from frft.results.upgrade import upgraded_run
from frft.reward import AuditInfo, GateInfo, LabelsInfo, RefreshedModelInfo, RewardModelInfo, SelectionInfo
from frft.store import OMITTED, RESULTS_FORMAT, OpenValue, StoredValue, fault, format_of, read_sealed

MADE_ANEW = "Run the same command again: it is made anew from the finished stages, which are kept."
"""What to do about what a run shows beside its stages, and is damaged."""


@dataclass(frozen=True, kw_only=True)
class EvaluationPromptCounts(StoredValue):
    """The prompts on which policies are compared.

    Attributes:
        given: number of prompts given, or of held-out pairs, whose prompts are taken.
        distinct: number of different prompts among them.
        used: number of those that are used (evaluation.max_prompts).
        trained_on: number of used prompts that are also prompts of training pairs.
    """

    given: int
    distinct: int
    used: int
    trained_on: int


class DataFigures(OpenValue):
    """The preference pairs of a run. Of pairs that were read, the counts of `frft data --json` stand beside these.

    Attributes:
        read: number of rows read; 0 in a world.
        world: settings of the world; only in a world.
        made: number of pairs generated; only in a world.
        splits: number of rows by purpose: judge, evaluation, pool, sft, gate (where there is one) and prompts.
        evaluation_prompts: the prompts on which policies are compared.
    """

    read: int
    world: Annotated[dict[str, Any] | None, OMITTED] = None
    made: Annotated[int | None, OMITTED] = None
    splits: dict[str, int]
    evaluation_prompts: EvaluationPromptCounts


@dataclass(frozen=True)
class GoldJudgeFigures(StoredValue):
    """The gold reward of the world as judge.

    Attributes:
        kind: gold: the gold reward of the world judges.
    """

    kind: Literal["gold"] = "gold"


@dataclass(frozen=True, kw_only=True)
class TrainedJudgeFigures(RewardModelInfo):
    """A judge that the run trained: a reward model on pairs that nothing else was trained on.

    Attributes:
        kind: reward_model: a reward model of the run judges.
    """

    kind: Literal["reward_model"] = "reward_model"


@dataclass(frozen=True)
class JudgeReplies(StoredValue):
    """Counts and cost of all replies of a judge to this run, including those to starts that were stopped.

    Attributes:
        judged: number of replies with a verdict.
        unparsable: number of replies without a readable verdict.
        prompt_tokens, completion_tokens: number of tokens, as counted by the endpoint.
        uncounted: number of replies for which the endpoint gave no token counts.
        cost: cost at `evaluation.price`; None: no price is set.
    """

    judged: int
    unparsable: int
    prompt_tokens: int
    completion_tokens: int
    uncounted: int
    cost: float | None


@dataclass(frozen=True)
class NamedJudgeFigures(StoredValue):
    """A judge that `evaluation.judge` names.

    Attributes:
        name: the value of `evaluation.judge`.
        scores: whether it gives scores; otherwise it only compares.
        replies: counts of the replies of a judge that is asked over the network; None: it is another kind of judge, or
            this run asked nothing.
        kind: named: a judge that the configuration names (evaluation.judge).
    """

    name: str
    scores: bool
    replies: JudgeReplies | None = None
    kind: Literal["named"] = "named"


JudgeFigures = GoldJudgeFigures | TrainedJudgeFigures | NamedJudgeFigures


@dataclass(frozen=True)
class ModelChange(StoredValue):
    """Accuracy of the reward models before and after a refresh on the policy's completions at that time, by gold.

    Attributes:
        before: accuracy of the model before the refresh.
        after: accuracy of the refreshed model.
    """

    before: OwnTextAccuracy
    after: OwnTextAccuracy


@dataclass(frozen=True, kw_only=True)
class RefreshFigures(StoredValue):
    """One refresh of an arm's reward model.

    Attributes:
        after_step: number of steps of the policy completed before it.
        accepted: whether the refreshed model replaced the one before; otherwise a gate refused it.
        selection: figures of the selection.
        labels: fresh labels that it asked for; left out where it asked for none.
        audit: the audit of the selected pairs; left out where there was none.
        reward_model: figures of the refreshed model.
        gate: the gate's test; left out where there is no gate.
        on_policy: accuracy of the models before and after on the policy's own completions, by gold; only in a world.
    """

    after_step: int
    accepted: bool
    selection: SelectionInfo
    labels: Annotated[LabelsInfo | None, OMITTED] = None
    audit: Annotated[AuditInfo | None, OMITTED] = None
    reward_model: RefreshedModelInfo
    gate: Annotated[GateInfo | None, OMITTED] = None
    on_policy: Annotated[ModelChange | None, OMITTED] = None


@dataclass(frozen=True, kw_only=True)
class ArmFigures(StoredValue):
    """One arm.

    Attributes:
        when: what decides on its refreshes: scheduled, drift or alarms; None: alpha is 0.
        evaluation: evaluation of its final policy.
        evaluation_stage: folder of that evaluation in stages/.
        refreshes: the refreshes that made a reward model, in order.
        ppo: one row for each step of training the policy.
        refreshed_after: steps after which it was refreshed, including refreshes without data (strategy none).
        references: completions of the SFT model that its reward compared each of its own with, by PAR (reward_shaping);
            0: rewards were not shaped. With more, the scores in `ppo` are PAR's, from 0 to 1.
        restarted_after: steps after which its policy was trained from SFT again (restart_policy).
        stopped_after: the step at which a look ended its training; None: it had all its steps.
        looks: the diagnoses during its training (monitor.every), in order.
        stages: folders of its training in stages/, segment by segment.
    """

    when: str | None
    evaluation: EvaluationInfo
    evaluation_stage: str
    refreshes: list[RefreshFigures]
    ppo: list[StepMetrics]
    refreshed_after: list[int]
    stopped_after: int | None
    looks: list[LookInfo]
    stages: list[str]
    restarted_after: list[int] = field(default_factory=list)
    references: int = 0

    @property
    def accepted(self) -> list[RefreshFigures]:
        """The refreshes whose reward model took the place of the one before."""
        return [refresh for refresh in self.refreshes if refresh.accepted]

    @property
    def labels(self) -> list[LabelsInfo]:
        """The fresh labels of its refreshes, those that a gate refused included."""
        return [refresh.labels for refresh in self.refreshes if refresh.labels is not None]

    @property
    def asked(self) -> int:
        """Number of labels that its refreshes asked for, whatever they are for."""
        return sum(labels.asked for labels in self.labels) + self.asked_to_check

    @property
    def asked_to_check(self) -> int:
        """Number of labels among `asked` by which audits and gates decided."""
        audits = (refresh.audit.asked for refresh in self.refreshes if refresh.audit is not None)
        gates = (refresh.gate.labels for refresh in self.refreshes if refresh.gate is not None)
        return sum(audits) + sum(labels.asked for labels in gates if labels is not None)


@dataclass(frozen=True, kw_only=True)
class StageFigures(StoredValue):
    """One stage that a run asked for.

    Attributes:
        stage: name of its folder in stages/.
        kind: kind of the stage: sft, reward, ppo, ...
        seconds: wall-clock seconds that it took to build; if it was resumed, those since the last start.
        reused: whether it was finished, here or in the store, before this start.
        from_store: whether it came from the shared store.
        peak_memory_bytes: peak memory of its process.
        predicted_peak_memory_bytes: peak memory that the plan predicted.
        truncated: counts of texts that were cut, by the key of its figures that holds them.
    """

    stage: str
    kind: str
    seconds: float
    reused: bool
    from_store: bool
    peak_memory_bytes: int
    predicted_peak_memory_bytes: int
    truncated: dict[str, TruncationCount]


@dataclass(frozen=True)
class Workers(StoredValue):
    """The number of worker processes, and how it was chosen.

    Attributes:
        count: number of processes; 1: there are no workers beside the first process.
        reason: why this number, in words.
        speedups: measured speed-ups by "processes x threads": matrix products a second, relative to one process alone
            ("1 x 1"); empty where nothing was measured.
    """

    count: int
    reason: str
    speedups: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class MachineFigures(StoredValue):
    """The machine of a run.

    Attributes:
        python: version of Python.
        platform: operating system.
        cpus: processor cores.
        threads: threads of torch; left out on a GPU.
        gpu: name of the GPU; left out without one.
        gpu_peak_memory_bytes: peak memory of the first process on the GPU; left out without one.
    """

    python: str
    platform: str
    cpus: int | None
    threads: Annotated[int | None, OMITTED] = None
    gpu: Annotated[str | None, OMITTED] = None
    gpu_peak_memory_bytes: Annotated[int | None, OMITTED] = None


@dataclass(frozen=True, kw_only=True)
class RunResults(StoredValue):
    """All results of a run: the content of results.json, which `frft.run` returns.

    Attributes:
        format: format of the file; without a number it is 0.
        frft: version of frft that wrote it.
        config: the whole configuration, as config.yaml has it.
        data: the preference pairs.
        sft: the supervised fine-tuning.
        base_reward: the reward model that all arms start with.
        judge: the judge of the win rates.
        start: evaluation of the SFT model.
        start_stage: folder of that evaluation in stages/.
        arms: the arms by name, vanilla first.
        stages: every stage that the run asked for, in order.
        seconds: seconds of all stages, whenever they ran.
        seconds_of_this_start: seconds of the start that finished the run.
        peak_memory_bytes: largest peak memory of a single process.
        workers: the number of worker processes, and how it was chosen.
        versions: versions of the libraries, by name.
        machine: the machine of the last start.
    """

    format: int = RESULTS_FORMAT
    frft: str
    config: dict[str, Any]
    data: DataFigures
    sft: SFTInfo
    base_reward: RewardModelInfo
    judge: JudgeFigures
    start: EvaluationInfo
    start_stage: str
    arms: dict[str, ArmFigures]
    stages: list[StageFigures]
    seconds: float
    seconds_of_this_start: float
    peak_memory_bytes: int
    workers: Workers
    versions: dict[str, str]
    machine: MachineFigures

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a results file, of this format or of an older one, which `format` tells.

        Raises:
            UsageError: it is of a newer version, or of one too old to be read.
            ArtifactError: a field is missing, unknown or of another type, or the file was changed after it was written.
        """
        return cls.upgrade(read_sealed(path, MADE_ANEW), path)

    @classmethod
    def upgrade(cls, found: Mapping[str, Any], where: str | Path) -> Self:
        """The typed results from the content of a results file; arguments and errors as for `StoredValue.of`."""
        return cls.of(found if format_of(found, where) else upgraded_run(found, where), where)

    @property
    def in_a_world(self) -> bool:
        """Whether the run was in a world, so that the gold reward is known, whichever judge was used."""
        return isinstance(self.judge, GoldJudgeFigures) or self.data.world is not None

    @property
    def settings(self) -> RunConfig:
        """The configuration, typed.

        Raises:
            UsageError: it is of another version of frft.
        """
        return _valid(RunConfig, self.config, "the run is of another version of frft")

    @property
    def total_steps(self) -> int:
        """Number of steps of an arm's training (`ppo.total_steps`)."""
        steps: int = self.config["ppo"]["total_steps"]
        return steps

    @property
    def trusts_remote_code(self) -> bool:
        """Whether Python code in a model's repository may be executed."""
        return bool(self.config["policy"]["trust_remote_code"])

    @property
    def world(self) -> WorldConfig | None:
        """The settings of the world; None: the run read preference pairs.

        Raises:
            UsageError: it is of another version of frft.
        """
        dials = self.config["data"].get("world")
        return None if dials is None else _valid(WorldConfig, dials, "the world is of another version of frft")


_Section = TypeVar("_Section", bound=BaseModel)


def _valid(kind: type[_Section], values: Any, otherwise: str) -> _Section:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"{otherwise} ({fault(error)})") from None
