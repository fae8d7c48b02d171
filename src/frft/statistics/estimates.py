"""Point estimates with 95 % confidence intervals, and hypothesis tests: pure functions of numbers."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from frft.statistics.accuracy import OrderAccuracy
from frft.statistics.intervals import CONFIDENCE_LEVEL, half_width, share_interval, standard_error, wilson
from frft.statistics.numbers import Floats, Numbers

ONE_SIDED_LEVEL = 0.05
"""Significance level of every one-sided test."""

FEWEST_POINTS = 5
"""Fewest observations for a rank correlation."""
WINDOW = 5
"""Width of the moving average of a smoothed curve, in steps; odd."""


@dataclass(frozen=True)
class Estimate:
    """A point estimate from n observations, with its confidence interval.

    Attributes:
        mean: the point estimate: a mean unless the function that returns it estimates something else.
        low, high: bounds of the confidence interval, of 95 % unless it is said otherwise; None where there are too few
            observations for one.
        n: number of observations.
    """

    mean: float
    low: float | None
    high: float | None
    n: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """(low, high), or None where there is no interval."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def as_dict(self) -> dict[str, Any]:
        """All fields as JSON-able values, for a results file."""
        return asdict(self)


def estimate(values: Numbers, clusters: Sequence[Hashable] | None = None, level: float = CONFIDENCE_LEVEL) -> Estimate:
    """The mean of N >= 1 observations, with Student's interval.

    Args:
        values: the observations, (N,).
        clusters: the cluster of each observation, which makes the standard error cluster-robust; None: all are
            independent.
        level: confidence level of the interval.
    """
    x_N = np.asarray(values, float)
    error = standard_error(x_N, clusters)
    if error is None:
        return Estimate(float(x_N.mean()), None, None, len(x_N))
    return student(float(x_N.mean()), error, _independent(x_N, clusters) - 1, len(x_N), level)


def _independent(values: Floats, clusters: Sequence[Hashable] | None) -> int:
    """Number of independent units: observations, or clusters of them."""
    return len(values) if clusters is None else len(set(clusters))


def student(mean: float, error: float, freedom: int, n: int, level: float = CONFIDENCE_LEVEL) -> Estimate:
    """A point estimate with Student's interval, from its standard error and `freedom` degrees of freedom."""
    half = half_width(error, freedom, level)
    return Estimate(mean, mean - half, mean + half, n)


def smoothed(values: Numbers) -> Floats:
    """Centred moving average over WINDOW steps, over fewer at both ends: float64 (T,), as `values`."""
    x_T, reach = np.asarray(values, float), WINDOW // 2
    return np.array([x_T[max(0, t - reach) : t + reach + 1].mean() for t in range(len(x_T))])


@dataclass(frozen=True)
class Change:
    """The change of a quantity, with one-sided tests of whether it rose or fell.

    Attributes:
        estimate: estimate of the change, in the quantity's own unit.
        p_rise: p-value of the one-sided test whose null hypothesis is that the quantity did not rise.
        p_fall: p-value of the test whose null hypothesis is that it did not fall. Both are None where there are too few
            observations.
    """

    estimate: Estimate
    p_rise: float | None
    p_fall: float | None

    def rose(self, level: float = ONE_SIDED_LEVEL) -> bool:
        """Whether the quantity rose, at this significance level."""
        return self.p_rise is not None and self.p_rise < level

    def fell(self, level: float = ONE_SIDED_LEVEL) -> bool:
        """Whether the quantity fell, at this significance level."""
        return self.p_fall is not None and self.p_fall < level


def paired_change(before: Numbers, after: Numbers, clusters: Sequence[Hashable] | None = None) -> Change:
    """Mean of N differences after - before, by a paired t test; cluster-robust where `clusters` is given."""
    difference_N = np.asarray(after, float) - np.asarray(before, float)
    found, error = estimate(difference_N, clusters), standard_error(difference_N, clusters)
    if error is None:
        return Change(found, None, None)
    return Change(found, *_one_sided(found.mean, error, _independent(difference_N, clusters) - 1))


def trend(values: Numbers) -> Change:
    """The change of T values in order from first to last, along their least-squares line (Student's t, T - 2 df).

    Each value must be measured on its own samples, so that the residuals are independent. Below three values there is
    no interval and no test.
    """
    y_T = np.asarray(values, float)
    count = len(y_T)
    if count < 3:
        return Change(Estimate(float(y_T[-1] - y_T[0]), None, None, count), None, None)
    t_T = np.arange(count, dtype=np.float64) - (count - 1) / 2
    by_step, span = slope(t_T, y_T), count - 1
    left_T = y_T - y_T.mean() - by_step * t_T
    # Var(slope) = s^2 / sum t^2 with s^2 = residuals^2 / (T - 2); the change from first to last is (T - 1) slopes.
    rise, error = by_step * span, span * float(np.sqrt(left_T @ left_T / (count - 2) / (t_T @ t_T)))
    return Change(student(rise, error, count - 2, count), *_one_sided(rise, error, count - 2))


