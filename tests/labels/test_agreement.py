"""Agreement of labellers: published examples, closed forms, simulation."""

from __future__ import annotations

import math
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frft.errors import DataError
from frft.labels.agreement import ALPHA_DRAWS, accuracy_from_agreement, krippendorff_alpha
from frft.statistics import share

PAGE = (Path(__file__).resolve().parents[2] / "docs/labels-audit.md").read_text()


def units(*observers: str) -> list[list[str | None]]:
    """One string for each observer, "." where there is no answer."""
    return [[None if answer == "." else answer for answer in unit] for unit in zip(*observers, strict=True)]


# Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability": examples A, B and C.
TWO_BINARY = units("0100000010", "1110010000")
TWO_NOMINAL = units("aabbdcccedda", "babbbccceddd")
FOUR = units("12332141 2...".replace(" ", ""), "1233224125.3", ".3332342251.", "123324412 51.".replace(" ", ""))


@pytest.mark.parametrize(
    ("answers", "alpha"),
    [
        (TWO_BINARY, 0.095),
        (TWO_NOMINAL, 0.692),
        (FOUR, 0.743),
        # Three coders and 15 units, from the encyclopedia's article.
        (units(".....34121133.3", "1.213343.......", "..21344.21133.4"), 0.691),
    ],
)
def test_published_examples(answers, alpha):
    assert krippendorff_alpha(answers, seed=0).alpha.mean == pytest.approx(alpha, abs=0.0006)


def test_what_was_left_out_is_counted():
    found = krippendorff_alpha(FOUR, seed=0)
    # The last unit has one answer; the others have 40.
    assert (found.answers, found.single, found.alpha.n) == (40, 1, 11)
    assert found.alpha.low < 0.743 < found.alpha.high


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from([0, 1, None])] * 3), min_size=1, max_size=15))
def test_who_says_what_does_not_matter(answers):
    if not any(sum(answer is not None for answer in unit) > 1 for unit in answers):
        with pytest.raises(DataError, match="two or more answers"):
            krippendorff_alpha(answers, seed=0)
        return
    found = krippendorff_alpha(answers, seed=1)
    for order in permutations(range(3)):
        assert krippendorff_alpha([[unit[i] for i in order] for unit in answers], seed=1) == found
    other = {0: 1, 1: 0, None: None}
    assert krippendorff_alpha([[other[answer] for answer in unit] for unit in answers], seed=1) == found


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_two_labellers_in_closed_form(answers):
    # Krippendorff (2011), section A: alpha = 1 - (n - 1) o_01 / (n_0 n_1) for binary data, two observers, all known.
    n, yes = 2 * len(answers), sum(first + second for first, second in answers)
    found = krippendorff_alpha(answers, seed=0)
    if yes in (0, n):
        assert found.alpha is None
        return
    differ = sum(first != second for first, second in answers)
    assert found.alpha.mean == pytest.approx(1 - (n - 1) * differ / (yes * (n - yes)))


def simulated(rng, count, accuracy, labellers=2):
    truth = rng.random(count) < 0.5
    return (truth[:, None] ^ (rng.random((count, labellers)) > accuracy)).tolist()


def test_the_interval_covers():
    # Symmetric errors and a balanced truth: alpha tends to 2 P(agree) - 1 = (2 a - 1)^2.
    rng, true, held = np.random.default_rng(0), 0.6**2, 0
    for trial in range(80):
        found = krippendorff_alpha(simulated(rng, 60, 0.8), seed=trial).alpha
        held += found.low <= true <= found.high
    # 95 %, less three standard errors of 2.4 %.
    assert held / 80 > 0.875


def test_clusters_widen_the_interval():
    rng = np.random.default_rng(0)
    answers = simulated(rng, 40, 0.8)
    alone = krippendorff_alpha(answers, seed=0).alpha
    # Each unit four times over is no new evidence.
    four = [unit for unit in answers for _ in range(4)]
    clustered = krippendorff_alpha(four, seed=0, clusters=[row // 4 for row in range(160)]).alpha
    naive = krippendorff_alpha(four, seed=0).alpha
    assert clustered.high - clustered.low == pytest.approx(alone.high - alone.low, rel=0.05)
    assert naive.high - naive.low < 0.6 * (alone.high - alone.low)


def test_draws_without_two_answers_are_counted():
    found = krippendorff_alpha([[0, 0], [0, 0], [0, 1]], seed=0)
    # The third unit is missed by (2/3)^3 of the samples.
    assert found.undefined_draws / ALPHA_DRAWS == pytest.approx(8 / 27, abs=0.04)
    assert krippendorff_alpha([[0, 1]], seed=0).alpha.interval is None
    with pytest.raises(DataError, match="2 units but 1 cluster labels"):
        krippendorff_alpha([[0, 1], [1, 1]], seed=0, clusters=["a"])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 500))
def test_accuracy_is_the_inverse_of_agreement(agreed):
    found = accuracy_from_agreement(np.arange(500) < agreed)
    for a, p in zip((found.mean, found.low, found.high), (agreed / 500, *share(agreed, 500).interval), strict=True):
        assert a >= 0.5
        assert a**2 + (1 - a) ** 2 == pytest.approx(max(0.5, p))


def test_accuracy_is_recovered_from_two_labellers():
    answers = simulated(np.random.default_rng(0), 20_000, 0.8)
    found = accuracy_from_agreement([first == second for first, second in answers])
    assert found.low < 0.8 < found.high
    assert found.high - found.low < 0.02
    assert accuracy_from_agreement([False] * 9 + [True]).mean == 0.5
    with pytest.raises(DataError, match="answered twice"):
        accuracy_from_agreement([])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_consistency_is_an_upper_bound_of_accuracy(right):
    # The probability that two answers to one of these pairs agree, each right with probability a_i.
    p = np.mean([a * a + (1 - a) * (1 - a) for a in right])
    bound = (1 + math.sqrt(max(0.0, 2 * p - 1))) / 2
    assert np.mean(right) <= bound + 1e-7


def test_the_table_of_the_page():
    agreement = (0.52, 0.58, 0.68, 0.745, 0.82, 0.905)
    implied = [accuracy_from_agreement(np.arange(1000) < 1000 * p).mean for p in agreement]
    row = "| accuracy at most | " + " | ".join(f"{a:.2f}" for a in implied) + " |"
    assert row in PAGE, row
    of_200 = [accuracy_from_agreement(np.arange(200) < 200 * p) for p in agreement]
    row = (
        "| its interval from 200 pairs | " + " | ".join(f"{each.low:.2f} to {each.high:.2f}" for each in of_200) + " |"
    )
    assert row in PAGE, row
