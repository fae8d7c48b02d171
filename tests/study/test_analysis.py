"""Statistics against closed forms, scipy, simulation and brute force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from frft.results.cell import StepCurves
from frft.study import analysis


def test_one_seed_has_no_test():
    assert analysis.paired_p([2.0]) is None
    assert analysis.fieller([1.0], [2.0]) is None


def test_paired_p_is_that_of_a_paired_t_test():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=8), rng.normal(0.5, size=8)
    assert analysis.paired_p(first - second) == pytest.approx(stats.ttest_rel(first, second).pvalue)


def test_arms_that_are_one_artifact_differ_in_nothing():
    assert analysis.paired_p([0.0, 0.0, 0.0]) == 1.0
    assert analysis.paired_p([0.25, 0.25, 0.25]) == 0.0


def test_fieller_holds_the_ratios_that_a_t_test_does_not_reject():
    rng = np.random.default_rng(1)
    denominators = rng.normal(1.0, 0.4, size=9)
    numerators = 0.6 * denominators + rng.normal(0, 0.2, size=9)
    found = analysis.fieller(numerators, denominators)
    assert found is not None
    assert found.mean == pytest.approx(numerators.mean() / denominators.mean())
    kept = [
        rho for rho in np.linspace(-1, 2, 1501) if stats.ttest_1samp(numerators - rho * denominators, 0).pvalue >= 0.05
    ]
    assert (found.low, found.high) == pytest.approx((min(kept), max(kept)), abs=0.003)


def test_no_ratio_to_what_cannot_be_told_from_zero():
    assert analysis.fieller([1.0, 1.1, 0.9], [0.1, -0.1, 0.05]) is None


def test_fieller_of_an_arm_with_itself_is_one():
    found = analysis.fieller([1.0, 1.2, 0.9], [1.0, 1.2, 0.9])
    assert found is not None
    assert (found.mean, found.low, found.high) == pytest.approx((1, 1, 1))


@pytest.mark.parametrize("denominators", [[-1.0, -1.1, -0.9], [0.0, 0.0, 0.0]])
def test_no_share_of_a_loss(denominators):
    assert analysis.fieller([-0.5, -0.6, -0.5], denominators) is None


def test_gold_at_a_kl_lies_on_straight_lines():
    kl = np.arange(12.0)
    gold = 3 * kl + 1
    value, step = analysis.gold_at_kl(gold, kl, 5.25)
    assert (value, step) == pytest.approx((3 * 5.25 + 1, 6.25))


def test_gold_at_a_kl_is_that_of_the_last_time():
    kl = [*np.linspace(0, 8, 20), *np.linspace(8, 2, 20), *np.linspace(2, 9, 20)]
    gold = np.arange(60.0)
    value, step = analysis.gold_at_kl(gold, kl, 5.0)
    assert 40 < value < 60
    assert step == pytest.approx(value + 1)


def test_gold_at_a_kl_out_of_reach_is_that_of_an_end():
    gold, kl = np.arange(9.0), np.arange(9.0) + 1
    assert analysis.gold_at_kl(gold, kl, -1) == (analysis.smoothed(gold)[0], 1.0)
    assert analysis.gold_at_kl(gold, kl, 99) == (analysis.smoothed(gold)[-1], 9.0)


def curves(gold, kl) -> StepCurves:
    return StepCurves(gold.tolist(), kl.tolist(), kl.tolist())


def test_gain_at_equal_kl_is_free_of_how_fast_kl_grows():
    slow, fast = np.linspace(0, 4, 30), np.linspace(0, 9, 30)
    gain, _ = analysis.equal_kl_gain(curves(0.5 * fast + 1, fast), curves(0.5 * slow, slow))
    assert gain == pytest.approx(1)
    assert analysis.equal_kl_gain(curves(slow, slow), curves(slow, slow))[0] == 0


def test_the_step_at_equal_kl_is_that_of_the_earlier_one():
    slow, fast = np.linspace(0, 4, 31), np.linspace(0, 8, 31)
    both = curves(slow, slow), curves(fast, fast)
    # The slow one ends, smoothed, at its step 30 with KL 29 / 30 * 4, where the fast one was after half as much.
    assert analysis.equal_kl_gain(*both)[1] == pytest.approx(15.5)
    assert analysis.equal_kl_gain(*reversed(both))[1] == pytest.approx(15.5)


def test_arms_are_alike_until_any_of_what_they_did_differs():
    arm = StepCurves([1.0, 2.0, 3.0], [0.0] * 3, [0.0, 0.1, 0.2])
    other = replace(arm, gold=[1.0, 2.0, 4.0])
    assert [analysis.alike_until(arm, other, step) for step in (1.0, 2.0, 2.01, 3.0)] == [True, True, False, False]
    # An ensemble's policy starts as all others do, and follows another reward from the first step on.
    assert not analysis.alike_until(arm, replace(arm, score=[0.01, 0.1, 0.2]), 1.0)


def test_steps_to_reach_and_their_median():
    gold = np.arange(20.0)
    assert analysis.steps_to_reach(gold, 10) == 11
    assert analysis.steps_to_reach(gold, 30) is None
    assert analysis.median_step([3, None, 9]) == 9
    assert analysis.median_step([3, None, None]) is None
    assert analysis.median_step([4, 6]) == 5
    assert analysis.median_step([]) is None


def test_differences_that_are_equal_up_to_rounding_are_equal():
    assert analysis.paired_p([0.1 + 0.2 - 0.3 + 0.5, 0.5, 0.5]) == 0.0


@pytest.mark.parametrize("level", [0.8, 0.9, 0.99])
def test_fieller_holds_the_ratios_that_a_t_test_does_not_reject_at_its_level(level):
    rng = np.random.default_rng(3)
    denominators = rng.normal(1.0, 0.2, size=8)
    numerators = 0.5 * denominators + rng.normal(0, 0.2, size=8)
    found = analysis.fieller(numerators, denominators, level)
    assert found is not None
    for end in (found.low, found.high):
        assert stats.ttest_1samp(numerators - end * denominators, 0).pvalue == pytest.approx(1 - level)
