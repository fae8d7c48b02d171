"""Scores and choices of pairs to label: against brute force, closed forms and simulation."""

from __future__ import annotations

import math
import time
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frft.errors import SelectionError
from frft.labels.picking import (
    d_optimal_pairs,
    head_disagreement,
    highest_pairs,
    laplace_precision,
    laplace_variance,
    moderate_gap,
    most_pairs,
    representative_pairs,
)
from frft.statistics.ridge import fit_ridge


def features(count: int, width: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, width)), 2 * rng.normal(size=count)


def information(margins):
    p = 1 / (1 + np.exp(-margins))
    return p * (1 - p)


def log_det(precision, differences, margins, rows):
    total = precision + sum(
        (information(margins[row]) * np.outer(differences[row], differences[row]) for row in rows),
        np.zeros_like(precision),
    )
    return np.linalg.slogdet(total)[1]


@pytest.mark.parametrize("past", [0, 30])
def test_d_optimal_is_greedy_over_log_determinants(past):
    differences, margins = features(25, 4)
    precision = laplace_precision(*features(past, 4, seed=1), 0.5)
    prompts = [row % 5 for row in range(25)]
    chosen: list[int] = []
    for _ in range(8):
        taken = Counter(prompts[row] for row in chosen)
        left = [row for row in range(25) if row not in chosen and taken[prompts[row]] < 2]
        chosen.append(max(left, key=lambda row: log_det(precision, differences, margins, [*chosen, row])))
    assert d_optimal_pairs(precision, differences, margins, prompts, 8, 2).tolist() == chosen
    # Greedy keeps its guarantee, against the best of all choices of three.
    empty = log_det(precision, differences, margins, [])
    best = max(log_det(precision, differences, margins, rows) - empty for rows in combinations(range(25), 3))
    three = d_optimal_pairs(precision, differences, margins, list(range(25)), 3, 1)
    assert log_det(precision, differences, margins, three) - empty >= (1 - 1 / math.e) * best


