"""Importance weights against sums written out, and what is drawn against the probabilities."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frft.errors import SelectionError
from frft.selection import LogRatios
from frft.selection.weights import draw_rows, effective_sample_size, temper

ratios = st.lists(st.floats(-30, 30), min_size=1, max_size=30)


def brute(log_weights):
    weights = [math.exp(value) for value in log_weights]
    return math.fsum(weights) ** 2 / math.fsum(weight * weight for weight in weights)


@given(ratios)
def test_effective_sample_size(log_weights):
    assert effective_sample_size(np.array(log_weights)) == pytest.approx(brute(log_weights), rel=1e-9)


def test_effective_sample_size_does_not_overflow():
    assert effective_sample_size(np.array([5000.0, 5000.0, -5000.0])) == 2


@given(ratios, st.data())
def test_tau_is_the_largest_that_is_enough(log_ratios, data):
    size = data.draw(st.integers(1, len(log_ratios)))
    tau = temper(np.array(log_ratios), size)
    assert 0 <= tau <= 1
    assert brute([tau * value for value in log_ratios]) >= size * (1 - 1e-9)
    if tau < 1:
        assert brute([(tau + 1e-6) * value for value in log_ratios]) < size * (1 + 1e-9)


def test_tau_by_closed_form():
    # One weight e^tau, n of 1: (n + w)^2 / (n + w^2) = s is a quadratic in w.
    n, s = 9, 5.0
    w = (n + math.sqrt(n * n - (s - 1) * (s * n - n * n))) / (s - 1)
    assert temper(np.array([5.0] + [0.0] * n), 5) == pytest.approx(math.log(w) / 5, abs=1e-12)


def test_more_than_there_is_cannot_be_had():
    with pytest.raises(SelectionError, match=r"sample size of 4 cannot be drawn from 3 pairs.*selection\.size"):
        temper(np.zeros(3), 4)


def test_what_is_drawn_is_in_proportion_to_the_weights():
    log_weights_N = np.log([1.0, 2.0, 3.0, 10.0])
    drawn = Counter(draw_rows(log_weights_N, 16_000, np.random.default_rng(0)).tolist())
    assert all(abs(drawn[row] - n) <= 1 for row, n in enumerate([1000, 2000, 3000, 10_000]))


def test_drawing_is_unbiased_and_as_even_as_can_be():
    log_weights_N = np.log([0.3, 1.7, 2.5, 0.5])
    counts = np.zeros((4000, 4))
    for seed in range(4000):
        rows, times = np.unique(draw_rows(log_weights_N, 4, np.random.default_rng(seed)), return_counts=True)
        counts[seed, rows] = times
    expected = 4 * np.exp(log_weights_N) / np.exp(log_weights_N).sum()
    assert counts.mean(axis=0) == pytest.approx(expected, abs=0.04)
    assert (np.floor(expected) <= counts).all()
    assert (counts <= np.ceil(expected)).all()


def test_the_heaviest_come_first_and_ties_by_row():
    rows = draw_rows(np.array([0.0, 1.0, 0.0]), 50, np.random.default_rng(0)).tolist()
    assert rows == [1] * rows.count(1) + [0] * rows.count(0) + [2] * rows.count(2)


def test_log_ratios_are_known_by_their_numbers():
    one, two = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    assert LogRatios(one, two).identity == LogRatios(one.copy(), two.copy()).identity
    assert len({LogRatios(*given).identity for given in ((one, two), (two, one), (one, one))}) == 3


def test_log_ratios_are_kept_in_a_file(tmp_path):
    written = LogRatios(np.array([0.1, -2.0]), np.array([3.0, 1e-300]))
    written.write(tmp_path / "log_ratios.npy")
    assert LogRatios.read(tmp_path / "log_ratios.npy").identity == written.identity


@pytest.mark.parametrize(
    ("chosen", "rejected", "message"),
    [
        ([1.0, 2.0], [1.0], r"shapes \(2,\) and \(1,\)"),
        ([[1.0]], [[1.0]], r"shapes \(1, 1\)"),
        ([0.0, math.nan], [0.0, 0.0], "1 of 2 pairs are not finite, first row 1: nan and 0.0"),
        ([-math.inf, 0.0], [0.0, 0.0], "first row 0: -inf"),
    ],
)
def test_log_ratios_that_are_none(chosen, rejected, message):
    with pytest.raises(SelectionError, match=message):
        LogRatios(np.array(chosen), np.array(rejected))
