"""Intervals of rates: against textbook formulas, and by how often they hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from frft.evaluation import Comparison, rate_of
from frft.statistics import holm, rate_interval, rate_p_value

COMPARISONS = 1000


def test_it_is_students():
    values = [0.0, 1.0, 0.5, 1.0, 1.0, 0.25]
    mean, sd = np.mean(values), np.std(values, ddof=1)
    # 2.570582 is the 97.5 % point of t with 5 degrees of freedom, from a table.
    assert rate_interval(values) == pytest.approx((mean - 2.570582 * sd / math.sqrt(6), 1.0))
    assert rate_interval([1 - value for value in values])[0] == 0.0
    assert rate_p_value(values) == pytest.approx(2 * stats.t.sf((mean - 0.5) / (sd / math.sqrt(6)), 5))


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson (1927), written out."""
    z = 1.959963984540054
    share, scale = successes / n, 1 + z * z / n
    middle = (share + z * z / (2 * n)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return middle - half, middle + half


def test_where_all_agree_it_is_wilsons():
    assert rate_interval([1.0] * 10) == pytest.approx(wilson(10, 10))
    assert rate_interval([0.0] * 10) == pytest.approx(wilson(0, 10), abs=1e-12)
    # Eleven ties are between five and six wins.
    assert rate_interval([0.5] * 11) == pytest.approx((wilson(5, 11)[0], wilson(6, 11)[1]))
    assert rate_interval([1.0]) == pytest.approx(wilson(1, 1))


@pytest.mark.parametrize("n", [3, 4, 30])
def test_p_and_interval_agree_where_all_agree(n):
    low, _ = rate_interval([1.0] * n)
    assert (rate_p_value([1.0] * n) < 0.05) == (low > 0.5)
    assert rate_p_value([0.5] * n) == 1.0


def single(rng, n, weights):
    """One game on each prompt: loss, tie or win."""
    return Comparison(range(n), rng.choice([0, 0.5, 1], size=n, p=weights).tolist())


def both_orders(rng, n, weights):
    """The mean of two games, in which the judge has a liking for the first place."""
    skill = np.log(weights[2] / weights[0])
    chances = [1 / (1 + np.exp(-skill - liking)) for liking in (1.0, -1.0)]
    games = [(rng.random(n) < chance).astype(float) for chance in chances]
    return Comparison(range(n), np.mean(games, axis=0).tolist()), np.mean(chances)


def clustered(rng, n):
    """Prompts with one to eight samples, whose chance to win is the prompt's own."""
    chance_N, samples_N = rng.beta(1.2, 0.8, size=n), rng.integers(1, 9, size=n)
    prompts = np.repeat(np.arange(n), samples_N)
    return Comparison(prompts.tolist(), (rng.random(len(prompts)) < chance_N[prompts]).astype(float).tolist())


SHAPES = {
    "300 prompts": (lambda rng: single(rng, 300, [0.4, 0, 0.6]), 0.6),
    "few prompts": (lambda rng: single(rng, 20, [0.35, 0.1, 0.55]), 0.6),
    "very few prompts": (lambda rng: single(rng, 10, [0.3, 0.4, 0.3]), 0.5),
    "mostly ties": (lambda rng: single(rng, 100, [0.1, 0.6, 0.3]), 0.6),
    "far from one half": (lambda rng: single(rng, 300, [0.1, 0.1, 0.8]), 0.85),
    "both orders": (
        lambda rng: both_orders(rng, 100, [0.4, 0, 0.6])[0],
        both_orders(np.random.default_rng(0), 1, [0.4, 0, 0.6])[1],
    ),
    "several samples": (lambda rng: clustered(rng, 80), 0.6),
    "several samples, few prompts": (lambda rng: clustered(rng, 25), 0.6),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_95_percent_interval_holds_the_truth_in_93_to_97_percent(shape):
    draw, truth = SHAPES[shape]
    rng = np.random.default_rng(1)
    drawn = [draw(rng) for _ in range(COMPARISONS)]
    intervals = [rate_interval(list(comparison.by_prompt().values())) for comparison in drawn]
    assert intervals[0] == rate_of(drawn[0]).interval
    assert 0.93 <= np.mean([low <= truth <= high for low, high in intervals]) <= 0.97


def test_that_would_show_an_interval_that_takes_samples_for_prompts():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(COMPARISONS):
        comparison = clustered(rng, 80)
        low, high = rate_interval(comparison.preferences)
        held += low <= 0.6 <= high
    assert held / COMPARISONS < 0.90


def test_holm_by_hand():
    # Sorted: .01 x 4, .02 x 3, .03 x 2 (as large as the one before it), .5 x 1.
    corrected = holm({"c": 0.03, "a": 0.01, "d": 0.5, "b": 0.02})
    assert corrected == pytest.approx({"a": 0.04, "b": 0.06, "c": 0.06, "d": 0.5})
    assert list(corrected) == ["c", "a", "d", "b"]
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
