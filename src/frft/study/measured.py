"""What the finished cells of a study measured, by point, arm and seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np

from frft.config.model import VANILLA
from frft.diagnosis.overoptimisation import fit_gao, gao_peak
from frft.results.cell import CellArm, CellRecord, CellRefresh
from frft.statistics.estimates import Estimate, estimate, smoothed
from frft.study.analysis import steps_to_reach
from frft.study.label_measures import LABEL_MEASURES, CellMeasure, asks_for_labels
from frft.worlds.domains import domain_shares

_OF_ARM: dict[str, Callable[[CellArm], float | None]] = {
    "gold": lambda arm: float(np.mean(arm.steps.gold[arm.measured_from :])),
    "gold_final": lambda arm: arm.evaluation.by_gold.gold.mean,
    "win_rate": lambda arm: None if arm.evaluation.win_rate is None else arm.evaluation.win_rate.rate,
    "kl": lambda arm: arm.evaluation.kl_sft_k1,
    "on_policy": lambda arm: _first(arm, lambda made: made.on_policy.after.accuracy),
    "on_policy_before": lambda arm: _first(arm, lambda made: made.on_policy.before.accuracy),
    "on_policy_final": lambda arm: arm.evaluation.by_gold.on_policy.accuracy,
    "off_policy_gold": lambda arm: arm.evaluation.by_gold.off_policy.gold.accuracy,
    "off_policy_labels": lambda arm: arm.evaluation.by_gold.off_policy.labels.accuracy,
    "reward_variance": lambda arm: _first(arm, lambda made: made.on_policy.after.reward_variance),
    "reward_variance_before": lambda arm: _first(arm, lambda made: made.on_policy.before.reward_variance),
    "reward_variance_final": lambda arm: arm.evaluation.reward_variance,
    "peak": lambda arm: gao_peak(arm.steps.gold, arm.steps.kl),
    "refresh_pairs": lambda arm: _last(arm, lambda made: made.reward_model.training.pairs),
    "distinct_pairs": lambda arm: _last(arm, lambda made: made.drawn.distinct),
    "effective_pairs": lambda arm: _last(arm, lambda made: made.drawn.effective),
    "pairs_seen": lambda arm: _last(arm, lambda made: made.pairs_seen),
    "refresh_steps": lambda arm: _last(arm, lambda made: made.reward_model.training.steps),
    "near_share": lambda arm: _last(arm, lambda made: made.near_share),
    "near_share_first": lambda arm: _first(arm, lambda made: made.near_share),
    "domain_share": lambda arm: _last(arm, lambda made: made.domain_share),
    "domain_share_first": lambda arm: _first(arm, lambda made: made.domain_share),
    "own_test": lambda arm: _last(arm, _own_test),
    "seconds": lambda arm: arm.seconds,
}
"""Measures that the figures of the arm alone decide."""


def _first(arm: CellArm, measure: Callable[[CellRefresh], float | None]) -> float | None:
    """A measure of an arm's first refresh; None for arms that are never refreshed.

    All arms that are first refreshed at one step have the same policy there, so reward models are compared on the same
    texts.
    """
    return measure(arm.refreshes[0]) if arm.refreshes else None


def _last(arm: CellArm, measure: Callable[[CellRefresh], float | None]) -> float | None:
    """A measure of an arm's last refresh; None for arms that are never refreshed."""
    return measure(arm.refreshes[-1]) if arm.refreshes else None


def _own_test(refresh: CellRefresh) -> float | None:
    tested = refresh.reward_model.selected_test
    return None if tested is None else tested.accuracy


def _steps_saved(cell: CellRecord, arm: str) -> float:
    """How many steps earlier than vanilla an arm has the smoothed gold reward with which vanilla ends.

    An arm that never gets there counts as if it did one step after the last. Where vanilla ends no higher than it
    starts, all arms are there at the first step, and save nothing.
    """
    curves = [cell.arms[name].steps.gold for name in (VANILLA, arm)]
    level, never = float(smoothed(curves[0])[-1]), max(map(len, curves)) + 1
    vanilla, own = (steps_to_reach(curve, level) or never for curve in curves)
    return float(vanilla - own)


def _accuracy_in_domains(which: Literal["own", "others"], by: Literal["gold", "labels"]) -> CellMeasure:
    """Accuracy of an arm's last reward model on held-out pairs of the policy's own domains, or of all others.

    Own domains weigh as they do among the policy's prompts, others alike. None in a world of one domain, and of the
    others where the policy is on all of them.
    """

    def measure(cell: CellRecord, arm: str) -> float | None:
        found = cell.arms[arm].evaluation.by_domain
        if not found:
            return None
        shares = domain_shares(cell.world, "evaluation")
        weights = shares if which == "own" else np.asarray(shares == 0, float)
        accuracies: list[float | None] = [getattr(each, by).accuracy for each in found.values()]
        there = [accuracy for accuracy, weight in zip(accuracies, weights, strict=True) if weight]
        if not there or None in there:
            return None
        return float(np.average(np.asarray(there, float), weights=weights[weights > 0]))

    return measure


