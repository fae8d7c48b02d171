"""Alarms of training: each fires and is silent where it should, and its rate of false alarms where it is a test."""

from __future__ import annotations

import numpy as np

from frft.diagnosis.alarms.training import overoptimised, overoptimised_lately, past_the_peak, stuck
from frft.diagnosis.overoptimisation import fit_gao
from frft.diagnosis.subject import Course
from frft.statistics.estimates import paired_change

RNG = np.random.default_rng(0)
D = np.linspace(0, 4, 48)


def course(proxy, judge=None, kl=None):
    kl = np.linspace(0, 16, len(proxy)) if kl is None else kl
    return Course(np.asarray(proxy, float), np.asarray(kl, float), judge, 1.0)


def test_stuck_is_flat_in_reward_and_in_kl():
    flat, little = RNG.normal(0, 0.05, 40), np.full(40, 0.01)
    assert stuck(course(flat, kl=little + RNG.normal(0, 0.01, 40))).fired
    assert not stuck(course(flat)).fired
    assert not stuck(course(flat + np.linspace(0, 2, 40), kl=little)).fired
    # Too noisy to be called flat.
    assert not stuck(course(20 * flat, kl=little)).fired
    # It moves, if for the worse.
    assert not stuck(course(flat - np.linspace(0, 1, 40), kl=little)).fired


def test_stuck_is_not_only_where_the_sft_model_is():
    """Since a refresh, say, from which a policy starts far away and goes nowhere."""
    flat, far = RNG.normal(0, 0.05, 40), 4 + RNG.normal(0, 0.02, 40)
    assert stuck(course(flat, kl=far)).fired
    assert not stuck(course(flat, kl=far + np.linspace(0, 1, 40))).fired
    assert not stuck(course(flat, kl=far - np.linspace(0, 0.15, 40))).fired


def test_overoptimised_before_against_after():
    proxy, judge = RNG.normal(size=(2, 50))
    up, down = paired_change(proxy, proxy + RNG.normal(1, 1, 50)), paired_change(judge, judge - RNG.normal(1, 1, 50))
    assert overoptimised(up, down, "").fired
    assert not overoptimised(up, up, "").fired
    assert not overoptimised(down, down, "").fired


def test_overoptimised_lately():
    judge = D * (1 - 0.3 * D) + RNG.normal(0, 0.05, 48)
    proxy = D + RNG.normal(0, 0.05, 48)
    alarm = overoptimised_lately(course(proxy, judge))
    assert alarm.fired
    assert alarm.interval[1] < 0
    assert not overoptimised_lately(course(proxy, D + RNG.normal(0, 0.05, 48))).fired
    assert overoptimised_lately(course(proxy)) is None
    assert overoptimised_lately(course(proxy[:9], judge[:9])) is None


def test_false_alarms_of_a_judge_that_levels_off():
    rng = np.random.default_rng(7)
    level = 1 - np.exp(-3 * D)
    fired = [overoptimised_lately(course(D, level + rng.normal(0, 0.1, 48))).fired for _ in range(400)]
    assert np.mean(fired) < 0.08


def test_more_looks_are_stricter():
    rng = np.random.default_rng(8)
    runs = [course(D, rng.normal(0, 0.1, 48)) for _ in range(400)]
    once, often = (np.mean([overoptimised_lately(run, looks).fired for run in runs]) for looks in (1, 10))
    assert 0.02 < once < 0.08
    assert often < 0.02


def test_past_the_peak():
    d = np.sqrt(np.linspace(0, 16, 48))
    peaked = np.array([0 if x == 0 else x * (0.6 - 0.4 * np.log(x)) for x in d]) + RNG.normal(0, 0.03, 48)
    far = course(D, peaked)
    alarm = past_the_peak(far, fit_gao(far.judge_T, far.kl_T))
    assert alarm.fired
    assert alarm.interval[0] < np.exp(0.5) < alarm.interval[1]
    near = course(D[:12], peaked[:12], np.linspace(0, 16, 48)[:12])
    alarm = past_the_peak(near, fit_gao(near.judge_T, near.kl_T))
    assert alarm is None or not alarm.fired


def test_a_judge_that_levels_off_is_not_past_a_peak():
    """Gao's formula must bend down somewhere, and finds a peak where there is a plateau."""
    rng, fits = np.random.default_rng(9), 0
    fired = []
    for _ in range(100):
        run = course(D, 1 - np.exp(-np.sqrt(np.linspace(0, 16, 48))) + rng.normal(0, 0.03, 48))
        fit = fit_gao(run.judge_T, run.kl_T)
        fits += fit.passed
        alarm = past_the_peak(run, fit)
        fired.append(alarm is not None and alarm.fired)
    assert fits > 50
    assert np.mean(fired) < 0.08


def test_no_peak_no_alarm():
    rising = course(D, D + RNG.normal(0, 0.01, 48))
    assert past_the_peak(rising, fit_gao(D**2, D**2)) is None
    assert past_the_peak(course(D), fit_gao(D, D**2)) is None
