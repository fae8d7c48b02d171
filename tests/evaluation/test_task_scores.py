"""Differences between two models on the same documents: against scipy, against simulation, and by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from frft.errors import DataError
from frft.evaluation import TaskScore, TaskScores, compare_tasks
from frft.evaluation.task_scores import mean_interval


def scored(values, model="m", **more):
    keys = [f"d{n}" for n in range(len(values))]
    score = TaskScore(
        "quiz",
        "acc",
        "none",
        **{
            "value": float(np.mean(values)),
            "stderr": 0.1,
            "higher_is_better": True,
            "shots": 0,
            "n": len(values),
            "documents": dict(zip(keys, values, strict=True)),
            "bounded": True,
            **more,
        },
    )
    return TaskScores(model, "0", ["quiz"], [score], {"quiz": keys}, len(values), 0)


def test_the_difference_is_a_paired_t_test_over_documents():
    rng = np.random.default_rng(0)
    before, after = (rng.random(200) < share for share in (0.6, 0.4))
    (found,) = compare_tasks(scored(before.astype(float)), scored(after.astype(float)))
    test = stats.ttest_rel(after.astype(float), before.astype(float))
    assert found.difference == pytest.approx(after.mean() - before.mean())
    assert found.p_value == pytest.approx(test.pvalue)
    assert found.interval == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert (found.up, found.down, found.n) == ((after & ~before).sum(), (before & ~after).sum(), 200)
    assert found.reading() == "got worse"
    assert found.reading(0.06) == "no difference shown"


def test_the_reading_follows_the_metric_and_not_the_sign():
    low, high = [0.1, 0.2, 0.3] * 20, [0.3, 0.5, 0.4] * 20
    for higher_is_better, reading in ((True, "got better"), (False, "got worse"), (None, "changed")):
        sides = (scored(values, higher_is_better=higher_is_better) for values in (low, high))
        assert compare_tasks(*sides)[0].reading() == reading


def test_documents_that_are_all_alike_prove_nothing_when_there_are_few():
    (few,) = compare_tasks(scored([0.0] * 3), scored([1.0] * 3))
    assert few.p_value == pytest.approx(0.5**3)
    assert few.reading() == "no difference shown"
    assert few.interval[0] < 0 < few.interval[1]
    (many,) = compare_tasks(scored([0.0] * 30), scored([1.0] * 30))
    assert many.reading() == "got better"
    # The rule of three: with none among n, a share of about 3 / n could have been missed; each counts from 1 to -1.
    assert many.interval == pytest.approx((1 - 2 * 3 / 30, 1.0), abs=0.02)
    (same,) = compare_tasks(scored([0.0] * 30), scored([0.0] * 30))
    assert (same.p_value, same.reading()) == (1.0, "no difference shown")
    assert same.interval == pytest.approx((-0.1, 0.1), abs=0.006)


@pytest.mark.parametrize("n", [3, 10, 50])
def test_the_p_of_documents_that_are_all_alike_is_where_the_interval_ends_at_zero(n):
    for value in (-1.0, -0.4, 0.3, 1.0):
        (found,) = compare_tasks(scored([max(-value, 0.0)] * n), scored([max(value, 0.0)] * n))
        assert (found.interval[0] > 0 or found.interval[1] < 0) == (found.p_value < 0.05)


def test_without_known_limits_documents_that_are_all_alike_have_no_interval():
    (found,) = compare_tasks(scored([5.0] * 9, bounded=False), scored([6.0] * 9, bounded=False))
    assert (found.interval, found.p_value, found.reading()) == (None, None, "no interval")


@pytest.mark.parametrize(("n", "up", "down"), [(100, 0.15, 0.05), (1000, 0.02, 0.03), (300, 0.1, 0.1)])
def test_the_interval_holds_the_true_difference_as_often_as_it_says(n, up, down):
    rng = np.random.default_rng(n)
    draws = rng.choice([1.0, -1.0, 0.0], (1000, n), p=[up, down, 1 - up - down])
    held = [low <= up - down <= high for low, high in (mean_interval(row, (-1.0, 1.0)) for row in draws)]
    assert 0.93 <= np.mean(held) <= 0.97


def test_the_interval_of_documents_without_any_difference_holds_what_was_missed():
    # Of a share of 3 / n, one of twenty draws sees none.
    n, share = 60, 1 - 0.05 ** (1 / 60)
    low, high = mean_interval(np.zeros(n), (-1.0, 1.0))
    assert -low == high == pytest.approx(share)
    assert np.mean(np.random.default_rng(0).binomial(n, share, 20_000) == 0) == pytest.approx(0.05, abs=0.005)


def test_a_group_whose_tasks_count_alike_weighs_documents():
    rng = np.random.default_rng(1)
    small, large = rng.random(10), rng.random(90)
    values = [*(small * 5), *(large * 5 / 9)]
    (score,) = scored(values, heaviest=5.0).scores
    assert score.value == pytest.approx((small.mean() + large.mean()) / 2)
    low, high = score.interval
    # Drawn from each task apart, by the formula of stratified samples: a little narrower.
    apart = 1.96 * np.sqrt(small.var(ddof=1) / 10 + large.var(ddof=1) / 90) / 2
    assert apart < (high - low) / 2 < 2 * apart


def test_what_was_not_asked_the_same_is_not_compared():
    before, after = scored([0.0, 1.0]), scored([0.0, 1.0], model="n")
    with pytest.raises(DataError, match="m and n were not asked the same in quiz"):
        compare_tasks(before, replace(after, documents={"quiz": ["d0", "other"]}))
    with pytest.raises(DataError, match="Only one of m and n has scores on other, quiz"):
        compare_tasks(before, replace(after, documents={"other": ["d0", "d1"]}))
    with pytest.raises(DataError, match="Only one of m and n has quiz acc none"):
        compare_tasks(before, replace(after, scores=[]))


def test_a_value_that_is_no_mean_has_a_difference_and_no_interval():
    (found,) = compare_tasks(scored([1.0], documents=None), scored([3.0], documents=None))
    assert (found.difference, found.interval, found.n, found.up) == (2.0, None, None, None)
    assert found.reading() == "no interval"


def test_results_are_json_even_where_a_value_is_infinite():
    infinite = scored([1.0], documents=None, value=float("inf"))
    found = json.loads(json.dumps([infinite.as_dict(), compare_tasks(scored([1.0]), infinite)[0].as_dict()]))
    assert found[0]["scores"][0]["value"] is None
    assert found[1]["difference"] is None
