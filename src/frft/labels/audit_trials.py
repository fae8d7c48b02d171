"""Audits of annotators whose verdicts are known to be right or wrong: what would be decided, over many random orders.

For each annotator and region, the prompts are put in a random order, one pair of each; a simulated labeller is right
about each pair with probability q, whatever the annotator said. Then the audit is carried out as by `audit_sources`
after every label: a label for each region that is still open, until it is decided, none of the labels left could
decide it, or its prompts are at an end. A region with fewer prompts than `at_most` is tested with as many labels as it
has prompts, which is known before the first.

**Prompts are drawn without replacement from a finite set**, as by everybody who audits a data set. Of n labels the
number of agreements then varies less than that of n independent ones with the same probability: for n of P prompts,
of which a share g is right,

    Var(S_n) = n theta (1 - theta) - n (n - 1) / (P - 1) * (2 q - 1)^2 g (1 - g),

so that errors are rarer than the nominal ones, which `audit_characteristics` gives for independent pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frft.errors import DataError
from frft.labels.known_verdicts import ALL_REGIONS, KnownVerdicts, RegionVerdicts
from frft.labels.sequential import AuditCharacteristics, audit_boundary, audit_characteristics, can_still_decide
from frft.models import seed_for
from frft.progress import SILENT, Progress
from frft.statistics.intervals import SIGNIFICANCE_LEVEL
from frft.statistics.numbers import Floats, Indices

Outcomes = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RegionTrials:
    """One annotator in one region.

    Attributes:
        pairs: number of pairs of the region.
        prompts: number of prompts on which the annotator gave a verdict; labels are of one pair of each.
        missing: number of verdicts that could not be read.
        right: share of its verdicts that are right, mean over prompts: 0 to 1.
        at_most: largest number of labels of this region.
        alone: shares of the orders that end in each decision, if this region is all that is audited.
        together: the same if all regions of the annotator are audited together, with Holm's correction; None for all
            regions as one.
        independent: exact probabilities of an audit of this region alone for independent pairs, of which the annotator
            is right in as many.
    """

    pairs: int
    prompts: int
    missing: int
    right: float
    at_most: int
    alone: AuditCharacteristics
    together: AuditCharacteristics | None
    independent: AuditCharacteristics


@dataclass(frozen=True)
class AnnotatorTrials:
    """One annotator in all regions.

    Attributes:
        regions: by region.
        pooled: all regions as one source; None where there is only one.
        wrong_use: share of orders in which it is used in any region where it is right at most half of the time, all
            regions being audited together; None: there is no such region.
        wrong_refusal: share of orders in which it is refused in any region where it is right at least half of the time;
            None: there is no such region.
        mean_labels: mean number of labels of all regions together.
    """

    regions: dict[str, RegionTrials]
    pooled: RegionTrials | None
    wrong_use: float | None
    wrong_refusal: float | None
    mean_labels: float


@dataclass(frozen=True)
class AuditTrials:
    """All annotators of a file.

    Attributes:
        annotators: by name.
        labeller: probability that the simulated labeller is right.
        at_most: largest number of labels of each region.
        orders: number of random orders.
        seed: seed of the orders and of the labeller's errors.
    """

    annotators: dict[str, AnnotatorTrials]
    labeller: float
    at_most: int
    orders: int
    seed: int


def audit_trials(
    verdicts: KnownVerdicts, labeller: float, at_most: int, orders: int, seed: int = 0, progress: Progress = SILENT
) -> AuditTrials:
    """Audit every annotator in every region, once for each of `orders` random orders of the pairs.

    Raises:
        DataError: the labeller is not right more often than not, or at_most or orders is below 1.
    """
    if not 0.5 < labeller <= 1:
        raise DataError(f"The labeller must be right more often than not: above 0.5 and at most 1, got {labeller}.")
    for name, value in (("at_most", at_most), ("orders", orders)):
        if value < 1:
            raise DataError(f"{name} is {value}; it must be at least 1.")
    found = {}
    with progress.task("Auditing annotators", total=len(verdicts.annotators)) as task:
        for annotator, regions in verdicts.annotators.items():
            found[annotator] = _annotator(annotator, regions, labeller, at_most, orders, seed)
            task.advance(1, annotator)
    return AuditTrials(found, labeller, at_most, orders, seed)


def _annotator(
    name: str, regions: Mapping[str, RegionVerdicts], labeller: float, at_most: int, orders: int, seed: int
) -> AnnotatorTrials:
    def drawn(verdicts: RegionVerdicts, *stream: str) -> Outcomes:
        rng = np.random.default_rng(seed_for(seed, name, *stream))
        return _agreements(verdicts.right_P, labeller, at_most, orders, rng)

    agrees = {region: drawn(verdicts, "region", region) for region, verdicts in regions.items()}
    decided, labels = audit_orders(agrees)
    found = {
        region: _region(verdicts, agrees[region], labeller, _shares(decided[region], labels[region]))
        for region, verdicts in regions.items()
    }
    pooled = None
    if len(regions) > 1:
        parts = list(regions.values())
        whole = RegionVerdicts(
            np.concatenate([each.right_P for each in parts]),
            sum(each.pairs for each in parts),
            sum(each.missing for each in parts),
        )
        pooled = _region(whole, drawn(whole, "pooled"), labeller, None)
    return AnnotatorTrials(
        found,
        pooled,
        _any([decided[region] > 0 for region, each in found.items() if each.right <= 0.5]),
        _any([decided[region] < 0 for region, each in found.items() if each.right >= 0.5]),
        float(np.sum(list(labels.values()), axis=0).mean()),
    )


def _region(
    verdicts: RegionVerdicts, agree_RN: Outcomes, labeller: float, together: AuditCharacteristics | None
) -> RegionTrials:
    right, most = float(verdicts.right_P.mean()), agree_RN.shape[1]
    decided, labels = audit_orders({ALL_REGIONS: agree_RN})
    return RegionTrials(
        verdicts.pairs,
        len(verdicts.right_P),
        verdicts.missing,
        right,
        most,
        _shares(decided[ALL_REGIONS], labels[ALL_REGIONS]),
        together,
        audit_characteristics(right, labeller, audit_boundary(most)),
    )


def audit_orders(agrees: Mapping[str, Outcomes]) -> tuple[dict[str, Indices], dict[str, Indices]]:
    """Audit K sources together, R times: a label for each open source, then the decisions, until none is open.

    Args:
        agrees: by source, whether source and labeller agree on each pair, (R, N): R orders of the N pairs that may be
            labelled. N differs by source.

    Returns:
        By source, the decision of each order (1 for use, -1 for refuse, 0 for unknown), and its number of labels.
    """
    names, count = list(agrees), len(agrees)
    orders = len(next(iter(agrees.values())))
    most_K = [agrees[name].shape[1] for name in names]
    # Comparing Holm's k-th smallest p-value with level / (K - k + 1) needs no p-value, only which levels are passed.
    boundaries = {
        most: [audit_boundary(most, SIGNIFICANCE_LEVEL / number) for number in range(1, count + 1)]
        for most in set(most_K)
    }
    count_RK = np.zeros((orders, count), np.intp)
    labels_RK, open_RK = np.zeros_like(count_RK), np.ones((orders, count), bool)
    # The largest number of hypotheses for which a p-value is small enough, for "use" and for "refuse".
    passed_2RK = np.zeros((2, orders, count), np.intp)
    for n in range(1, max(most_K) + 1):
        for place, name in enumerate(names):
            if n > most_K[place]:
                continue
            rows = np.flatnonzero(open_RK[:, place])
            count_RK[rows, place] += agrees[name][rows, n - 1]
            labels_RK[rows, place] = n
            right = count_RK[rows, place]
            for number, boundary in enumerate(boundaries[most_K[place]], 1):
                for side, agreeing in enumerate((right, n - right)):
                    reached = rows[agreeing >= boundary[n - 1]]
                    passed_2RK[side, reached, place] = np.maximum(passed_2RK[side, reached, place], number)
            boundary = boundaries[most_K[place]][0]
            open_RK[rows, place] = can_still_decide(boundary, n, right)
        open_RK &= _rejected(passed_2RK[0]) == _rejected(passed_2RK[1])
        if not open_RK.any():
            break
    decided_RK = _rejected(passed_2RK[0]).astype(np.intp) - _rejected(passed_2RK[1])
    return (
        {name: decided_RK[:, place] for place, name in enumerate(names)},
        {name: labels_RK[:, place] for place, name in enumerate(names)},
    )


def _rejected(passed_RK: Indices) -> Outcomes:
    """Which of K hypotheses Holm's procedure rejects, (R, K): the k-th most significant must pass K - k + 1 tests."""
    count = passed_RK.shape[1]
    order_RK = np.argsort(-passed_RK, axis=1, kind="stable")
    ordered_RK = np.take_along_axis(passed_RK, order_RK, axis=1)
    steps_RK = np.logical_and.accumulate(ordered_RK >= np.arange(count, 0, -1), axis=1)
    rejected_RK = np.zeros_like(steps_RK)
    np.put_along_axis(rejected_RK, order_RK, steps_RK, axis=1)
    return rejected_RK


def _agreements(right_P: Floats, labeller: float, at_most: int, orders: int, rng: np.random.Generator) -> Outcomes:
    """Whether annotator and labeller agree on the first N pairs of each order, (R, N); N is at_most, or P."""
    count = min(at_most, len(right_P))
    drawn_RN = rng.permuted(np.tile(right_P, (orders, 1)), axis=1)[:, :count]
    # Of several verdicts on a prompt, one at random is the source's label.
    source_RN = rng.random(drawn_RN.shape) < drawn_RN
    agree_RN: Outcomes = source_RN == (rng.random(drawn_RN.shape) < labeller)
    return agree_RN


def _shares(decided_R: Indices, labels_R: Indices) -> AuditCharacteristics:
    use, refuse, unknown = (float((decided_R == each).mean()) for each in (1, -1, 0))
    return AuditCharacteristics(use, refuse, unknown, float(labels_R.mean()))


def _any(wrong: Sequence[Outcomes]) -> float | None:
    return float(np.any(wrong, axis=0).mean()) if wrong else None