def spearman(x: Numbers, y: Numbers) -> Estimate | None:
    """Spearman's rank correlation, ties at mean rank, with the interval of Bonett and Wright (2000).

    In Fisher's z = artanh(rho), its standard error is sqrt((1 + rho^2 / 2) / (N - 3)). Points count as independent.

    Returns:
        None where either side has one value only, or there are fewer than FEWEST_POINTS: with four, the interval of a
        perfect order excludes 0, which chance alone brings about in one of twelve.
    """
    from scipy import stats

    x_N, y_N = np.asarray(x, float), np.asarray(y, float)
    if len(x_N) < FEWEST_POINTS or not np.ptp(x_N) or not np.ptp(y_N):
        return None
    rho = float(np.corrcoef(stats.rankdata(x_N), stats.rankdata(y_N))[0, 1])
    # artanh is infinite at +-1. Any imperfect order of N points is farther from +-1 than this, so only those change.
    z = np.arctanh(np.clip(rho, -1 + 1e-12, 1 - 1e-12))
    half = stats.norm.ppf((1 + CONFIDENCE_LEVEL) / 2) * np.sqrt((1 + rho**2 / 2) / (len(x_N) - 3))
    return Estimate(rho, float(np.tanh(z - half)), float(np.tanh(z + half)), len(x_N))


def share(successes: int, n: int) -> Estimate:
    """The proportion of successes in n >= 1 independent trials, with Wilson's score interval."""
    return Estimate(successes / n, *wilson(successes, n), n)


def share_of(outcomes: Sequence[bool] | npt.NDArray[np.bool_], clusters: Sequence[Hashable] | None = None) -> Estimate:
    """The proportion of true outcomes among N >= 1, with the interval of `frft.statistics.intervals.share_interval`."""
    x_N = np.asarray(outcomes, float)
    return Estimate(float(x_N.mean()), *share_interval(x_N, clusters), len(x_N))


def difference(first: Estimate | OrderAccuracy, second: Estimate | OrderAccuracy) -> Estimate | None:
    """The difference first - second of independent estimates with intervals, as shares are (Newcombe 1998, method 10).

    With proportions p and their Wilson intervals [l, u], the lower bound is
    p1 - p2 - sqrt((p1 - l1)^2 + (u2 - p2)^2); the upper one likewise.

    Returns:
        None where one of them has no observations or no interval.
    """
    p, q = (each.accuracy if isinstance(each, OrderAccuracy) else each.mean for each in (first, second))
    if p is None or q is None or first.interval is None or second.interval is None:
        return None
    (p_low, p_high), (q_low, q_high) = first.interval, second.interval
    # Each bound takes the limits that make it: p's lower with q's upper one, and the reverse.
    below, above = np.hypot(p - p_low, q_high - q), np.hypot(p_high - p, q - q_low)
    return Estimate(p - q, float(p - q - below), float(p - q + above), first.n + second.n)


def ratio_interval(
    x: float, y: float, covariance_22: Floats, freedom: int, level: float = CONFIDENCE_LEVEL
) -> tuple[float, float] | None:
    """The ratio of two normal estimates: all rho for which x - rho y cannot be told from 0 (Fieller 1954).

    Args:
        x, y: numerator and denominator.
        covariance_22: covariance matrix of x and y, (2, 2).
        freedom: degrees of freedom with which it was estimated.
        level: confidence level of the set.

    Returns:
        None where y cannot be told from 0: the set is then unbounded.
    """
    from scipy import stats

    t2 = float(stats.t.ppf((1 + level) / 2, freedom)) ** 2
    # (x - rho y)^2 <= t^2 (s_xx - 2 rho s_xy + rho^2 s_yy), as a rho^2 - 2 b rho + c <= 0.
    a = y**2 - t2 * covariance_22[1, 1]
    if a <= 0:
        return None
    b, c = x * y - t2 * covariance_22[0, 1], x**2 - t2 * covariance_22[0, 0]
    root = np.sqrt(max(0.0, b * b - a * c))
    return float((b - root) / a), float((b + root) / a)


def slope(x: Numbers, y: Numbers) -> float:
    """The slope of the least-squares line through N >= 2 points whose x are not all equal."""
    x_N = np.asarray(x, float) - np.mean(x)
    return float(x_N @ np.asarray(y, float) / (x_N @ x_N))


def proportion(x: Numbers, y: Numbers, clusters: Sequence[Hashable]) -> Estimate:
    """b in y = b x + error, by least squares through the origin, from N >= 1 points whose x are not all 0.

    The standard error is cluster-robust: with residuals e and G clusters g,
    se^2 = G / (G - 1) * sum_g (sum_{i in g} x_i e_i)^2 / (sum_i x_i^2)^2. The interval is Student's with G - 1 df.

    Args:
        x, y: the points, (N,) each.
        clusters: the cluster of each point.
    """
    x_N, y_N = np.asarray(x, float), np.asarray(y, float)
    square = float(x_N @ x_N)
    b = float(x_N @ y_N) / square
    place = {cluster: number for number, cluster in enumerate(dict.fromkeys(clusters))}
    groups = len(place)
    if groups < 2:
        return Estimate(b, None, None, len(x_N))
    sums_G = np.zeros(groups)
    np.add.at(sums_G, [place[cluster] for cluster in clusters], x_N * (y_N - b * x_N))
    error = float(np.sqrt(groups / (groups - 1) * (sums_G @ sums_G))) / square
    return student(b, error, groups - 1, len(x_N))


def _one_sided(mean: float, error: float, freedom: int) -> tuple[float, float]:
    """p-values of the null hypotheses "no rise" and "no fall", from Student's t with `freedom` degrees of freedom."""
    from scipy import stats

    if not error:
        # All differences are equal: no evidence where they are 0, certainty otherwise.
        return (1.0, 1.0) if not mean else (float(mean < 0), float(mean > 0))
    return float(stats.t.sf(mean / error, freedom)), float(stats.t.cdf(mean / error, freedom))
