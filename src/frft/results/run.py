"""results.json: every figure of a finished run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
from frft.reward import GateInfo, RefreshedModelInfo, RewardModelInfo, SelectionInfo
from frft.store import OMITTED, RESULTS_FORMAT, OpenValue, StoredValue, fault, format_of, read_json


@dataclass(frozen=True, kw_only=True)
class EvaluationPromptCounts(StoredValue):
    """The prompts on which policies are compared.

    Attributes:
        given: prompts that were given, or those of the held-out pairs.
        distinct: different ones among them.
        used: of these, how many are used (evaluation.max_prompts).
        trained_on: of the used ones, how many the policy or a reward model was trained on, too.
    """

    given: int
    distinct: int
    used: int
    trained_on: int


class DataFigures(OpenValue):
    """The rows of a run. Of preference data, what their reading said stands beside (see `frft data --json`).

    Attributes:
        read: rows read; 0 in a world.
        world: the dials of the world; only in a world.
        made: pairs made; only in a world.
        splits: rows by purpose: judge, evaluation, pool, sft, gate (where there is one) and prompts.
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
    """A judge that the run trained: a reward model, on pairs that nothing else saw.

    Attributes:
        kind: reward_model: a reward model of the run judges.
    """

    kind: Literal["reward_model"] = "reward_model"


@dataclass(frozen=True)
class JudgeReplies(StoredValue):
    """What all replies of a judge to this run took, those of starts that were stopped included.

    Attributes:
        judged: replies with a verdict.
        unparsable: replies without a readable one.
        prompt_tokens, completion_tokens: as the endpoint counts them.
        uncounted: replies of an endpoint that does not count.
        cost: at `evaluation.price`; None: no price is set.
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
        name: as it stands there.
        scores: whether it gives scores; a judge that only compares gives none.
        replies: of a judge that is asked over the network; None: this run asked nothing, or it is another judge.
        kind: named: a judge that the configuration names (evaluation.judge).
    """

    name: str
    scores: bool
    replies: JudgeReplies | None = None
    kind: Literal["named"] = "named"


JudgeFigures = GoldJudgeFigures | TrainedJudgeFigures | NamedJudgeFigures


@dataclass(frozen=True)
class ModelChange(StoredValue):
    """How the reward models before and after a refresh order what the policy wrote then.

    Attributes:
        before: the model before.
        after: the model after.
    """

    before: OwnTextAccuracy
    after: OwnTextAccuracy


@dataclass(frozen=True, kw_only=True)
class RefreshFigures(StoredValue):
    """One refresh of an arm's reward model.

    Attributes:
        after_step: steps of the policy completed before it.
        accepted: whether the refreshed model took the place of the one before.
        selection: what was selected.
        reward_model: the refreshed model.
        gate: what the gate said; left out where there is none.
        on_policy: how models before and after order the policy's own texts, by gold; only in a world.
    """

    after_step: int
    accepted: bool
    selection: SelectionInfo
    reward_model: RefreshedModelInfo
    gate: Annotated[GateInfo | None, OMITTED] = None
    on_policy: Annotated[ModelChange | None, OMITTED] = None


@dataclass(frozen=True, kw_only=True)
class ArmFigures(StoredValue):
    """One arm.

    Attributes:
        when: what decides on its refreshes: scheduled, drift or alarms; None: it is never refreshed.
        evaluation: its last policy on the evaluation prompts.
        evaluation_stage: folder of that evaluation in stages/.
        refreshes: the refreshes that made a reward model, in order.
        ppo: one row for each step of training the policy.
        refreshed_after: steps after which it was refreshed, those without data included.
        stopped_after: the step at which a look ended its training; None: it had all its steps.
        looks: what was seen of it while it was trained (monitor.every).
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

    @property
    def accepted(self) -> list[RefreshFigures]:
        """The refreshes whose reward model took the place of the one before."""
        return [refresh for refresh in self.refreshes if refresh.accepted]


@dataclass(frozen=True, kw_only=True)
class StageFigures(StoredValue):
    """One stage that a run asked for.

    Attributes:
        stage: its folder in stages/.
        kind: what was done: sft, reward, ppo, ...
        seconds: wall-clock seconds that it took when it ran; of one that was resumed, those of its last part.
        reused: whether it was there, or in the store, before this start.
        from_store: whether it came from the store that runs share.
        peak_memory_bytes: the most memory that its process held.
        predicted_peak_memory_bytes: what was predicted before the run.
        truncated: texts that were cut, by where in its figures they are counted.
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
    """How many processes work on the arms, and how that was found.

    Attributes:
        count: processes; 1: the first process does it all.
        reason: why so many, in words.
        speedups: what was measured: times the matrix products a second of one process as it would run alone ("1 x 1":
            processes x threads).
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
        gpu_peak_memory_bytes: the most memory that the first process held on it; left out without one.
    """

    python: str
    platform: str
    cpus: int | None
    threads: Annotated[int | None, OMITTED] = None
    gpu: Annotated[str | None, OMITTED] = None
    gpu_peak_memory_bytes: Annotated[int | None, OMITTED] = None


@dataclass(frozen=True, kw_only=True)
class RunResults(StoredValue):
    """Everything that a run found: results.json, and what `frft.run` returns.

    Attributes:
        format: format of the file; without a number it is 0.
        frft: version of frft that wrote it.
        config: the whole configuration, as config.yaml has it.
        data: the rows.
        sft: the supervised fine-tuning.
        base_reward: the reward model that all arms start with.
        judge: who judges.
        start: the SFT model on the evaluation prompts.
        start_stage: folder of that evaluation in stages/.
        arms: the arms by name, vanilla first.
        stages: every stage that the run asked for, in order.
        seconds: seconds of all stages, whenever they ran.
        seconds_of_this_start: seconds of the start that finished the run.
        peak_memory_bytes: the most memory that a single process held.
        workers: processes that worked on the arms.
        versions: versions of the libraries, by name.
        machine: where the last start ran.
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
            ArtifactError: it has another form.
        """
        return cls.upgrade(read_json(path), path)

    @classmethod
    def upgrade(cls, found: Mapping[str, Any], where: str | Path) -> Self:
        """The same of what was read."""
        return cls.of(found if format_of(found, where) else upgraded_run(found, where), where)

    @property
    def in_a_world(self) -> bool:
        """Whether the run was in a world, whose gold reward is known, whoever judged."""
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
        """Steps of the policy that an arm has."""
        steps: int = self.config["ppo"]["total_steps"]
        return steps

    @property
    def trusts_remote_code(self) -> bool:
        """Whether code that comes with models may run."""
        return bool(self.config["policy"]["trust_remote_code"])

    @property
    def world(self) -> WorldConfig | None:
        """The dials of the world; None: the rows are preference data.

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
