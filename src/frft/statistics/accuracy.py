"""Pairwise accuracy: how often one score orders the two members of a pair as another score does."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from frft.errors import DataError
from frft.statistics.intervals import share_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class OrderAccuracy:
    """How often scores order N pairs as the true scores do.

    Attributes:
        accuracy: share of the n pairs that are in the true order; equal scores count one half. None where n is 0.
        interval: its 95 % confidence interval: Wilson's, for the effective sample size where pairs are clustered; see
            `frft.statistics.intervals.share_interval`.
        n: pairs compared: those whose two true scores differ.
        ties: those among the n pairs whose two scores are equal.
        without_order: pairs whose two true scores are equal; they are left out of n.
    """

    accuracy: float | None
    interval: tuple[float, float] | None
    n: int
    ties: int
    without_order: int

    def as_dict(self) -> dict[str, Any]:
        """All fields as JSON-able values, for a results file."""
        return asdict(self)


def order_accuracy(
    margins: Sequence[float] | NDArray[Any],
    true_margins: Sequence[float] | NDArray[Any],
    clusters: Sequence[Hashable] | None = None,
) -> OrderAccuracy:
    """Compare the signs of N differences with the signs that they should have.

    Args:
        margins: score(first) - score(second) of each pair.
        true_margins: true score(first) - true score(second) of each pair.
        clusters: a label for each pair, such as its prompt; pairs with the same label are not independent. None: all
            pairs are independent.

    Raises:
        DataError: the arguments differ in length, or a margin is NaN.
    """
    import numpy as np

    margin_N, true_N = np.asarray(margins, np.float64), np.asarray(true_margins, np.float64)
    if margin_N.shape != true_N.shape or np.isnan(margin_N).any() or np.isnan(true_N).any():
        raise DataError(
            f"An accuracy needs a margin and a true margin, both numbers, for every pair; got {margin_N.size} margins "
            f"and {true_N.size} true margins, {int(np.isnan(margin_N).sum() + np.isnan(true_N).sum())} of them NaN."
        )
    if clusters is not None and len(clusters) != len(true_N):
        raise DataError(f"There are {len(true_N)} pairs but {len(clusters)} cluster labels; give one for each pair.")
    ordered = np.flatnonzero(true_N).tolist()
    n = len(ordered)
    if n == 0:
        return OrderAccuracy(None, None, 0, 0, len(true_N))
    # 1 where both signs agree, 0 where they differ, 1/2 where the scores are equal (a sign of 0).
    right_n = (1 + np.sign(margin_N) * np.sign(true_N))[ordered] / 2
    interval = share_interval(right_n, None if clusters is None else [clusters[pair] for pair in ordered])
    return OrderAccuracy(float(right_n.mean()), interval, n, int((right_n == 0.5).sum()), len(true_N) - n)


def within_prompt_variance(first: Sequence[float] | NDArray[Any], second: Sequence[float] | NDArray[Any]) -> float:
    """Mean over N prompts of the variance of a score under a policy, from two samples each: (r1 - r2)^2 / 2.

    The lower it is, the smaller the policy gradient (Razin et al. 2503.15477).

    Args:
        first, second: scores of the first and of the second completion of each prompt, (N,).
    """
    import numpy as np

    return float(np.mean((np.asarray(first) - np.asarray(second)) ** 2) / 2)
