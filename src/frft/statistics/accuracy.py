"""How often one score orders pairs as another does."""

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
    """How often scores order N pairs as the truth does.

    Attributes:
        accuracy: share of the n pairs that are in the true order; equal scores count one half. None where n is 0.
        interval: its 95 % interval: Wilson's, for the effective sample size where pairs come in clusters; see
            `frft.statistics.intervals.share_interval`.
        n: pairs that have an order in truth.
        ties: of these, the pairs with equal scores.
        without_order: pairs that are equal in truth, and left out.
    """

    accuracy: float | None
    interval: tuple[float, float] | None
    n: int
    ties: int
    without_order: int

    def as_dict(self) -> dict[str, Any]:
        """Everything, for a results file."""
        return asdict(self)


def order_accuracy(
    margins: Sequence[float] | NDArray[Any],
    true_margins: Sequence[float] | NDArray[Any],
    clusters: Sequence[Hashable] | None = None,
) -> OrderAccuracy:
    """Compare the signs of N differences with the signs that they should have.

    Args:
        margins: score(first) - score(second) of each pair.
        true_margins: the same by the truth.
        clusters: what tells apart the prompts of the pairs, which are not independent where they share one; none: all
            pairs are.

    Raises:
        DataError: the numbers differ, or a difference is not a number.
    """
    import numpy as np

    margin_N, true_N = np.asarray(margins, np.float64), np.asarray(true_margins, np.float64)
    if margin_N.shape != true_N.shape or np.isnan(margin_N).any() or np.isnan(true_N).any():
        raise DataError(
            f"An accuracy needs two differences, both numbers, for every pair; got {margin_N.size} and {true_N.size}."
        )
    if clusters is not None and len(clusters) != len(true_N):
        raise DataError(f"{len(true_N)} pairs, and the clusters of {len(clusters)}; name one for each.")
    ordered = np.flatnonzero(true_N).tolist()
    n = len(ordered)
    if n == 0:
        return OrderAccuracy(None, None, 0, 0, len(true_N))
    right_n = (1 + np.sign(margin_N) * np.sign(true_N))[ordered] / 2
    interval = share_interval(right_n, None if clusters is None else [clusters[pair] for pair in ordered])
    return OrderAccuracy(float(right_n.mean()), interval, n, int((right_n == 0.5).sum()), len(true_N) - n)


def within_prompt_variance(first: Sequence[float] | NDArray[Any], second: Sequence[float] | NDArray[Any]) -> float:
    """Mean over N prompts of the variance of a score under a policy, from two samples each: (r1 - r2)^2 / 2.

    The lower it is, the less policy gradients have to go by (Razin et al. 2503.15477).
    """
    import numpy as np

    return float(np.mean((np.asarray(first) - np.asarray(second)) ** 2) / 2)