def _alone(measure: Callable[[CellArm], float | None]) -> CellMeasure:
    return lambda cell, arm: measure(cell.arms[arm])


MEASURES: dict[str, CellMeasure] = {
    **{name: _alone(measure) for name, measure in _OF_ARM.items()},
    "own_domain_gold": _accuracy_in_domains("own", "gold"),
    "own_domain_labels": _accuracy_in_domains("own", "labels"),
    "other_domains_gold": _accuracy_in_domains("others", "gold"),
    "other_domains_labels": _accuracy_in_domains("others", "labels"),
    "steps_saved": _steps_saved,
    **LABEL_MEASURES,
}
"""Each measure by name: its value in a cell for the arm of this name; None where the arm has none (it was never
refreshed, say). What each is, `ArmMeasures` says.

`gold` is the mean over all steps after the first refresh, because chance decides too much about one policy.
"""


class NotMeasuredError(LookupError):
    """A statistic cannot be computed: fewer than two cells have the arms or the measure that it needs."""


class StudyMeasurements:
    """The records of finished cells.

    Args:
        records: what `frft.study.cell.run_cell` returned, for any number of cells.
    """

    def __init__(self, records: Sequence[CellRecord]) -> None:
        self._records: dict[str, dict[int, CellRecord]] = {}
        for record in sorted(records, key=lambda record: record.seed):
            self._records.setdefault(record.point, {})[record.seed] = record

    @property
    def have_labels(self) -> bool:
        """Whether any arm of any cell asked for fresh labels by the section `refresh.labels`."""
        return any(asks_for_labels(cell) for point in self.points for cell in self.cells(point))

    @property
    def points(self) -> list[str]:
        """Names of the points with a finished cell."""
        return list(self._records)

    def seeds(self, *points: str, arms: Iterable[str] = ()) -> list[int]:
        """Seeds whose cells are finished at all of these points, and ran all of these arms."""
        found = [{record.seed for record in self.cells(point, *arms)} for point in points]
        return [seed for seed in self._records.get(points[0], {}) if all(seed in there for there in found)]

    def arms(self, point: str) -> list[str]:
        """Names of the arms that ran at a point."""
        return list(dict.fromkeys(name for record in self.cells(point) for name in record.arms))

    def cells(self, point: str, *arms: str) -> list[CellRecord]:
        """The records of a point that ran all of these arms, seed by seed."""
        return [record for record in self._records.get(point, {}).values() if set(arms) <= set(record.arms)]

    def values(self, point: str, arm: str, measure: str, seeds: Sequence[int]) -> list[float | None]:
        """A measure (a key of MEASURES) of an arm that ran with all these seeds at a point; None where it has none."""
        return [MEASURES[measure](self._records[point][seed], arm) for seed in seeds]

    def gains(
        self, point: str, arm: str, other: str, measure: str = "gold", seeds: Sequence[int] | None = None
    ) -> list[float]:
        """How much more of a measure `arm` has than `other`, by seed: these, or all with which both ran.

        Raises:
            NotMeasuredError: an arm did not run at the point, or fewer than two seeds have both numbers.
        """
        seeds = self.seeds(point, arms=(arm, other)) if seeds is None else seeds
        if len(seeds) < 2 or not {arm, other} <= set(self.arms(point)):
            raise NotMeasuredError(f"{arm} and {other} at {point}")
        pairs = zip(*(self.values(point, name, measure, seeds) for name in (arm, other)), strict=True)
        found = [own - others for own, others in pairs if own is not None and others is not None]
        if len(found) < len(seeds):
            raise NotMeasuredError(f"{measure} of {arm} and {other} at {point}")
        return found


def steps_to_vanilla(cells: Sequence[CellRecord], arm: str) -> list[int | None]:
    """For each cell, the first step, from 1, at which an arm reaches vanilla's final gold reward; None: it never does.

    Cells in which vanilla ends no higher than it starts are left out: every arm is there from the start.
    """
    steps = []
    for cell in cells:
        vanilla = smoothed(cell.arms[VANILLA].steps.gold)
        if vanilla[-1] > vanilla[0]:
            steps.append(steps_to_reach(cell.arms[arm].steps.gold, float(vanilla[-1])))
    return steps


def peak_is_within(arm: CellArm) -> bool:
    """Whether the peak of an arm's fitted curve lies in the observed range of d = sqrt(KL); else it is extrapolated."""
    fit = fit_gao(arm.steps.gold, arm.steps.kl)
    # The k1 estimate of a KL can be negative, and then has no root.
    d_T = np.sqrt([kl for kl in arm.steps.kl if kl >= 0])
    return fit is not None and fit.peak is not None and bool(d_T.min() <= fit.peak <= d_T.max())


def mean_of(values: Sequence[float | None]) -> Estimate | None:
    """Mean and interval of the values that are not None, which `n` counts; None where there are none."""
    there = [value for value in values if value is not None]
    return estimate(there) if there else None
