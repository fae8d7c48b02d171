"""Every alarm: a case that makes it fire, one that keeps it silent, and its rate of false alarms where it is a test."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from frft.diagnosis import alarms
from frft.diagnosis.overoptimisation import fit_gao
from frft.diagnosis.subject import Course, Scored, Selected
from frft.statistics import order_accuracy
from frft.statistics.estimates import Estimate, difference, paired_change
from frft.store import plain

RNG = np.random.default_rng(0)
D = np.linspace(0, 4, 48)


def scored(scores, texts=None):
    scores = np.asarray(scores, float)
    prompts = [f"p{n // 2}" for n in range(len(scores))]
    return Scored(prompts, texts or [f"text {n}" for n in range(len(scores))], scores)


def course(proxy, judge=None, kl=None):
    kl = np.linspace(0, 16, len(proxy)) if kl is None else kl
    return Course(np.asarray(proxy, float), np.asarray(kl, float), judge, 1.0)


def selected(kept, nearer, sources=None, copies=None, similarity=None):
    """`nearer`: whether the chosen side is the more policy-like one."""
    kept, nearer = np.asarray(kept, bool), np.asarray(nearer, float)
    columns = None if sources is None else {"source": sources}
    return Selected(kept, int(kept.sum()) if copies is None else copies, nearer, 1 - nearer, columns, similarity)


def accuracy(wins, n):
    return order_accuracy(np.where(np.arange(n) < wins, 1.0, -1.0), np.ones(n))


def test_collapsed_whatever_normalisation_hides():
    scores = RNG.normal(size=200)
    assert alarms.collapsed(scored(scores), gain=500.0).fired
    assert not alarms.collapsed(scored(scores), gain=5.0).fired


def test_saturated_at_either_end():
    scores = RNG.normal(size=200)
    assert not alarms.saturated(scored(scores)).fired
    assert alarms.saturated(scored(np.minimum(scores, -0.8))).fired
    assert alarms.saturated(scored(np.maximum(scores, 0.8))).fired


def test_a_text_that_is_written_often_does_not_saturate():
    scores = np.where(np.arange(200) < 150, 2.0, RNG.normal(size=200))
    texts = ["the same" if n < 150 else f"text {n}" for n in range(200)]
    same_prompt = Scored(["p"] * 200, texts, scores)
    assert not alarms.saturated(same_prompt).fired


def test_scale_grew():
    first = RNG.normal(size=300)
    now = first + RNG.normal(0, 0.5, size=300)
    assert alarms.grew(first, 2.5 * now).fired
    assert not alarms.grew(first, 1.1 * now).fired
    assert not alarms.grew(first, 0.3 * now).fired
    assert alarms.grew(np.zeros(5), first[:5]) is None


def test_the_interval_of_the_scale_covers():
    rng, covered = np.random.default_rng(5), 0
    for _ in range(500):
        x = rng.normal(size=60)
        low, high = alarms.grew(x, 1.3 * (0.8 * x + 0.6 * rng.normal(size=60))).interval
        covered += low <= 1.3 <= high
    assert 0.92 < covered / 500 < 0.98


def test_too_little_signal_within_a_prompt():
    prompt_means = np.repeat(RNG.normal(size=100), 2)
    alike, apart = (scored(prompt_means + RNG.normal(0, spread, 200)).spread() for spread in (0.1, 0.5))
    assert alarms.little_signal(alike, alike.total).fired
    assert not alarms.little_signal(apart, apart.total).fired


def test_stuck_is_flat_in_reward_and_in_kl():
    flat, little = RNG.normal(0, 0.05, 40), np.full(40, 0.01)
    assert alarms.stuck(course(flat, kl=little + RNG.normal(0, 0.01, 40))).fired
    assert not alarms.stuck(course(flat)).fired
    assert not alarms.stuck(course(flat + np.linspace(0, 2, 40), kl=little)).fired
    # Too noisy to be called flat.
    assert not alarms.stuck(course(20 * flat, kl=little)).fired
    # It moves, if for the worse.
    assert not alarms.stuck(course(flat - np.linspace(0, 1, 40), kl=little)).fired


def test_stuck_is_not_only_where_the_sft_model_is():
    """Since a refresh, say, from which a policy starts far away and goes nowhere."""
    flat, far = RNG.normal(0, 0.05, 40), 4 + RNG.normal(0, 0.02, 40)
    assert alarms.stuck(course(flat, kl=far)).fired
    assert not alarms.stuck(course(flat, kl=far + np.linspace(0, 1, 40))).fired
    assert not alarms.stuck(course(flat, kl=far - np.linspace(0, 0.15, 40))).fired


def test_too_narrow_in_diversity():
    kept = [True] * 4
    assert alarms.narrow_diversity(selected(kept, kept, similarity=(0.9, 0.5))).fired
    assert not alarms.narrow_diversity(selected(kept, kept, similarity=(0.6, 0.5))).fired
    assert alarms.narrow_diversity(selected(kept, kept)) is None
    assert alarms.narrow_diversity(selected(kept, kept, similarity=(1.0, 1.0))) is None


def test_too_narrow_by_duplicates():
    kept = [True] * 4
    assert alarms.narrow_duplicates(selected(kept, kept, copies=8)).fired
    assert not alarms.narrow_duplicates(selected(kept, kept, copies=5)).fired
    assert not alarms.narrow_duplicates(selected([False], [True], copies=0)).fired


def test_too_narrow_by_source():
    kept = np.arange(400) < 200
    one = ["a" if keep else "ab"[n % 2] for n, keep in enumerate(kept)]
    alarm = alarms.narrow_source(selected(kept, kept, sources=one))
    assert alarm.fired
    assert "'a'" in alarm.measured
    assert not alarms.narrow_source(selected(kept, kept, sources=["ab"[n % 2] for n in range(400)])).fired


def test_the_narrower_side_counts():
    """As under part 3: one source wrote the rejected texts of the selection, and any the chosen ones."""
    kept = np.arange(400) < 200
    any_, one = ["ab"[n % 2] for n in range(400)], ["c" if keep else "cd"[n % 2] for n, keep in enumerate(kept)]
    both = replace(selected(kept, kept), sources={"chosen_source": any_, "rejected_source": one})
    alarm = alarms.narrow_source(both)
    assert alarm.fired
    assert "'c' (rejected_source)" in alarm.measured
    assert not alarms.narrow_source(replace(both, sources={"chosen_source": any_, "rejected_source": any_})).fired
    # One that all of the pool has in common is no narrowness, although its share is larger.
    most = ["c" if keep and n % 20 != 1 else "cd"[n % 2] for n, keep in enumerate(kept)]
    common = replace(both, sources={"chosen_source": ["a"] * 400, "rejected_source": most})
    assert alarms.narrow_source(common).fired
    assert alarms.narrow_source(common).figure < 1


def test_a_pool_of_one_source_is_not_the_selections_doing():
    kept = np.arange(400) < 200
    assert not alarms.narrow_source(selected(kept, kept, sources=["a"] * 400)).fired
    assert not alarms.narrow_source(selected([True] * 99, [True] * 99, sources=["a"] * 99)).fired
    assert alarms.narrow_source(selected(kept, kept)) is None


def test_overfits_its_selection():
    assert alarms.overfits_selection(accuracy(180, 200), accuracy(600, 1000)).fired
    assert not alarms.overfits_selection(accuracy(130, 200), accuracy(600, 1000)).fired
    assert not alarms.overfits_selection(accuracy(9, 10), accuracy(600, 1000)).fired
    assert alarms.overfits_selection(order_accuracy([], []), accuracy(600, 1000)) is None


def test_what_was_known_before_the_refresh_is_no_overfitting():
    """A model that has seen the whole pool is better on any part of it than on pairs that were held out."""
    own, held_out = accuracy(360, 400), accuracy(1200, 2000)
    assert alarms.overfits_selection(own, held_out).fired
    assert not alarms.overfits_selection(own, held_out, Estimate(0.01, -0.02, 0.04, 400), accuracy(1210, 2000)).fired
    learned = alarms.overfits_selection(own, held_out, Estimate(0.15, 0.1, 0.2, 400), accuracy(1180, 2000))
    assert learned.fired
    assert learned.figure == pytest.approx(0.14)
    # Newcombe's two, put together: the gain's half-width, and that of the difference of the unfiltered accuracies.
    half = np.hypot(0.05, difference(accuracy(1200, 2000), accuracy(1180, 2000)).high - 0.01)
    assert learned.interval[0] == pytest.approx(0.14 - half)
    assert "gain of accuracy in the refresh" in learned.measured
    assert not alarms.overfits_selection(own, held_out, Estimate(0.1, 0.05, 0.15, 400), accuracy(1180, 2000)).fired
    assert alarms.overfits_selection(own, held_out, Estimate(0.1, None, None, 400), accuracy(1, 2)) is None


@pytest.mark.parametrize("share", [0.85, 0.15])
def test_the_shortcut_either_way(share):
    """As in parts 4 and 3: likeness predicts the label of 85 % of kept pairs, one way or the other."""
    kept = np.arange(2000) < 500
    nearer = np.where(kept, np.arange(2000) % 100 < 100 * share, np.arange(2000) % 2 == 0)
    alarm = alarms.shortcut(selected(kept, nearer))
    assert alarm.fired
    assert ("more" if share > 0.5 else "less") + " policy-like" in alarm.measured


def test_likeness_that_predicts_labels_everywhere_is_no_shortcut():
    kept, nearer = np.arange(2000) < 500, np.arange(2000) % 100 < 70
    assert not alarms.shortcut(selected(kept, nearer)).fired


def test_no_shortcut_without_similarities_or_left_out_pairs():
    kept = np.arange(10) < 5
    nothing = np.full(10, np.nan)
    assert alarms.shortcut(Selected(kept, 5, nothing, nothing)) is None
    assert alarms.shortcut(selected([True] * 10, [True] * 10)) is None


def test_overoptimised_before_against_after():
    proxy, judge = RNG.normal(size=(2, 50))
    up, down = paired_change(proxy, proxy + RNG.normal(1, 1, 50)), paired_change(judge, judge - RNG.normal(1, 1, 50))
    assert alarms.overoptimised(up, down, "").fired
    assert not alarms.overoptimised(up, up, "").fired
    assert not alarms.overoptimised(down, down, "").fired


def test_overoptimised_lately():
    judge = D * (1 - 0.3 * D) + RNG.normal(0, 0.05, 48)
    proxy = D + RNG.normal(0, 0.05, 48)
    alarm = alarms.overoptimised_lately(course(proxy, judge))
    assert alarm.fired
    assert alarm.interval[1] < 0
    assert not alarms.overoptimised_lately(course(proxy, D + RNG.normal(0, 0.05, 48))).fired
    assert alarms.overoptimised_lately(course(proxy)) is None
    assert alarms.overoptimised_lately(course(proxy[:9], judge[:9])) is None


def test_false_alarms_of_a_judge_that_levels_off():
    rng = np.random.default_rng(7)
    level = 1 - np.exp(-3 * D)
    fired = [alarms.overoptimised_lately(course(D, level + rng.normal(0, 0.1, 48))).fired for _ in range(400)]
    assert np.mean(fired) < 0.08


def test_more_looks_are_stricter():
    rng = np.random.default_rng(8)
    runs = [course(D, rng.normal(0, 0.1, 48)) for _ in range(400)]
    once, often = (np.mean([alarms.overoptimised_lately(run, looks).fired for run in runs]) for looks in (1, 10))
    assert 0.02 < once < 0.08
    assert often < 0.02


def test_past_the_peak():
    d = np.sqrt(np.linspace(0, 16, 48))
    peaked = np.array([0 if x == 0 else x * (0.6 - 0.4 * np.log(x)) for x in d]) + RNG.normal(0, 0.03, 48)
    far = course(D, peaked)
    alarm = alarms.past_the_peak(far, fit_gao(far.judge_T, far.kl_T))
    assert alarm.fired
    assert alarm.interval[0] < np.exp(0.5) < alarm.interval[1]
    near = course(D[:12], peaked[:12], np.linspace(0, 16, 48)[:12])
    alarm = alarms.past_the_peak(near, fit_gao(near.judge_T, near.kl_T))
    assert alarm is None or not alarm.fired


def test_a_judge_that_levels_off_is_not_past_a_peak():
    """Gao's formula must bend down somewhere, and finds a peak where there is a plateau."""
    rng, fits = np.random.default_rng(9), 0
    fired = []
    for _ in range(100):
        run = course(D, 1 - np.exp(-np.sqrt(np.linspace(0, 16, 48))) + rng.normal(0, 0.03, 48))
        fit = fit_gao(run.judge_T, run.kl_T)
        fits += fit.passed
        alarm = alarms.past_the_peak(run, fit)
        fired.append(alarm is not None and alarm.fired)
    assert fits > 50
    assert np.mean(fired) < 0.08


def test_no_peak_no_alarm():
    rising = course(D, D + RNG.normal(0, 0.01, 48))
    assert alarms.past_the_peak(rising, fit_gao(D**2, D**2)) is None
    assert alarms.past_the_peak(course(D), fit_gao(D, D**2)) is None


def test_an_alarm_is_json_able():
    assert set(plain(alarms.saturated(scored(RNG.normal(size=9))))) == {
        "name", "fired", "measured", "figure", "interval", "threshold", "meaning", "advice", "side",
    }  # fmt: skip
