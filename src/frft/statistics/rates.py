"""The 95 % interval of a rate over prompts, its p-value, and Holm's correction over several of them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

from frft.statistics.intervals import half_width, wilson

K = TypeVar("K", bound=Hashable)


def rate_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean of N >= 1 independent values in [0, 1], one for each prompt.

    Student's t, cut to [0, 1]. Where all values are the same, that would have no width; then it is Wilson's (1927)
    score interval for N times this value as the number of successes in N trials (see `frft.statistics.wilson`).
    """
    import numpy as np

    x_N = np.asarray(values, float)
    n, rate = len(x_N), float(x_N.mean())
    if _all_alike(values):
        return wilson(rate * n, n)
    half = half_width(float(x_N.std(ddof=1) / np.sqrt(n)), n - 1)
    return max(0.0, rate - half), min(1.0, rate + half)


def rate_p_value(values: Sequence[float]) -> float:
    """Two-sided p-value of the mean of N >= 1 values in [0, 1] against 1/2, consistent with `rate_interval`.

    Student's t test; where all values are the same, the score test of a proportion, which Wilson's interval inverts.
    """
    import numpy as np
    from scipy import stats

    x_N = np.asarray(values, float)
    if _all_alike(values):
        # z = (mean - 1/2) / sqrt(1/4 / N), with the variance of the null hypothesis.
        return float(2 * stats.norm.sf(abs(x_N.mean() - 0.5) * 2 * np.sqrt(len(x_N))))
    return float(stats.ttest_1samp(x_N, 0.5).pvalue)


def holm(p_values: Mapping[K, float]) -> dict[K, float]:
    """p-values after Holm's (1979) step-down correction for m tests, by name, in the order given.

    Comparing them with a significance level bounds the family-wise error rate by that level.
    """
    ordered = sorted(p_values, key=lambda name: p_values[name])
    corrected: dict[K, float] = {}
    largest = 0.0
    # Adjusted p of the k-th smallest: the maximum over j <= k of min(1, (m - j + 1) p_j).
    for position, name in enumerate(ordered):
        largest = max(largest, min(1.0, (len(ordered) - position) * p_values[name]))
        corrected[name] = largest
    return {name: corrected[name] for name in p_values}


def _all_alike(values: Sequence[float]) -> bool:
    return max(values) == min(values)
