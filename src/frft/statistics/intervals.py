"""How sure a mean of N outcomes is, where they are independent and where they come in clusters (pairs on one prompt).

Of G clusters with m_g outcomes that sum to s_g, the mean p = sum s_g / sum m_g is a ratio of sums over clusters, and

    standard error^2 = G / (G - 1) * sum_g (s_g - p m_g)^2 / N^2

(Cochran 1977, section 3.12; the cluster-robust one). With one outcome a cluster it is that of a mean.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from frft.errors import DataError

if TYPE_CHECKING:
    from frft.statistics.numbers import Numbers

CONFIDENCE_LEVEL = 0.95
"""Of every interval."""
SIGNIFICANCE_LEVEL = 0.05
"""Below which a p-value decides, where several are compared: after its correction."""


def wilson(successes: float, n: int) -> tuple[float, float]:
    """Wilson's (1927) 95 % score interval of the share of successes in n >= 1 independent outcomes.

    Ties make half a success each: of a number that is not whole, the lower bound is that of the whole number below, the
    upper that of the one above.
    """
    import math

    from scipy.special import ndtri

    quantile, whole = float(ndtri((1 + CONFIDENCE_LEVEL) / 2)), round(successes, 6)
    low, high = math.floor(whole), math.ceil(whole)
    return _score_interval(low / n, n, quantile)[0], _score_interval(high / n, n, quantile)[1]


def share_interval(values: Numbers, clusters: Sequence[Hashable] | None = None) -> tuple[float, float]:
    """The 95 % interval of the mean of N >= 1 outcomes: 0, 1, or 1/2 for a tie.

    Wilson's for independent outcomes. For clusters it is Wilson's for the effective sample size p (1 - p) / se^2, at
    most N, with Student's quantile for G - 1 degrees of freedom (Dean and Pagano 2015); where all clusters agree, and
    se is 0, for G.

    Args:
        values: the outcomes.
        clusters: which cluster each belongs to; none: all are independent, as where each is a cluster of its own.

    Raises:
        DataError: as `standard_error`.
    """
    import numpy as np
    from scipy.special import stdtrit

    x_N = np.asarray(values, float)
    n, groups = len(x_N), len(x_N) if clusters is None else len(set(clusters))
    share, error = float(x_N.mean()), standard_error(values, clusters)
    if groups == n:
        return wilson(float(x_N.sum()), n)
    if error is None or error < 1e-9:
        return wilson(share * groups, groups)
    effective = min(n, share * (1 - share) / error**2)
    return _score_interval(share, effective, float(stdtrit(groups - 1, (1 + CONFIDENCE_LEVEL) / 2)))


def half_width(error: float, freedom: float) -> float:
    """Half the width of Student's 95 % interval: t_{.975, freedom} times the standard error of the point estimate."""
    from scipy.special import stdtrit

    return error * float(stdtrit(freedom, (1 + CONFIDENCE_LEVEL) / 2))


def standard_error(values: Numbers, clusters: Sequence[Hashable] | None = None) -> float | None:
    """That of the mean of N >= 1 values; None where there is one value, or one cluster.

    Raises:
        DataError: there is not one cluster for each value.
    """
    import numpy as np

    x_N = np.asarray(values, float)
    n = len(x_N)
    of_N = range(n) if clusters is None else clusters
    if len(of_N) != n:
        raise DataError(f"{n} outcomes, and the clusters of {len(of_N)}; name one for each.")
    place = {cluster: number for number, cluster in enumerate(dict.fromkeys(of_N))}
    groups = len(place)
    if groups < 2:
        return None
    left_G = np.bincount([place[cluster] for cluster in of_N], weights=x_N - x_N.mean())
    return float(np.sqrt(groups / (groups - 1) * (left_G @ left_G)) / n)


def _score_interval(share: float, n: float, quantile: float) -> tuple[float, float]:
    z2 = quantile**2
    middle, scale = share + z2 / (2 * n), 1 + z2 / n
    half = quantile * (share * (1 - share) / n + z2 / (4 * n**2)) ** 0.5
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)
