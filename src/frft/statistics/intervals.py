"""Standard errors and intervals of a mean of N outcomes, independent or clustered (several pairs on one prompt).

Of G clusters with m_g outcomes that sum to s_g, the mean p = sum s_g / sum m_g is a ratio of sums over clusters, and

    standard error^2 = G / (G - 1) * sum_g (s_g - p m_g)^2 / N^2

(Cochran 1977, section 3.12; the cluster-robust standard error). With one outcome in each cluster it is the ordinary
standard error of a mean.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from frft.errors import DataError

if TYPE_CHECKING:
    from frft.statistics.numbers import Numbers

CONFIDENCE_LEVEL = 0.95
"""Confidence level of every interval, but for statistics of a study that name another one."""
SIGNIFICANCE_LEVEL = 0.05
"""A p-value below this is significant; of several, after correction for multiple comparisons."""


def wilson(successes: float, n: int) -> tuple[float, float]:
    """Wilson's (1927) 95 % score interval of the share of successes in n >= 1 independent outcomes.

    A tie counts as half a success. Where `successes` is not a whole number, the lower bound is taken at the whole
    number below it and the upper bound at the one above, which is conservative.
    """
    import math

    from scipy.special import ndtri

    # Rounded first: a sum of shares such as 2.9999999 is meant as 3, and must not widen the interval.
    quantile, whole = float(ndtri((1 + CONFIDENCE_LEVEL) / 2)), round(successes, 6)
    low, high = math.floor(whole), math.ceil(whole)
    return _score_interval(low / n, n, quantile)[0], _score_interval(high / n, n, quantile)[1]


def share_interval(values: Numbers, clusters: Sequence[Hashable] | None = None) -> tuple[float, float]:
    """The 95 % interval of the mean of N >= 1 outcomes: 0, 1, or 1/2 for a tie.

    Wilson's for independent outcomes. For clustered outcomes it is Wilson's for the effective sample size
    p (1 - p) / se^2, at most N, with Student's quantile for G - 1 degrees of freedom (Dean and Pagano 2015). Where all
    clusters agree, so that se is 0, the sample size is G.

    Args:
        values: the outcomes, (N,).
        clusters: the cluster of each outcome; None: all are independent, as where each is a cluster of its own.

    Raises:
        DataError: `clusters` does not have one entry for each outcome.
    """
    import numpy as np
    from scipy.special import stdtrit

    x_N = np.asarray(values, float)
    n, groups = len(x_N), len(x_N) if clusters is None else len(set(clusters))
    share, error = float(x_N.mean()), standard_error(values, clusters)
    if groups == n:
        return wilson(float(x_N.sum()), n)
    # One cluster, or all clusters alike (up to rounding): se is no basis for an effective sample size.
    if error is None or error < 1e-9:
        return wilson(share * groups, groups)
    effective = min(n, share * (1 - share) / error**2)
    return _score_interval(share, effective, float(stdtrit(groups - 1, (1 + CONFIDENCE_LEVEL) / 2)))


def half_width(error: float, freedom: float, level: float = CONFIDENCE_LEVEL) -> float:
    """Half the width of Student's interval at a confidence level: t_{(1 + level) / 2, freedom} standard errors."""
    from scipy.special import stdtrit

    return error * float(stdtrit(freedom, (1 + level) / 2))


def standard_error(values: Numbers, clusters: Sequence[Hashable] | None = None) -> float | None:
    """Standard error of the mean of N >= 1 values, cluster-robust given `clusters`; None for one value or one cluster.

    Raises:
        DataError: `clusters` does not have one entry for each value.
    """
    import numpy as np

    x_N = np.asarray(values, float)
    n = len(x_N)
    of_N = range(n) if clusters is None else clusters
    if len(of_N) != n:
        raise DataError(f"There are {n} outcomes but {len(of_N)} cluster labels; give one for each outcome.")
    place = {cluster: number for number, cluster in enumerate(dict.fromkeys(of_N))}
    groups = len(place)
    if groups < 2:
        return None
    # Sum of the residuals of each cluster: s_g - p m_g in the formula above.
    left_G = np.bincount([place[cluster] for cluster in of_N], weights=x_N - x_N.mean())
    return float(np.sqrt(groups / (groups - 1) * (left_G @ left_G)) / n)


def _score_interval(share: float, n: float, quantile: float) -> tuple[float, float]:
    """Wilson's score interval of a proportion from n trials, n not necessarily whole; cut to [0, 1]."""
    z2 = quantile**2
    middle, scale = share + z2 / (2 * n), 1 + z2 / n
    half = quantile * (share * (1 - share) / n + z2 / (4 * n**2)) ** 0.5
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)
