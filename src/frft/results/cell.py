"""cells/POINT-SEED.json: what one cell of a study found, kept when its stages are deleted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field

from frft.config.sections import EmbedderConfig, WorldConfig
from frft.results.evaluation import EvaluationInfo
from frft.results.looks import LookInfo
from frft.results.run import ModelChange
from frft.results.upgrade import upgraded_cell
from frft.reward import GateInfo, RefreshedModelSummary, RewardModelSummary, SelectionInfo
from frft.store import RESULTS_FORMAT, StoredValue, format_of, read_json


@dataclass(frozen=True)
class StepCurves(StoredValue):
    """An arm step by step, on the rollouts.

    Attributes:
        gold: mean gold reward of each step's rollouts.
        kl: KL divergence from the SFT model of each step's rollouts, in nats a completion (k1).
        score: mean score of each step's rollouts by the reward model, normalised.
    """

    gold: list[float]
    kl: list[float]
    score: list[float]


@dataclass(frozen=True)
class DrawnPairs(StoredValue):
    """The pairs that a selection drew.

    Attributes:
        distinct: different pairs.
        effective: Kish's effective size (sum c)^2 / sum c^2 of their copies c.
    """

    distinct: int
    effective: float


@dataclass(frozen=True, kw_only=True)
class CellRefresh(StoredValue):
    """One refresh of an arm of a cell.

    Attributes:
        selection: what was selected.
        drawn: how many different pairs that is.
        pairs_seen: pairs that went through the training, repetitions included.
        gate: what the gate said; None: there is none.
        on_policy: how the models before and after it order what the policy wrote then, by gold.
        near_share: share of the pairs whose source is the one near which the policy starts; None: the policy wrote
            them itself.
        reward_model: the refreshed model.
    """

    selection: SelectionInfo
    drawn: DrawnPairs
    pairs_seen: int
    gate: GateInfo | None = None
    on_policy: ModelChange
    near_share: float | None
    reward_model: RefreshedModelSummary


@dataclass(frozen=True, kw_only=True)
class CellArm(StoredValue):
    """One arm of a cell.

    Attributes:
        steps: its training, step by step.
        measured_from: the steps before the first refresh, which no comparison counts.
        refreshed_after: steps after which it was refreshed.
        stopped_after: the step at which a look ended its training; None: it had all its steps.
        looks: what was seen of it while it was trained.
        evaluation: its last policy on the evaluation prompts.
        refreshes: its refreshes, in order.
        seconds: seconds of its training and refreshes, those included that it shares with other arms.
    """

    steps: StepCurves
    measured_from: int
    refreshed_after: list[int]
    stopped_after: int | None
    looks: list[LookInfo]
    evaluation: EvaluationInfo
    refreshes: list[CellRefresh]
    seconds: float


@dataclass(frozen=True)
class SampleColumns(StoredValue):
    """Completions of the SFT model: what can be seen before any reinforcement learning.

    Attributes:
        prompt: the prompts.
        completion: a completion of each.
    """

    prompt: list[str]
    completion: list[str]


@dataclass(frozen=True, kw_only=True)
class CellRecord(StoredValue):
    """What one cell of a study found: one point of the grid with one seed.

    Attributes:
        format: format of the file; without a number it is 0.
        point: the point.
        seed: the seed.
        digest: SHA-256 of its settings and of the version of frft that ran them.
        frft: that version.
        settings: all settings that decide its outcome.
        base_reward: the reward model that all arms start with.
        sft_samples: samples of the SFT model; empty where reward models are not normalised.
        arms: the arms by name.
        seconds: seconds that the cell took.
    """

    format: int = RESULTS_FORMAT
    point: str
    seed: int
    digest: str
    frft: str
    settings: dict[str, Any]
    base_reward: RewardModelSummary
    sft_samples: SampleColumns
    arms: dict[str, CellArm]
    seconds: float

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a record of this format, or of an older one, which `format` tells.

        Raises:
            UsageError: it is of a newer version.
            ArtifactError: it has another form.
        """
        found: Mapping[str, Any] = read_json(path)
        return cls.of(found if format_of(found, path) else upgraded_cell(found, path), path)

    @property
    def dials(self) -> dict[str, Any]:
        """The dials of its world, as they were given."""
        return dict(self.settings["data"]["world"])

    @property
    def world(self) -> WorldConfig:
        """The same, typed."""
        return WorldConfig.model_validate(self.dials)

    @property
    def embedder(self) -> EmbedderConfig:
        """Its sentence embedder."""
        return EmbedderConfig.model_validate(self.settings["embedder"])


@dataclass(frozen=True)
class KeptEvidence(StoredValue):
    """evidence/POINT-SEED.json: the evidence of a cell before any training, for `frft advise`.

    Attributes:
        made_of: SHA-256 of all that it was measured on, called `of` in the file.
        evidence: the evidence, as `frft advise --json` has it.
    """

    made_of: Annotated[str, Field(alias="of")]
    evidence: dict[str, Any]


@dataclass(frozen=True)
class CellFailure(StoredValue):
    """cells/POINT-SEED.failed.json: why a cell failed.

    Attributes:
        cell: its name, POINT-SEED.
        error: the error in a line.
        traceback: where it was raised.
    """

    cell: str
    error: str
    traceback: str