def test_d_optimal_does_not_choose_the_same_pair_twice_over():
    differences, margins = features(20, 6)
    doubled, margins = np.repeat(differences, 2, axis=0), np.zeros(40)
    doubled[1::2] *= -1  # the same pair with its completions exchanged
    precision = laplace_precision(np.empty((0, 6)), np.empty(0), 0.1)
    chosen = d_optimal_pairs(precision, doubled, margins, list(range(40)), 6, 1)
    assert len({row // 2 for row in chosen.tolist()}) == 6
    assert (chosen % 2 == 0).all(), "of two pairs that tie, the first"
    # By variance alone, both of the same pair are taken.
    alone = highest_pairs(laplace_variance(precision, doubled), list(range(40)), 6, 1)
    assert len({row // 2 for row in alone.tolist()}) == 3


def test_the_laplace_precision_is_the_hessian_of_the_loss():
    differences, _ = features(12, 3)
    ridge = 0.4
    weights = fit_ridge(differences, np.zeros(12), ridge, np.zeros(3))

    def loss(w):
        return np.logaddexp(0, -differences @ w).sum() + w @ w / (2 * ridge)

    step, hessian = 1e-4, np.empty((3, 3))
    for i, j in np.ndindex(3, 3):
        e_i, e_j = step * np.eye(3)[i], step * np.eye(3)[j]
        corners = [weights + a * e_i + b * e_j for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
        hessian[i, j] = (loss(corners[0]) - loss(corners[1]) - loss(corners[2]) + loss(corners[3])) / (4 * step**2)
    found = laplace_precision(differences, differences @ weights, 1 / ridge)
    assert found == pytest.approx(hessian, abs=1e-5)


def test_the_laplace_variance_is_that_of_draws_from_the_posterior():
    precision = laplace_precision(*features(40, 5, seed=2), 1.0)
    differences, _ = features(6, 5, seed=3)
    draws = np.random.default_rng(4).multivariate_normal(np.zeros(5), np.linalg.inv(precision), size=40_000)
    # The standard error of a variance from n draws is sqrt(2 / n) of it: 0.7 %.
    assert laplace_variance(precision, differences) == pytest.approx((draws @ differences.T).var(axis=0), rel=0.03)
    # Heads drawn from the posterior disagree by as much.
    assert head_disagreement(draws @ differences.T) == pytest.approx(laplace_variance(precision, differences), rel=0.03)


def test_what_is_labelled_becomes_certain():
    differences, _ = features(10, 10)
    before = laplace_variance(laplace_precision(np.empty((0, 10)), np.empty(0), 1.0), differences)
    assert before == pytest.approx((differences**2).sum(axis=1))
    repeated = np.repeat(differences[:1], 500, axis=0)
    after = laplace_variance(laplace_precision(repeated, np.zeros(500), 1.0), differences)
    assert after[0] < 0.01
    assert (after <= before + 1e-9).all()


def test_moderate_gaps():
    margins = np.array([-5.0, 0.1, 1.0, -2.0, 3.0])
    assert np.argsort(-moderate_gap(margins, 0.5))[0] == 3  # the median |margin| is 2
    assert np.argmax(moderate_gap(margins, 0.0)) == 1
    assert np.argmax(moderate_gap(margins, 1.0)) == 0
    assert moderate_gap(-margins, 0.3) == pytest.approx(moderate_gap(margins, 0.3))


def coverage(cosines, rows):
    return cosines[list(rows)].max(axis=0).sum()


def test_representative_is_greedy_over_coverage():
    rng = np.random.default_rng(0)
    vectors, samples = rng.normal(size=(30, 5)), rng.normal(size=(17, 5))
    prompts = [row % 5 for row in range(30)]
    cosines = (vectors / np.linalg.norm(vectors, axis=1)[:, None]) @ (
        samples / np.linalg.norm(samples, axis=1)[:, None]
    ).T
    chosen: list[int] = []
    for _ in range(9):
        taken = Counter(prompts[row] for row in chosen)
        left = [row for row in range(30) if row not in chosen and taken[prompts[row]] < 2]
        chosen.append(max(left, key=lambda row: coverage(cosines, [*chosen, row])))
    assert representative_pairs(vectors, samples, prompts, 9, 2).tolist() == chosen
    # Lengths do not matter.
    assert representative_pairs(vectors * 7, samples / 3, prompts, 9, 2).tolist() == chosen


def test_representative_finds_the_clusters_where_the_policy_writes():
    rng = np.random.default_rng(1)
    centres = 5 * rng.normal(size=(6, 20))
    vectors = np.repeat(centres, 10, axis=0) + rng.normal(size=(60, 20))
    samples = np.repeat(centres[:4], 25, axis=0) + rng.normal(size=(100, 20))
    chosen = representative_pairs(vectors, samples, list(range(60)), 4, 1)
    assert sorted(row // 10 for row in chosen.tolist()) == [0, 1, 2, 3]


def test_ties_go_to_the_smaller_index():
    same = np.ones((5, 3))
    prompts = list(range(5))
    assert representative_pairs(same, same, prompts, 5, 1).tolist() == prompts
    assert highest_pairs(np.zeros(5), prompts, 3, 1).tolist() == [0, 1, 2]
    precision = laplace_precision(np.empty((0, 3)), np.empty(0), 1.0)
    assert d_optimal_pairs(precision, same, np.zeros(5), prompts, 3, 1).tolist() == [0, 1, 2]


def all_choices(prompts, size, per_prompt, seed):
    count = len(prompts)
    x, margins = features(count, 3, seed)
    precision = laplace_precision(np.empty((0, 3)), np.empty(0), 1.0)
    return [
        highest_pairs(margins, prompts, size, per_prompt),
        d_optimal_pairs(precision, x, margins, prompts, size, per_prompt),
        representative_pairs(x, x, prompts, size, per_prompt),
    ]


@settings(max_examples=40, deadline=None)
@given(
    prompts=st.lists(st.sampled_from("abc"), min_size=6, max_size=15),
    per_prompt=st.integers(1, 3),
    fewer=st.integers(0, 1),
    seed=st.integers(0, 99),
)
def test_every_choice_keeps_to_its_prompts(prompts, per_prompt, fewer, seed):
    most = most_pairs(prompts, per_prompt)
    size = most - fewer
    for chosen in all_choices(prompts, size, per_prompt, seed):
        assert len(chosen) == len(set(chosen.tolist())) == size
        counts = Counter(prompts[row] for row in chosen.tolist())
        assert max(counts.values(), default=0) <= per_prompt
    with pytest.raises(SelectionError, match=f"{most + 1} pairs were asked for, but {most} can be chosen"):
        highest_pairs(np.zeros(len(prompts)), prompts, most + 1, per_prompt)


def test_what_cannot_be_chosen_from_is_refused():
    x, margins = features(4, 2)
    precision = laplace_precision(x, margins, 1.0)
    for call, message in [
        (lambda: most_pairs("ab", 0), "give at least 1"),
        (lambda: highest_pairs(np.array([1.0, math.nan]), "ab", 1, 1), "1 of scores are not finite"),
        (lambda: highest_pairs(margins, "ab", 1, 1), "shape of scores"),
        (lambda: head_disagreement(margins[None]), "two heads or more"),
        (lambda: laplace_precision(x, margins, 0.0), "above 0, got 0.0"),
        (lambda: laplace_precision(x, margins[:3], 1.0), "shape of margins"),
        (lambda: laplace_precision(margins, margins, 1.0), r"must be \(N, D\)"),
        (lambda: laplace_variance(-precision, x), "not positive definite"),
        (lambda: laplace_variance(precision, x[:, :1]), "shape of differences"),
        (lambda: moderate_gap(margins, 1.5), "from 0 to 1, got 1.5"),
        (lambda: moderate_gap(margins[:0], 0.5), "no candidate pairs"),
        (lambda: d_optimal_pairs(precision, x, margins, "ab", 1, 1), "4 candidate pairs but 2 prompts"),
        (lambda: representative_pairs(x, x[:0], "abcd", 1, 1), "at least one sample"),
        (lambda: representative_pairs(0 * x, x, "abcd", 1, 1), "zero or not finite"),
    ]:
        with pytest.raises(SelectionError, match=message):
            call()


def test_ten_thousand_candidates_take_seconds():
    x, margins = features(10_000, 400)
    prompts = [row // 4 for row in range(10_000)]
    start = time.process_time()
    precision = laplace_precision(x[:500], margins[:500], 1.0)
    assert len(d_optimal_pairs(precision, x, margins, prompts, 50, 1)) == 50
    assert len(representative_pairs(x, x[:500], prompts, 50, 1)) == 50
    assert time.process_time() - start < 20
