"""study.json: all figures of a study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field

from frft.results.predictions import ClaimVerdict, PredictionVerdict, SanityVerdict
from frft.results.upgrade import upgraded_study
from frft.statistics import Estimate
from frft.store import OMITTED, RESULTS_FORMAT, OpenValue, StoredValue, format_of, read_sealed

ROLES = ("primary", "control", "ceiling", "perfect")
"""Settings of a study that name an arm, by which predictions and panels may name it."""


class StudyPointSettings(OpenValue):
    """A point of a study's grid.

    Attributes:
        changes: settings that differ from the base.
    """

    changes: dict[str, Any]


class StudyPanel(OpenValue):
    """A panel of a study's picture `panels.svg`.

    Attributes:
        x: the label of its x axis.
        points: the points in it, with the place of each on the x axis.
        arms: the arms in it, by name or role; empty: those of every point but vanilla and the control.
        log: whether its x axis is logarithmic.
    """

    x: str
    points: dict[str, float]
    arms: list[str]
    log: bool


class StudyCurve(OpenValue):
    """A panel of a study's picture `curves.svg`.

    Attributes:
        point: the point.
        lines: the lines by name, each with its arms, by name or role.
        x: the measure on the x axis: labels, or distinct_labels.
        y: gain (over vanilla) or recovery.
        log: whether the x axis is logarithmic.
    """

    point: str
    lines: dict[str, list[str]]
    x: str
    y: str
    log: bool


class StudySettings(OpenValue):
    """The whole configuration of a study; its fields are those of `frft.study.StudyConfig`, these among them.

    Attributes:
        primary: the arm that is FRFT.
        control: the arm that it is compared with.
        ceiling: the arm with fresh gold labels.
        perfect: the arm of a perfect filter; None: there is none.
        everywhere: arms that run at every point.
        points: the points by name.
        preregistration: when the predictions were written down, and what had been seen by then; None: it is not said.
        panels: the panels of the study's second picture, by title.
        curves: the panels of its third picture, by title.
    """

    primary: str
    control: str
    ceiling: str
    perfect: str | None
    everywhere: list[str]
    points: dict[str, StudyPointSettings]
    preregistration: str | None = None
    panels: dict[str, StudyPanel] = Field(default_factory=dict)
    curves: dict[str, StudyCurve] = Field(default_factory=dict)

    def arm_of(self, name: str) -> str:
        """The arm of a role (primary, control, ceiling, perfect), or the arm of this name."""
        roles = {role: getattr(self, role) for role in ROLES}
        return roles.get(name) or name

    def with_role(self, arm: str) -> str:
        """The name of an arm with its role in words, for pictures: "density (FRFT)"."""
        words = zip(ROLES, (" (FRFT)", " (control)", " (ceiling)", " (perfect filter)"), strict=True)
        return arm + next((word for role, word in words if getattr(self, role) == arm), "")


@dataclass(frozen=True)
class CellCounts(StoredValue):
    """The cells of a study.

    Attributes:
        wanted: number of cells of the whole study.
        done: number of finished cells.
        failed: the failed cells with their errors, a line each.
    """

    wanted: int
    done: int
    failed: list[str]


@dataclass(frozen=True, kw_only=True)
class ArmBudget(StoredValue):
    """The training budget of an arm.

    Attributes:
        base_models: number of base reward models.
        refreshes: number of refreshes with data.
        refresh_steps: optimizer steps of each refresh; None: as many as its pairs take, or there are no refreshes.
        init: the model that each refresh starts from: current or sft; None: there are no refreshes.
    """

    base_models: int
    refreshes: int
    refresh_steps: int | None
    init: str | None


@dataclass(frozen=True, kw_only=True)
class StudyBudget(StoredValue):
    """The training budgets of the arms, by the settings of the first point that each runs at.

    Attributes:
        ppo_steps: number of steps of the policy.
        completions_a_step: number of rollouts of each step.
        base_steps: optimizer steps of a base reward model; None: as many as its pairs take.
        arms: the arms by name.
    """

    ppo_steps: int
    completions_a_step: int
    base_steps: int | None
    arms: dict[str, ArmBudget]


@dataclass(frozen=True)
class BaseTraining(StoredValue):
    """The training of the base reward model, mean over seeds.

    Attributes:
        pairs: pairs trained on.
        steps: optimizer steps.
    """

    pairs: float
    steps: float


@dataclass(frozen=True, kw_only=True)
class ArmComparison(StoredValue):
    """An arm less another, paired by seed.

    Attributes:
        gold: difference of the mean gold reward after the first refresh.
        p: p-value of a paired t test of that difference; None: fewer than two seeds.
        p_holm: p corrected by Holm over the arms of the point.
        at_equal_kl: difference of the gold reward where both had the smaller of their two final KLs for the last time.
        before_refresh: number of seeds in which that was before the first refresh, when both were still the same arm.
        p_holm_over_points: p corrected by Holm over all points; only of FRFT against its control.
    """

    gold: Estimate
    p: float | None
    p_holm: float | None
    at_equal_kl: Estimate
    before_refresh: int
    p_holm_over_points: Annotated[float | None, OMITTED] = None


@dataclass(frozen=True)
class StepsToVanilla(StoredValue):
    """The first step at which an arm reaches the gold reward with which vanilla ends.

    Attributes:
        median: median step over seeds; None: in half of them the arm never reaches it.
        reached: number of seeds in which it does.
        n: number of seeds in which vanilla ends above its start; others are not counted.
    """

    median: float | None
    reached: int
    n: int


@dataclass(frozen=True)
class CurvePeak(StoredValue):
    """The peak d* of Gao's curve of gold over d = sqrt(KL).

    Attributes:
        median: median d* over the seeds that have a peak; None: no seed has one.
        found: number of seeds that have a peak.
        within: number of those in which it lies within the observed range of d.
        n: number of seeds.
    """

    median: float | None
    found: int
    within: int
    n: int


@dataclass(frozen=True, kw_only=True)
class ArmMeasures(StoredValue):
    """Means over seeds; None where no seed has the figure. Accuracies and shares are from 0 to 1.

    Attributes:
        gold: mean gold reward of the rollouts in all steps after the first refresh.
        gold_final: gold reward of the final policy on the evaluation prompts.
        win_rate: win rate against vanilla, by gold.
        kl: KL divergence of the final policy from the SFT model, in nats a completion (k1).
        on_policy: accuracy of the reward model after the first refresh on the policy's own texts then, by gold; of
            vanilla, of the model before.
        on_policy_before: accuracy of the model before the refresh on the same completions.
        on_policy_final: accuracy of the last reward model on the final policy's own texts.
        off_policy_gold: accuracy of the last reward model on held-out pairs, by gold.
        off_policy_labels: accuracy of the last reward model on held-out pairs, by their labels.
        reward_variance: variance within a prompt of the normalised reward, at the first refresh, by the model after it;
            of vanilla, by the one before.
        reward_variance_before: variance within a prompt at the first refresh, by the model before it.
        reward_variance_final: variance within a prompt of the final policy's reward, by the last reward model.
        refresh_pairs: number of pairs that the last refresh trained on.
        distinct_pairs: number of different pairs that the last refresh selected.
        effective_pairs: Kish's effective sample size of the pairs that the last refresh selected.
        pairs_seen: pairs that went through the last refresh's training, repetitions included.
        refresh_steps: optimizer steps of the last refresh.
        near_share: share of the last refresh's pairs from the source near which the policy starts.
        near_share_first: share of the first refresh's pairs from that source.
        domain_share: share of the last refresh's pairs on prompts of the policy's domains; left out, as are all
            figures of domains, in a world of one.
        domain_share_first: share of the first refresh's pairs on such prompts.
        own_domain_gold, own_domain_labels: accuracy of the last reward model on held-out pairs of the policy's domains,
            by gold and by their labels.
        other_domains_gold, other_domains_labels: the same on held-out pairs of all other domains.
        steps_saved: how many steps earlier than vanilla the arm had the smoothed gold reward with which vanilla ends;
            an arm that never has it counts one step more than there are.
        labels: fresh labels that all its refreshes asked for together, in every use: training, test, repetitions,
            audits, gates; left out, as are all figures of labels, where no arm of the study has `refresh.labels`.
        audit_labels: those among them by which audits decided.
        gate_labels: those among them by which gates decided.
        distinct_labels: different labels that any refresh trained on.
        label_passes: how often each of these went through the optimizer, all refreshes together.
        labels_by_gold: share of the fresh labels to train and test on that the gold reward agrees with.
        audit_used: share of the last refresh's selected pairs whose labels its audit allowed.
        audit_used_first: share of the first refresh's selected pairs whose labels its audit allowed.
        own_test: accuracy of the last refreshed model on the test rows of its own selection.
        seconds: seconds of the arm's training and refreshes.
    """

    gold: Estimate | None
    gold_final: Estimate | None
    win_rate: Estimate | None
    kl: Estimate | None
    on_policy: Estimate | None
    on_policy_before: Estimate | None
    on_policy_final: Estimate | None
    off_policy_gold: Estimate | None
    off_policy_labels: Estimate | None
    reward_variance: Estimate | None
    reward_variance_before: Estimate | None
    reward_variance_final: Estimate | None
    refresh_pairs: Estimate | None
    distinct_pairs: Estimate | None
    effective_pairs: Estimate | None
    pairs_seen: Estimate | None
    refresh_steps: Estimate | None
    near_share: Estimate | None
    near_share_first: Estimate | None
    domain_share: Annotated[Estimate | None, OMITTED] = None
    domain_share_first: Annotated[Estimate | None, OMITTED] = None
    own_domain_gold: Annotated[Estimate | None, OMITTED] = None
    own_domain_labels: Annotated[Estimate | None, OMITTED] = None
    other_domains_gold: Annotated[Estimate | None, OMITTED] = None
    other_domains_labels: Annotated[Estimate | None, OMITTED] = None
    steps_saved: Annotated[Estimate | None, OMITTED] = None
    labels: Annotated[Estimate | None, OMITTED] = None
    audit_labels: Annotated[Estimate | None, OMITTED] = None
    gate_labels: Annotated[Estimate | None, OMITTED] = None
    distinct_labels: Annotated[Estimate | None, OMITTED] = None
    label_passes: Annotated[Estimate | None, OMITTED] = None
    labels_by_gold: Annotated[Estimate | None, OMITTED] = None
    audit_used: Annotated[Estimate | None, OMITTED] = None
    audit_used_first: Annotated[Estimate | None, OMITTED] = None
    own_test: Estimate | None
    seconds: Estimate | None


@dataclass(frozen=True, kw_only=True)
class StudyArm(ArmMeasures):
    """One arm at one point.

    Attributes:
        against_vanilla: the arm less vanilla; None: it is vanilla.
        against_control: the arm less the control; None: it is the control.
        recovery: (arm - vanilla) / (ceiling - vanilla) of the gold reward after the first refresh, with Fieller's
            interval; None: it is vanilla, or the ceiling is not above vanilla.
        gain_per_100_labels: 100 (arm - vanilla) / labels of the gold reward after the first refresh, seed by seed; left
            out where it asked for none.
        steps_to_vanilla: steps until it reaches the gold reward with which vanilla ends.
        peak: the peak of Gao's curve.
    """

    against_vanilla: ArmComparison | None
    against_control: ArmComparison | None
    recovery: Estimate | None
    gain_per_100_labels: Annotated[Estimate | None, OMITTED] = None
    steps_to_vanilla: StepsToVanilla
    peak: CurvePeak


@dataclass(frozen=True)
class PointResults(StoredValue):
    """One point of the grid.

    Attributes:
        seeds: seeds whose cells are finished.
        base_reward: the training of the base reward model.
        arms: the arms by name.
    """

    seeds: list[int]
    base_reward: BaseTraining
    arms: dict[str, StudyArm]


@dataclass(frozen=True, kw_only=True)
class StudyResults(StoredValue):
    """All results of a study.

    Attributes:
        format: format of the file; without a number it is 0.
        frft: version of frft that wrote it.
        study: name of the study.
        config: its whole configuration.
        cells: counts of its cells.
        seconds_of_cells: sum of the seconds of all finished cells, each on one core.
        budget: the training budgets of the arms.
        points: the results of the points, by name.
        predictions: the outcome of each prediction.
        sanity: the prediction without which no other counts; None: the study names none.
        claim: what may be said where several predictions hold together; None: the study claims nothing.
    """

    format: int = RESULTS_FORMAT
    frft: str
    study: str
    config: StudySettings
    cells: CellCounts
    seconds_of_cells: float
    budget: StudyBudget
    points: dict[str, PointResults]
    predictions: list[PredictionVerdict]
    sanity: SanityVerdict | None
    claim: ClaimVerdict | None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read study.json, also that of a version whose only study was `averaging`.

        Raises:
            UsageError: it is of a newer version.
            ArtifactError: a field is missing, unknown or of another type, or the file was changed after it was written.
        """
        found = read_sealed(path, "Run `frft study` again: it is made anew from the records of the cells.")
        return cls.of(upgraded_study({**found, "format": format_of(found, path)}), path)
