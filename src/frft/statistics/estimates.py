"""Estimates with intervals, all at LEVEL, and tests: pure functions of numbers."""

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
"""Of every one-sided test."""

FEWEST_POINTS = 5
"""That a rank correlation takes."""
WINDOW = 5
"""Steps that a point of a smoothed curve is the mean of."""


@dataclass(frozen=True)
class Estimate:
    """An estimate from n values.

    Attributes:
        mean: of them, or what else is estimated.
        low, high: ends of the 95 % interval; none: there are too few values.
        n: how many.
    """

    mean: float
    low: float | None
    high: float | None
    n: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def as_dict(self) -> dict[str, Any]:
        """For a results file."""
        return asdict(self)


def estimate(values: Numbers, clusters: Sequence[Hashable] | None = None) -> Estimate:
    """The mean of N >= 1 values, with Student's interval.

    Args:
        values: of them.
        clusters: which cluster each belongs to; none: all are independent.
    """
    x_N = np.asarray(values, float)
    error = standard_error(x_N, clusters)
    if error is None:
        return Estimate(float(x_N.mean()), None, None, len(x_N))
    return student(float(x_N.mean()), error, _independent(x_N, clusters) - 1, len(x_N))


def _independent(values: Floats, clusters: Sequence[Hashable] | None) -> int:
    return len(values) if clusters is None else len(set(clusters))


def student(mean: float, error: float, freedom: int, n: int) -> Estimate:
    """An estimate with this standard error, of so many degrees of freedom, and Student's interval."""
    half = half_width(error, freedom)
    return Estimate(mean, mean - half, mean + half, n)


def smoothed(values: Numbers) -> Floats:
    """The centred mean over WINDOW steps, over fewer at both ends."""
    x_T, reach = np.asarray(values, float), WINDOW // 2
    return np.array([x_T[max(0, t - reach) : t + reach + 1].mean() for t in range(len(x_T))])


@dataclass(frozen=True)
class Change:
    """How much a quantity changed, and whether it did.

    Attributes:
        estimate: of the change, in the quantity's own unit.
        p_rise: of the one-sided test whose null hypothesis is that it did not rise.
        p_fall: that it did not fall. None, both: too few values.
    """

    estimate: Estimate
    p_rise: float | None
    p_fall: float | None

    def rose(self, level: float = ONE_SIDED_LEVEL) -> bool:
        """Whether it rose, tested at this level."""
        return self.p_rise is not None and self.p_rise < level

    def fell(self, level: float = ONE_SIDED_LEVEL) -> bool:
        """Whether it fell, tested at this level."""
        return self.p_fall is not None and self.p_fall < level


def paired_change(before: Numbers, after: Numbers, clusters: Sequence[Hashable] | None = None) -> Change:
    """The mean of N differences after - before, by a paired t test, whose errors are those of clusters where given."""
    difference_N = np.asarray(after, float) - np.asarray(before, float)
    found, error = estimate(difference_N, clusters), standard_error(difference_N, clusters)
    if error is None:
        return Change(found, None, None)
    return Change(found, *_one_sided(found.mean, error, _independent(difference_N, clusters) - 1))


def trend(values: Numbers) -> Change:
    """How much T values in order changed from first to last, along their least-squares line (Student, T - 2).

    Each value must be measured on its own samples, so that what is left about the line is independent.
    """
    y_T = np.asarray(values, float)
    count = len(y_T)
    if count < 3:
        return Change(Estimate(float(y_T[-1] - y_T[0]), None, None, count), None, None)
    t_T = np.arange(count, dtype=np.float64) - (count - 1) / 2
    by_step, span = slope(t_T, y_T), count - 1
    left_T = y_T - y_T.mean() - by_step * t_T
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
    # At 1 the transformation has no value; ranks of N points that are not all in order are at least this far from it.
    z = np.arctanh(np.clip(rho, -1 + 1e-12, 1 - 1e-12))
    half = stats.norm.ppf((1 + CONFIDENCE_LEVEL) / 2) * np.sqrt((1 + rho**2 / 2) / (len(x_N) - 3))
    return Estimate(rho, float(np.tanh(z - half)), float(np.tanh(z + half)), len(x_N))


def share(successes: int, n: int) -> Estimate:
    """The share of n >= 1 yes-or-no outcomes, with Wilson's score interval."""
    return Estimate(successes / n, *wilson(successes, n), n)


def share_of(outcomes: Sequence[bool] | npt.NDArray[np.bool_], clusters: Sequence[Hashable] | None = None) -> Estimate:
    """The share of N >= 1 yes-or-no outcomes, with the interval of `frft.statistics.intervals.share_interval`."""
    x_N = np.asarray(outcomes, float)
    return Estimate(float(x_N.mean()), *share_interval(x_N, clusters), len(x_N))


def difference(first: Estimate | OrderAccuracy, second: Estimate | OrderAccuracy) -> Estimate | None:
    """The difference first - second of independent estimates with intervals, as shares are (Newcombe 1998, method 10).

    Of the shares p and their Wilson intervals [l, u]: p1 - p2 - sqrt((p1 - l1)^2 + (u2 - p2)^2), and likewise above.

    Returns:
        None where one of them is of nothing.
    """
    p, q = (each.accuracy if isinstance(each, OrderAccuracy) else each.mean for each in (first, second))
    if p is None or q is None or first.interval is None or second.interval is None:
        return None
    (p_low, p_high), (q_low, q_high) = first.interval, second.interval
    below, above = np.hypot(p - p_low, q_high - q), np.hypot(p_high - p, q - q_low)
    return Estimate(p - q, float(p - q - below), float(p - q + above), first.n + second.n)


def ratio_interval(x: float, y: float, covariance_22: Floats, freedom: int) -> tuple[float, float] | None:
    """The ratio of two normal estimates: all rho for which x - rho y cannot be told from 0 (Fieller 1954).

    Args:
        x, y: numerator and denominator.
        covariance_22: their covariance, estimated with so many degrees of `freedom`.

    Returns:
        None where y cannot be told from 0: the set has no two ends then.
    """
    from scipy import stats

    t2 = float(stats.t.ppf((1 + CONFIDENCE_LEVEL) / 2, freedom)) ** 2
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


def _one_sided(mean: float, error: float, freedom: int) -> tuple[float, float]:
    """p against "no rise", and against "no fall"."""
    from scipy import stats

    if not error:
        # All differences are one number: nothing, or certain.
        return (1.0, 1.0) if not mean else (float(mean < 0), float(mean > 0))
    return float(stats.t.sf(mean / error, freedom)), float(stats.t.cdf(mean / error, freedom))
