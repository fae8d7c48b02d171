"""Statistics against closed forms, scipy, and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from frft import statistics
from frft.statistics import order_accuracy


def test_estimate_is_students_interval():
    values = [0.3, 1.1, -0.4, 0.9, 0.2]
    found = statistics.estimate(values)
    low, high = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert (found.mean, *found.interval, found.n) == pytest.approx((np.mean(values), low, high, 5))


def test_one_value_has_no_interval_and_no_test():
    assert statistics.estimate([2.0]) == statistics.Estimate(2.0, None, None, 1)
    assert statistics.estimate([2.0]).interval is None
    change = statistics.paired_change([1.0], [2.0])
    assert (change.p_rise, change.p_fall, change.rose(), change.fell()) == (None, None, False, False)
    assert statistics.trend([1.0, 2.0]) == statistics.Change(statistics.Estimate(1.0, None, None, 2), None, None)


def test_smoothing_takes_fewer_steps_at_the_ends():
    assert statistics.smoothed([0, 5, 10, 15, 20, 100]) == pytest.approx([5, 7.5, 10, 30, 36.25, 45])


def test_a_paired_change_is_that_of_a_paired_t_test():
    rng = np.random.default_rng(0)
    before, after = rng.normal(size=12), rng.normal(0.6, size=12)
    found = statistics.paired_change(before, after)
    assert found.p_rise == pytest.approx(stats.ttest_rel(after, before, alternative="greater").pvalue)
    assert found.p_fall == pytest.approx(stats.ttest_rel(after, before, alternative="less").pvalue)
    assert found.estimate.mean == pytest.approx(after.mean() - before.mean())


def test_changes_without_spread_are_certain_or_none():
    same, up = statistics.paired_change([1, 2], [1, 2]), statistics.paired_change([1, 2], [2, 3])
    assert (same.rose(), same.fell()) == (False, False)
    assert (up.rose(), up.fell()) == (True, False)


def test_a_trend_is_the_slope_of_linear_regression_times_the_span():
    rng = np.random.default_rng(1)
    values = 0.1 * np.arange(15) + rng.normal(size=15)
    found, known = statistics.trend(values), stats.linregress(np.arange(15), values, alternative="greater")
    assert found.estimate.mean == pytest.approx(14 * known.slope)
    assert found.p_rise == pytest.approx(known.pvalue)
    half = stats.t.ppf(0.975, 13) * known.stderr * 14
    assert found.estimate.high - found.estimate.mean == pytest.approx(half)


def test_a_level_can_be_stricter():
    change = statistics.Change(statistics.Estimate(1.0, 0.1, 1.9, 9), 0.03, 0.97)
    assert change.rose()
    assert not change.rose(0.01)
    assert not change.fell()


def test_spearman_is_scipys_with_ties():
    x, y = [1, 2, 2, 3, 5, 8, 9], [2, 1, 4, 4, 6, 9, 7]
    found = statistics.spearman(x, y)
    assert found.mean == pytest.approx(stats.spearmanr(x, y).statistic)
    assert found.low < found.mean < found.high <= 1


def test_the_interval_of_spearman_covers():
    """A normal correlation r has the rank correlation 6 / pi asin(r / 2)."""
    rng, r = np.random.default_rng(2), 0.6
    true = 6 / np.pi * np.arcsin(r / 2)
    covered = 0
    for _ in range(600):
        x = rng.normal(size=40)
        found = statistics.spearman(x, r * x + np.sqrt(1 - r**2) * rng.normal(size=40))
        covered += found.low <= true <= found.high
    assert 0.92 < covered / 600 < 0.98


def test_no_rank_correlation_of_nothing():
    assert statistics.spearman([1, 2, 3], [1, 2, 3]) is None
    assert statistics.spearman([1, 1, 1, 1], [1, 2, 3, 4]) is None
    perfect = statistics.spearman([1, 2, 3, 4, 5], [1, 2, 3, 4, 5])
    assert perfect.mean == pytest.approx(1)


def test_a_share_has_wilsons_interval():
    # By hand: centre (4 + z^2 / 2) / (10 + z^2), half z / (10 + z^2) sqrt(4 * 6 / 10 + z^2 / 4).
    z = stats.norm.ppf(0.975)
    centre, half = (4 + z**2 / 2) / (10 + z**2), z / (10 + z**2) * np.sqrt(2.4 + z**2 / 4)
    assert statistics.share(4, 10).interval == pytest.approx((centre - half, centre + half))


def test_a_difference_has_newcombes_interval():
    """56/70 against 48/80, the example of Newcombe (1998): 0.2, [0.0524, 0.3339]."""
    found = statistics.difference(statistics.share(56, 70), statistics.share(48, 80))
    assert (found.mean, *found.interval) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_no_difference_from_an_accuracy_of_nothing():
    assert statistics.difference(order_accuracy([], []), statistics.share(1, 2)) is None


def test_a_ratio_holds_what_a_t_test_does_not_reject():
    rng = np.random.default_rng(1)
    y = rng.normal(1.0, 0.4, size=9)
    x = 0.6 * y + rng.normal(0, 0.2, size=9)
    found = statistics.ratio_interval(x.mean(), y.mean(), np.cov(x, y) / 9, 8)
    kept = [rho for rho in np.linspace(-1, 2, 1501) if stats.ttest_1samp(x - rho * y, 0).pvalue >= 0.05]
    assert found == pytest.approx((min(kept), max(kept)), abs=0.003)


def test_no_ratio_to_what_cannot_be_told_from_zero():
    assert statistics.ratio_interval(1.0, 0.01, np.eye(2), 8) is None


def test_slope_is_that_of_least_squares():
    x, y = [0, 0, 1, 2], [0.1, -0.3, 0.5, 0.2]
    assert statistics.slope(x, y) == pytest.approx(np.polyfit(x, y, 1)[0])


def test_proportion_is_least_squares_through_the_origin_with_a_cluster_robust_error():
    from scipy import stats

    from frft.statistics import proportion

    rng = np.random.default_rng(1)
    x, clusters = rng.normal(size=30), [n // 3 for n in range(30)]
    y = 2 * x + rng.normal(size=30)
    found = proportion(x, y, clusters)
    b = np.linalg.lstsq(x[:, None], y, rcond=None)[0][0]
    assert found.mean == pytest.approx(b)
    # Each cluster in turn, by the definition of the sandwich.
    meat = sum(sum(x[i] * (y[i] - b * x[i]) for i in range(30) if clusters[i] == g) ** 2 for g in range(10))
    error = (10 / 9 * meat) ** 0.5 / sum(x * x)
    assert found.interval == pytest.approx(stats.t.interval(0.95, 9, b, error))
    assert proportion([1.0, 2.0], [2.0, 4.0], ["a", "a"]).interval is None


def test_the_interval_of_a_proportion_covers_at_its_level():
    from frft.statistics import proportion

    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(1000):
        x, common = rng.normal(size=60), np.repeat(rng.normal(size=20), 3)
        low, high = proportion(x, x + common * x + rng.normal(size=60), [n // 3 for n in range(60)]).interval
        covered += low <= 1 <= high
    # 95 % of 1000, give or take four standard errors, and what a sandwich of 20 clusters lacks.
    assert 900 <= covered <= 980
