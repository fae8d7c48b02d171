"""How far labellers agree, with each other and with themselves, and how accurate they can be at most."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frft.errors import DataError
from frft.statistics.estimates import Estimate, share_of
from frft.statistics.intervals import CONFIDENCE_LEVEL
from frft.statistics.numbers import Floats

ALPHA_DRAWS = 2000
"""Bootstrap samples for the interval of Krippendorff's alpha."""
_AT_ONCE = 200
"""Bootstrap samples drawn at once; divides ALPHA_DRAWS."""


@dataclass(frozen=True)
class LabelReliability:
    """Krippendorff's alpha of the answers to U units.

    Attributes:
        alpha: 1 for perfect agreement, 0 for that of answers drawn at random from all that were given, below 0 for
            systematic disagreement; n is the number of units. The interval is the percentile bootstrap's; None with a
            single unit or cluster. None where all answers are the same: nothing was told apart.
        answers: answers to these units.
        single: units left out because fewer than two answers are known, with whatever answer they have.
        undefined_draws: bootstrap samples in which all answers were the same; they are left out of the interval.
    """

    alpha: Estimate | None
    answers: int
    single: int
    undefined_draws: int


def krippendorff_alpha(
    answers: Sequence[Sequence[Hashable | None]], seed: int, clusters: Sequence[Hashable] | None = None
) -> LabelReliability:
    """Krippendorff's alpha for nominal answers of any number of labellers, with missing answers.

    With n_uc answers c to unit u, m_u answers to it, n_c answers c in all and n answers in all,

        alpha = 1 - D_o / D_e,     D_o = 1/n sum_u sum_{c != k} n_uc n_uk / (m_u - 1),
        D_e = 1 / (n (n - 1)) sum_{c != k} n_c n_k

    over the units with two or more answers (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", C).
    The interval resamples units, or clusters of them, as a new set of pairs would differ.

    Args:
        answers: for each unit, its answers in any order; None is a missing answer. A tie is an answer like others.
        seed: seed of the bootstrap.
        clusters: the cluster of each unit, such as its prompt; None: units are independent.

    Raises:
        DataError: no unit has two answers, or `clusters` does not have one entry for each unit.
    """
    if clusters is not None and len(clusters) != len(answers):
        raise DataError(f"There are {len(answers)} units but {len(clusters)} cluster labels; give one for each unit.")
    known = [[answer for answer in unit if answer is not None] for unit in answers]
    rows = [row for row, unit in enumerate(known) if len(unit) > 1]
    if not rows:
        raise DataError(
            f"Agreement needs units with two or more answers; none of the {len(answers)} has them. Have some pairs "
            "labelled twice."
        )
    categories = {answer: place for place, answer in enumerate(dict.fromkeys(a for row in rows for a in known[row]))}
    count_UC = np.zeros((len(rows), len(categories)))
    for unit, row in enumerate(rows):
        for answer, times in Counter(known[row]).items():
            count_UC[unit, categories[answer]] = times
    size_U = count_UC.sum(axis=1)
    differing_U = (size_U**2 - (count_UC**2).sum(axis=1)) / (size_U - 1)
    sums_UK = np.column_stack([differing_U, count_UC])
    alpha = float(_alphas(sums_UK.sum(axis=0)[None])[0])
    answered, single = int(size_U.sum()), len(answers) - len(rows)
    if np.isnan(alpha):
        return LabelReliability(None, answered, single, 0)
    of_rows = rows if clusters is None else [clusters[row] for row in rows]
    low, high, undefined = _bootstrap(_summed(sums_UK, of_rows), seed)
    return LabelReliability(Estimate(alpha, low, high, len(rows)), answered, single, undefined)


def accuracy_from_agreement(
    agree: Sequence[bool] | npt.NDArray[np.bool_], clusters: Sequence[Hashable] | None = None
) -> Estimate:
    """The accuracy a that N comparisons of two answers to the same question imply, from 1/2 to 1.

    Two labellers who are right with probability a each, independently of one another, agree with probability

        p = a^2 + (1 - a)^2,     a = (1 + sqrt(2 p - 1)) / 2.

    **This is an upper bound of the accuracy wherever errors repeat.** If pair i is answered rightly with probability
    a_i, then p = 1/2 + 2 E[(a_i - 1/2)^2] >= 1/2 + 2 (E[a_i] - 1/2)^2 (Jensen), with equality only where all pairs are
    equally hard. One labeller's repeated answers are such a case: who always errs in the same way is consistent and
    wrong. Remembered answers and errors that two labellers share raise p further. What consistency does show is that
    the error is no smaller than 1 - a. Of two labellers whose accuracies differ, 2 a - 1 is the geometric mean of
    2 a_1 - 1 and 2 a_2 - 1.

    Args:
        agree: whether the two answers agree, for each question that got two that are neither ties nor skips.
        clusters: the cluster of each question, such as its prompt; None: questions are independent.

    Returns:
        The estimate with the interval of the share that agrees, mapped by the formula; agreement of one half or less
        is mapped to 1/2.

    Raises:
        DataError: there are no comparisons.
    """
    if not len(agree):
        raise DataError("An accuracy from agreement needs questions that were answered twice; there are none.")
    found = share_of(agree, clusters)

    def accuracy(p: float) -> float:
        return (1 + math.sqrt(max(0.0, 2 * p - 1))) / 2

    low, high = found.interval or (0.0, 1.0)
    return Estimate(accuracy(found.mean), accuracy(low), accuracy(high), found.n)


def _alphas(sums_BK: Floats) -> Floats:
    """Alpha of each of B sets, from n D_o and the C counts n_c; NaN where all answers are the same."""
    differing_B, count_BC = sums_BK[:, 0], sums_BK[:, 1:]
    n_B = count_BC.sum(axis=1)
    # n (n - 1) D_e
    expected_B = n_B**2 - (count_BC**2).sum(axis=1)
    alpha_B = np.full(len(sums_BK), np.nan)
    np.divide((n_B - 1) * differing_B, expected_B, out=alpha_B, where=expected_B > 0)
    return 1 - alpha_B


def _summed(sums_UK: Floats, clusters: Sequence[Hashable]) -> Floats:
    """The sums of each cluster, (G, K)."""
    place = {cluster: number for number, cluster in enumerate(dict.fromkeys(clusters))}
    sums_GK = np.zeros((len(place), sums_UK.shape[1]))
    np.add.at(sums_GK, [place[cluster] for cluster in clusters], sums_UK)
    return sums_GK


def _bootstrap(sums_GK: Floats, seed: int) -> tuple[float | None, float | None, int]:
    """Bounds of the percentile interval over resampled clusters, and how many samples have no alpha."""
    groups = len(sums_GK)
    if groups < 2:
        return None, None, 0
    rng = np.random.default_rng(seed)
    alike_G = np.full(groups, 1 / groups)
    # In parts, which bounds the memory.
    alpha_B = np.concatenate(
        [_alphas(rng.multinomial(groups, alike_G, size=_AT_ONCE) @ sums_GK) for _ in range(ALPHA_DRAWS // _AT_ONCE)]
    )
    undefined_B = np.isnan(alpha_B)
    if undefined_B.all():
        return None, None, ALPHA_DRAWS
    tail = (1 - CONFIDENCE_LEVEL) / 2
    low, high = np.quantile(alpha_B[~undefined_B], [tail, 1 - tail])
    return float(low), float(high), int(undefined_B.sum())
