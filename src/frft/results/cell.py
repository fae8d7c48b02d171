"""cells/POINT-SEED.json: the results of one cell of a study, which are kept when its stages are deleted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field

from frft.config.sections import EmbedderConfig, WorldConfig
from frft.results.evaluation import EvaluationInfo
from frft.results.looks import LookInfo
from frft.results.run import ModelChange
from frft.results.upgrade import upgraded_cell
from frft.reward import AuditInfo, GateInfo, LabelsInfo, RefreshedModelSummary, RewardModelSummary, SelectionInfo
from frft.statistics import OrderAccuracy
from frft.store import OMITTED, RESULTS_FORMAT, StoredValue, format_of, read_sealed

CELL_ANEW = "Delete it and run the same study again: this cell, and no other, is run anew."
"""What to do about a damaged record of a cell."""


@dataclass(frozen=True)
class StepCurves(StoredValue):
    """The training curves of an arm, one value for each step, over the rollouts.

    Attributes:
        gold: mean gold reward of each step's rollouts.
        kl: KL divergence from the SFT model of each step's rollouts, in nats a completion (k1).
        score: mean score of each step's rollouts by the reward model, normalised; or their mean PAR.
    """

    gold: list[float]
    kl: list[float]
    score: list[float]


@dataclass(frozen=True)
class DrawnPairs(StoredValue):
    """The pairs that a selection drew.

    Attributes:
        distinct: number of different pairs.
        effective: Kish's effective sample size (sum c)^2 / sum c^2, where c is how often each pair was drawn.
    """

    distinct: int
    effective: float


@dataclass(frozen=True, kw_only=True)
class CellRefresh(StoredValue):
    """One refresh of an arm of a cell.

    Attributes:
        selection: figures of the selection.
        drawn: number of different pairs that it drew.
        pairs_seen: pairs that went through the training, repetitions included.
        labels: fresh labels that it asked for; left out where it asked for none.
        labels_by_gold: how often these are as the gold reward says; left out where it asked for none, and by older
            versions.
        audit: the audit of the selected pairs; left out where there was none.
        gate: the gate's test; None: there is no gate.
        on_policy: accuracy of the models before and after it on the policy's own completions then, by gold.
        near_share: share of the pairs whose source is the one near which the policy starts; None: the policy wrote
            them itself, or none were selected.
        domain_share: share of the pairs whose prompt is of a domain that the policy is on; left out where the policy
            wrote them itself, and in a world of one domain.
        reward_model: the refreshed model.
    """

    selection: SelectionInfo
    drawn: DrawnPairs
    pairs_seen: int
    labels: Annotated[LabelsInfo | None, OMITTED] = None
    labels_by_gold: Annotated[OrderAccuracy | None, OMITTED] = None
    audit: Annotated[AuditInfo | None, OMITTED] = None
    gate: GateInfo | None = None
    on_policy: ModelChange
    near_share: float | None
    domain_share: Annotated[float | None, OMITTED] = None
    reward_model: RefreshedModelSummary

    @property
    def asked(self) -> int:
        """Number of fresh labels that it asked for, whatever they are for."""
        return (0 if self.labels is None else self.labels.asked) + self.asked_to_audit + self.asked_by_gate

    @property
    def asked_to_audit(self) -> int:
        """Number of labels by which its audit decided."""
        return 0 if self.audit is None else self.audit.asked

    @property
    def asked_by_gate(self) -> int:
        """Number of labels by which its gate decided."""
        return 0 if self.gate is None or self.gate.labels is None else self.gate.labels.asked


@dataclass(frozen=True, kw_only=True)
class CellArm(StoredValue):
    """One arm of a cell.

    Attributes:
        steps: its training curves.
        measured_from: number of steps before the first refresh; comparisons leave them out.
        refreshed_after: steps after which it was refreshed.
        stopped_after: the step at which a look ended its training; None: it had all its steps.
        looks: the diagnoses during its training, in order.
        evaluation: evaluation of its final policy.
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
    """Completions of the SFT model, which are available before any reinforcement learning.

    Attributes:
        prompt: the prompts.
        completion: a completion of each.
    """

    prompt: list[str]
    completion: list[str]


@dataclass(frozen=True, kw_only=True)
class CellRecord(StoredValue):
    """The results of one cell of a study: one point of the grid with one seed.

    Attributes:
        format: format of the file; without a number it is 0.
        point: name of the point.
        seed: the seed.
        digest: SHA-256 of its settings and of the version of frft that ran them.
        frft: version of frft that ran it.
        settings: all settings that affect its results.
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
            ArtifactError: it has another form, or was changed after it was written.
        """
        found = read_sealed(path, CELL_ANEW)
        return cls.of(found if format_of(found, path) else upgraded_cell(found, path), path)

    @property
    def dials(self) -> dict[str, Any]:
        """The settings of its world (`data.world`)."""
        return dict(self.settings["data"]["world"])

    @property
    def world(self) -> WorldConfig:
        """The settings of its world, typed."""
        return WorldConfig.model_validate(self.dials)

    @property
    def embedder(self) -> EmbedderConfig:
        """The settings of its sentence embedder."""
        return EmbedderConfig.model_validate(self.settings["embedder"])


@dataclass(frozen=True)
class KeptEvidence(StoredValue):
    """evidence/POINT-SEED.json: the evidence of a cell before any training, for `frft advise`.

    Attributes:
        made_of: SHA-256 of all inputs of the measurement; called `of` in the file.
        evidence: the evidence, in the form of `frft advise --json`.
    """

    made_of: Annotated[str, Field(alias="of")]
    evidence: dict[str, Any]


@dataclass(frozen=True)
class CellFailure(StoredValue):
    """cells/POINT-SEED.failed.json: why a cell failed.

    Attributes:
        cell: name of the cell, POINT-SEED.
        error: the error in one line.
        traceback: Python's traceback.
    """

    cell: str
    error: str
    traceback: str
