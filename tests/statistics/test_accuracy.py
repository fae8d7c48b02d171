"""How often one score orders pairs as another does."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from frft.errors import DataError
from frft.statistics import order_accuracy, within_prompt_variance
from frft.statistics.intervals import share_interval


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson (1927), written out."""
    z = 1.959963984540054
    share, scale = successes / n, 1 + z * z / n
    middle = (share + z * z / (2 * n)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return middle - half, middle + half


def test_a_case_by_hand():
    #          right  wrong  right  equal score  no order in truth
    found = order_accuracy([0.1, 2.0, -3.0, 0.0, 1.0], [5.0, -0.1, -0.2, 1.0, 0.0])
    assert (found.n, found.ties, found.without_order) == (4, 1, 1)
    assert found.accuracy == pytest.approx(2.5 / 4)
    assert found.interval == pytest.approx((wilson(2, 4)[0], wilson(3, 4)[1]))


def test_the_interval_is_wilsons():
    true = np.ones(300)
    margins = np.where(np.arange(300) < 190, 1.0, -1.0)
    assert order_accuracy(margins, true).interval == pytest.approx(wilson(190, 300))


def test_pairs_on_one_prompt_are_a_cluster():
    rng = np.random.default_rng(0)
    prompts, true = np.repeat(np.arange(40), 5), rng.normal(size=200)
    true[::7] = 0.0
    margins = np.where(rng.random(40)[prompts] < 0.6, 1.0, -1.0) * np.sign(true + (true == 0))
    found, independent = order_accuracy(margins, true, prompts.tolist()), order_accuracy(margins, true)
    ordered = np.flatnonzero(true)
    right = (margins * np.sign(true) > 0)[ordered].astype(float)
    assert found == replace(independent, interval=share_interval(right, prompts[ordered].tolist()))
    assert found.interval[0] < independent.interval[0] < independent.interval[1] < found.interval[1]
    assert order_accuracy(margins, true, list(range(200))) == independent
    with pytest.raises(DataError, match="200 pairs but 199 cluster labels"):
        order_accuracy(margins, true, list(range(199)))


def test_the_scale_and_the_side_of_a_pair_are_nothing():
    rng = np.random.default_rng(0)
    margins, true = rng.normal(size=200), rng.normal(size=200)
    found = order_accuracy(margins, true)
    assert order_accuracy(7 * margins, 0.1 * true) == found
    assert order_accuracy(-margins, -true) == found
    assert order_accuracy(-margins, true).accuracy == pytest.approx(1 - found.accuracy)
    assert found.accuracy == np.mean((margins > 0) == (true > 0))


def test_where_the_truth_has_no_order_there_is_no_accuracy():
    found = order_accuracy([1.0, -1.0], [0.0, 0.0])
    assert found.as_dict() == {"accuracy": None, "interval": None, "n": 0, "ties": 0, "without_order": 2}


@pytest.mark.parametrize(("margins", "true"), [([1.0], [1.0, 2.0]), ([math.nan], [1.0]), ([1.0], [math.nan])])
def test_what_cannot_be_compared_is_an_error(margins, true):
    with pytest.raises(DataError, match="a margin and a true margin, both numbers"):
        order_accuracy(margins, true)


def test_the_variance_of_two_samples_each():
    assert within_prompt_variance([1.0, 2.0], [3.0, 2.0]) == pytest.approx((2.0 + 0.0) / 2)
    rng = np.random.default_rng(0)
    means = rng.normal(size=20_000) * 10
    first, second = means + 3 * rng.normal(size=(2, 20_000))
    assert within_prompt_variance(first, second) == pytest.approx(9, rel=0.05)
