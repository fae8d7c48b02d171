"""Alarms of a selection: a case that makes each fire, and one that keeps it silent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from frft.diagnosis.alarms.selection import (
    narrow_diversity,
    narrow_duplicates,
    narrow_source,
    overfits_selection,
    shortcut,
)
from frft.diagnosis.subject import Selected
from frft.statistics import order_accuracy
from frft.statistics.estimates import Estimate, difference

RNG = np.random.default_rng(0)


def selected(kept, nearer, sources=None, copies=None, similarity=None):
    """`nearer`: whether the chosen side is the more policy-like one."""
    kept, nearer = np.asarray(kept, bool), np.asarray(nearer, float)
    columns = None if sources is None else {"source": sources}
    return Selected(kept, int(kept.sum()) if copies is None else copies, nearer, 1 - nearer, columns, similarity)


def accuracy(wins, n):
    return order_accuracy(np.where(np.arange(n) < wins, 1.0, -1.0), np.ones(n))


def test_too_narrow_in_diversity():
    kept = [True] * 4
    assert narrow_diversity(selected(kept, kept, similarity=(0.9, 0.5))).fired
    assert not narrow_diversity(selected(kept, kept, similarity=(0.6, 0.5))).fired
    assert narrow_diversity(selected(kept, kept)) is None
    assert narrow_diversity(selected(kept, kept, similarity=(1.0, 1.0))) is None


def test_too_narrow_by_duplicates():
    kept = [True] * 4
    assert narrow_duplicates(selected(kept, kept, copies=8)).fired
    assert not narrow_duplicates(selected(kept, kept, copies=5)).fired
    assert not narrow_duplicates(selected([False], [True], copies=0)).fired


def test_too_narrow_by_source():
    kept = np.arange(400) < 200
    one = ["a" if keep else "ab"[n % 2] for n, keep in enumerate(kept)]
    alarm = narrow_source(selected(kept, kept, sources=one))
    assert alarm.fired
    assert "'a'" in alarm.measured
    assert not narrow_source(selected(kept, kept, sources=["ab"[n % 2] for n in range(400)])).fired


def test_the_narrower_side_counts():
    """As under part 3: one source wrote the rejected texts of the selection, and any the chosen ones."""
    kept = np.arange(400) < 200
    any_, one = ["ab"[n % 2] for n in range(400)], ["c" if keep else "cd"[n % 2] for n, keep in enumerate(kept)]
    both = replace(selected(kept, kept), sources={"chosen_source": any_, "rejected_source": one})
    alarm = narrow_source(both)
    assert alarm.fired
    assert "'c' (rejected_source)" in alarm.measured
    assert not narrow_source(replace(both, sources={"chosen_source": any_, "rejected_source": any_})).fired
    # One that all of the pool has in common is no narrowness, although its share is larger.
    most = ["c" if keep and n % 20 != 1 else "cd"[n % 2] for n, keep in enumerate(kept)]
    common = replace(both, sources={"chosen_source": ["a"] * 400, "rejected_source": most})
    assert narrow_source(common).fired
    assert narrow_source(common).figure < 1


def test_a_pool_of_one_source_is_not_the_selections_doing():
    kept = np.arange(400) < 200
    assert not narrow_source(selected(kept, kept, sources=["a"] * 400)).fired
    assert not narrow_source(selected([True] * 99, [True] * 99, sources=["a"] * 99)).fired
    assert narrow_source(selected(kept, kept)) is None


def test_overfits_its_selection():
    assert overfits_selection(accuracy(180, 200), accuracy(600, 1000)).fired
    assert not overfits_selection(accuracy(130, 200), accuracy(600, 1000)).fired
    assert not overfits_selection(accuracy(9, 10), accuracy(600, 1000)).fired
    assert overfits_selection(order_accuracy([], []), accuracy(600, 1000)) is None


def test_what_was_known_before_the_refresh_is_no_overfitting():
    """A model that has seen the whole pool is better on any part of it than on pairs that were held out."""
    own, held_out = accuracy(360, 400), accuracy(1200, 2000)
    assert overfits_selection(own, held_out).fired
    assert not overfits_selection(own, held_out, Estimate(0.01, -0.02, 0.04, 400), accuracy(1210, 2000)).fired
    learned = overfits_selection(own, held_out, Estimate(0.15, 0.1, 0.2, 400), accuracy(1180, 2000))
    assert learned.fired
    assert learned.figure == pytest.approx(0.14)
    # Newcombe's two, put together: the gain's half-width, and that of the difference of the unfiltered accuracies.
    half = np.hypot(0.05, difference(accuracy(1200, 2000), accuracy(1180, 2000)).high - 0.01)
    assert learned.interval[0] == pytest.approx(0.14 - half)
    assert "gain of accuracy in the refresh" in learned.measured
    assert not overfits_selection(own, held_out, Estimate(0.1, 0.05, 0.15, 400), accuracy(1180, 2000)).fired
    assert overfits_selection(own, held_out, Estimate(0.1, None, None, 400), accuracy(1, 2)) is None


@pytest.mark.parametrize("share", [0.85, 0.15])
def test_the_shortcut_either_way(share):
    """As in parts 4 and 3: likeness predicts the label of 85 % of kept pairs, one way or the other."""
    kept = np.arange(2000) < 500
    nearer = np.where(kept, np.arange(2000) % 100 < 100 * share, np.arange(2000) % 2 == 0)
    alarm = shortcut(selected(kept, nearer))
    assert alarm.fired
    assert ("more" if share > 0.5 else "less") + " policy-like" in alarm.measured


def test_likeness_that_predicts_labels_everywhere_is_no_shortcut():
    kept, nearer = np.arange(2000) < 500, np.arange(2000) % 100 < 70
    assert not shortcut(selected(kept, nearer)).fired


def test_no_shortcut_without_similarities_or_left_out_pairs():
    kept = np.arange(10) < 5
    nothing = np.full(10, np.nan)
    assert shortcut(Selected(kept, 5, nothing, nothing)) is None
    assert shortcut(selected([True] * 10, [True] * 10)) is None
