"""Win rates against counting by hand and scipy's interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from frft.errors import DataError
from frft.evaluation import win_rate


class LongerIsBetter:
    def prefer(self, prompts, first, second):
        return [0.5 if len(a) == len(b) else float(len(a) > len(b)) for a, b in zip(first, second, strict=True)]


class FirstIsBetter:
    def prefer(self, prompts, first, second):
        return [1.0] * len(prompts)


def test_wins_ties_and_losses_are_counted_and_ties_are_half():
    result = win_rate(LongerIsBetter(), ["p"] * 4, ["aaa", "b", "cc", "dddd"], ["a", "bbb", "cc", "d"])
    assert (result.wins, result.ties, result.losses, result.flips, result.n) == (2, 1, 1, 0, 4)
    assert result.rate == pytest.approx((1 + 0 + 0.5 + 1) / 4)


def test_a_judge_that_only_sees_the_order_finds_nothing_but_ties():
    result = win_rate(FirstIsBetter(), ["p"] * 10, ["a"] * 10, ["b"] * 10)
    assert result.rate == 0.5
    assert result.ties == result.flips == 10


def test_swapping_the_sides_mirrors_everything():
    own, other = ["a" * n for n in range(20)], ["a" * (n * 7 % 20) for n in range(20)]
    one = win_rate(LongerIsBetter(), ["p"] * 20, own, other)
    two = win_rate(LongerIsBetter(), ["p"] * 20, other, own)
    assert (one.wins, one.losses, one.rate) == (two.losses, two.wins, pytest.approx(1 - two.rate))


def test_the_interval_is_close_to_the_t_interval_of_the_prompt_means():
    rng = np.random.default_rng(0)
    own = ["a" * n for n in rng.integers(1, 9, 300)]
    other = ["a" * n for n in rng.integers(1, 8, 300)]
    result = win_rate(LongerIsBetter(), ["p"] * 300, own, other, resamples=4000)
    means = np.array(LongerIsBetter().prefer(None, own, other))
    low, high = stats.t.interval(0.95, 299, loc=means.mean(), scale=stats.sem(means))
    assert result.interval == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))


def test_unanimous_prompts_do_not_give_an_interval_without_width():
    result = win_rate(LongerIsBetter(), ["p"] * 10, ["aa"] * 10, ["b"] * 10)
    expected = stats.binomtest(10, 10).proportion_ci(method="wilson")
    assert result.interval == (pytest.approx(expected.low), pytest.approx(expected.high))
    ties = win_rate(LongerIsBetter(), ["p"] * 11, ["a"] * 11, ["b"] * 11)
    assert ties.interval[0] < 0.5 < ties.interval[1]


@pytest.mark.parametrize("sizes", [(0, 0, 0), (2, 2, 1), (2, 1, 2)])
def test_sides_of_unequal_length_are_an_error(sizes):
    with pytest.raises(DataError, match="one completion of each side"):
        win_rate(LongerIsBetter(), *(["x"] * size for size in sizes))
