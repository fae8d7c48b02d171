"""What is diagnosed: pairing, variances, and what cannot be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from frft.diagnosis.subject import Scored
from frft.errors import DataError


def scored(prompts, proxy, judge=None):
    return Scored(
        prompts,
        [f"text {n}" for n in range(len(prompts))],
        np.array(proxy, float),
        None if judge is None else np.array(judge, float),
    )


def test_pairs_of_one_prompt_are_independent():
    """Of p's three completions the third has no partner; q's are apart from each other in the list; r has one."""
    found = scored("pqprpq", [1, 5, 2, 0, 9, 4], [3, 1, 4, 0, 0, 2]).on_policy()
    # p: both say the second; q: the proxy says the first, the judge the second.
    assert (found.n, found.accuracy, found.without_order) == (2, 0.5, 0)


def test_a_judge_that_compares_orders_pairs_as_one_that_scores():
    prompts, proxy, gold = "pqpqrrss", [1, 5, 2, 0, 9, 4, 3, 7], [3, 1, 4, 0, 0, 2, 1, 1]
    by_scores = scored(prompts, proxy, gold)
    pairs = by_scores.own_pairs()
    assert pairs == [(0, 2), (1, 3), (4, 5), (6, 7)]
    preferred = {(first, second): float(np.sign(gold[first] - gold[second]) / 2) for first, second in pairs}
    compared = replace(scored(prompts, proxy), preferred=preferred)
    assert compared.on_policy() == by_scores.on_policy()
    assert compared.on_policy().without_order == 1
    del preferred[0, 2]
    assert compared.on_policy().n == 2


def test_no_judge_and_no_pairs():
    assert scored("pp", [1, 2]).on_policy() is None
    assert scored("pq", [1, 2], [1, 2]).on_policy().accuracy is None
    assert scored("ppq", [1, 2, 3]).spread() is None


def test_variance_of_two_samples_each_is_half_the_mean_squared_difference():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 30))
    prompts = [f"p{n}" for n in range(30)]
    found = scored([*prompts, *prompts], [*first, *second]).spread()
    assert found.within.mean == pytest.approx(np.mean((first - second) ** 2) / 2)
    assert found.within.n == 30


def test_variance_components_are_found_again():
    """Scores with variance 2 between prompts and 0.5 within, over unequal numbers of completions."""
    rng = np.random.default_rng(1)
    counts = rng.integers(2, 6, size=4000)
    prompts = np.repeat(np.arange(4000), counts).astype(str)
    scores = np.repeat(rng.normal(0, np.sqrt(2), 4000), counts) + rng.normal(0, np.sqrt(0.5), counts.sum())
    found = scored([*prompts, "alone"], [*scores, 0.0]).spread()
    assert found.within.low < 0.5 < found.within.high
    assert found.between == pytest.approx(2, rel=0.1)
    assert found.total == pytest.approx(found.within.mean + found.between)
    assert found.single == 1


def test_no_variance_between_prompts_is_not_below_zero():
    assert scored("ppqq", [0, 2, 2, 0]).spread().between == 0


def test_before_normalisation():
    raw = np.array([0.1, 0.4, -0.3, 0.2])
    one, normalised = scored("ppqq", raw).spread(), scored("ppqq", 5 * raw + 2).spread()
    back = normalised.raw(5, 2)
    assert (back.mean, back.within.mean, back.between) == pytest.approx((one.mean, one.within.mean, one.between))
    assert back.within.interval == pytest.approx(one.within.interval)


@pytest.mark.parametrize(
    ("prompts", "proxy", "judge"), [("pq", [1], None), ("", [], None), ("pq", [1, 2], [1]), ("p", [np.nan], None)]
)
def test_what_does_not_fit_together_is_refused(prompts, proxy, judge):
    with pytest.raises(DataError):
        scored(prompts, proxy, judge)


def test_the_spread_counts_wordings_of_one_request_once():
    rng = np.random.default_rng(0)
    prompts = [f"p{n // 2}" for n in range(80)]
    score_N = rng.normal(size=80) * np.repeat(rng.uniform(0.5, 3, 10), 8)
    requests = [f"r{n // 8}" for n in range(80)]
    alone = Scored(prompts, ["text"] * 80, score_N).spread().within
    found = Scored(prompts, ["text"] * 80, score_N, requests=requests).spread().within
    by_request = score_N.reshape(40, 2).var(axis=1, ddof=1).reshape(10, 4).mean(axis=1)
    half = stats.t.ppf(0.975, 9) * by_request.std(ddof=1) / np.sqrt(10)
    assert found.mean == alone.mean
    assert found.high - found.mean == pytest.approx(half)
