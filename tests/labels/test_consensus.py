"""Consensus of labellers: the maximum of an objective written out here, closed forms, simulated labellers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import beta

from frft.errors import DataError
from frft.labels.consensus import label_consensus


def chances(prevalence, right, row):
    """Joint probabilities of a question's answers with the truth yes, and with no."""
    if_yes, if_no = prevalence, 1 - prevalence
    for (right_yes, right_no), answer in zip(right, row, strict=True):
        if answer is not None:
            if_yes *= right_yes if answer else 1 - right_yes
            if_no *= 1 - right_no if answer else right_no
    return if_yes, if_no


def posterior(prevalence, right, row):
    if_yes, if_no = chances(prevalence, right, row)
    return if_yes / (if_yes + if_no)


def log_posterior(prevalence, right, answers):
    """Written from the model, question by question and labeller by labeller."""
    total = beta.logpdf(prevalence, 2, 2) + sum(beta.logpdf(rate, 3, 2) for pair in right for rate in pair)
    for row in answers:
        total += np.log(sum(chances(prevalence, right, row)))
    return total


def simulated(count, right, prevalence=0.5, missing=0.0, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.random(count) < prevalence
    answers = []
    for true in truth:
        row = []
        for right_yes, right_no in right:
            answer = bool(true) ^ (rng.random() > (right_yes if true else right_no))
            row.append(None if rng.random() < missing else bool(answer))
        answers.append(row)
    return truth, answers


def test_it_is_at_a_maximum_of_the_posterior():
    _, answers = simulated(40, [(0.9, 0.7), (0.6, 0.8), (0.75, 0.75)], missing=0.2)
    found = label_consensus(answers)
    right = 1 - found.error_rates_L2
    at = log_posterior(found.prevalence, right, answers)

    def negative(x):
        rates = 1 / (1 + np.exp(-x))
        return -log_posterior(rates[0], rates[1:].reshape(-1, 2), answers)

    start = np.log(np.r_[found.prevalence, right.ravel()] / (1 - np.r_[found.prevalence, right.ravel()]))
    best = minimize(negative, start, method="BFGS")
    assert at == pytest.approx(-best.fun, abs=1e-5)
    # The posterior by Bayes' rule from these rates, for the first question.
    assert found.yes_N[0] == pytest.approx(posterior(found.prevalence, right, answers[0]), abs=1e-6)


def test_simulated_rates_are_recovered():
    right = [(0.9, 0.85), (0.7, 0.8), (0.6, 0.65), (0.8, 0.55)]
    truth, answers = simulated(4000, right, prevalence=0.4, missing=0.25)
    found = label_consensus(answers)
    assert 1 - found.error_rates_L2 == pytest.approx(np.array(right), abs=0.06)
    assert found.prevalence == pytest.approx(0.4, abs=0.04)
    expected = 0.4 * np.array(right)[:, 0] + 0.6 * np.array(right)[:, 1]
    assert found.accuracies == pytest.approx(expected, abs=0.04)
    # Nobody does better than Bayes' rule with the true rates, and its probabilities mean what they say.
    best = np.array([posterior(0.4, right, row) for row in answers])
    assert ((found.yes_N > 0.5) == truth).mean() == pytest.approx(((best > 0.5) == truth).mean(), abs=0.01)
    assert np.abs(found.yes_N - best).mean() < 0.03
    for low in (0.5, 0.7, 0.9):
        at = (found.yes_N > low) & (found.yes_N <= low + 0.2)
        assert truth[at].mean() == pytest.approx(found.yes_N[at].mean(), abs=0.06)


def test_three_labellers_in_closed_form():
    # With symmetric errors, the three agreements give (2 a_1 - 1)^2 = c_12 c_13 / c_23, c = 2 P(agree) - 1.
    _, answers = simulated(20_000, [(0.85, 0.85), (0.75, 0.75), (0.65, 0.65)], seed=1)
    x = np.array(answers)
    c = {(i, j): 2 * (x[:, i] == x[:, j]).mean() - 1 for i in range(3) for j in range(3)}
    closed = [(1 + np.sqrt(c[i, j] * c[i, k] / c[j, k])) / 2 for i, j, k in ((0, 1, 2), (1, 0, 2), (2, 0, 1))]
    assert label_consensus(answers).accuracies == pytest.approx(np.array(closed), abs=0.02)


def test_a_labeller_who_answers_the_opposite_is_found():
    _, answers = simulated(500, [(0.85, 0.85), (0.85, 0.85), (0.8, 0.8), (0.13, 0.13)])
    found = label_consensus(answers)
    assert found.accuracies[3] == pytest.approx(0.13, abs=0.06)
    assert (found.accuracies[:3] > 0.75).all()


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(
            st.lists(st.sampled_from([True, False, None]), min_size=width, max_size=width), min_size=1, max_size=12
        )
    ),
    st.randoms(use_true_random=False),
)
def test_exchanging_labellers_or_answers(answers, random):
    if all(answer is None for row in answers for answer in row):
        with pytest.raises(DataError, match="no answers"):
            label_consensus(answers)
        return
    found = label_consensus(answers)
    assert ((found.error_rates_L2 > 0) & (found.error_rates_L2 < 1)).all()
    assert ((found.yes_N > 0) & (found.yes_N < 1)).all()
    assert found.answers_L.sum() == sum(answer is not None for row in answers for answer in row)
    order = list(range(len(answers[0])))
    random.shuffle(order)
    moved = label_consensus([[row[i] for i in order] for row in answers])
    assert moved.yes_N == pytest.approx(found.yes_N, abs=1e-5)
    assert moved.error_rates_L2 == pytest.approx(found.error_rates_L2[order], abs=1e-5)
    negated = label_consensus([[None if answer is None else not answer for answer in row] for row in answers])
    assert negated.yes_N == pytest.approx(1 - found.yes_N, abs=1e-5)
    assert negated.error_rates_L2 == pytest.approx(found.error_rates_L2[:, ::-1], abs=1e-5)


def test_the_prior_is_what_is_left_without_answers():
    found = label_consensus([[True, None], [True, None]])
    # A labeller without answers errs in one of three, as the prior's mode says.
    assert found.error_rates_L2[1] == pytest.approx([1 / 3, 1 / 3])
    # Perfect agreement in few answers is no proof of accuracy.
    agreed = label_consensus([[True] * 3, [False] * 3] * 5)
    assert (agreed.error_rates_L2 > 0.05).all()
    assert agreed.yes_N[0] > 0.9


def test_rows_of_different_lengths_are_refused():
    with pytest.raises(DataError, match=r"rows have \[1, 2\] entries"):
        label_consensus([[True], [True, False]])
    with pytest.raises(DataError, match="no answers"):
        label_consensus([])
