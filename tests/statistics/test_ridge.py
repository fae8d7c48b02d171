"""Bradley-Terry regression: the fit, the choice of the penalty, and the folds."""

from __future__ import annotations

import numpy as np
import pytest

from frft.statistics.ridge import RIDGES, _chosen_ridge, _conversation_folds, _coordinates, fit_ridge


def drawn(count, width, seed=0, noise=1.0):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=width)
    x = rng.normal(size=(count, width))
    sign = np.where(x @ truth + noise * rng.logistic(size=count) > 0, 1.0, -1.0)
    return x * sign[:, None], truth


@pytest.mark.parametrize("ridge", [0.01, 1.0])
def test_the_fit_is_that_of_logistic_regression(ridge):
    from sklearn.linear_model import LogisticRegression

    x, _ = drawn(200, 7)
    # Every pair in both orders, each with half the weight: the same loss, and classes to tell apart.
    both, labels = np.concatenate([x, -x]), np.repeat([1, 0], 200)
    reference = LogisticRegression(C=ridge, fit_intercept=False, tol=1e-10, max_iter=1000)
    reference.fit(both, labels, sample_weight=np.full(400, 0.5))
    found = fit_ridge(x, np.zeros(200), ridge, np.zeros(7))
    assert found == pytest.approx(reference.coef_[0], abs=2e-3)


def test_with_fewer_pairs_than_features_the_solution_is_the_same_in_the_span():
    x, _ = drawn(30, 80)
    z, basis = _coordinates(x)
    assert z.shape == (30, 30)
    assert basis.T @ basis == pytest.approx(np.eye(30), abs=1e-8)
    direct = fit_ridge(x, np.zeros(30), 0.1, np.zeros(80))
    assert basis @ fit_ridge(z, np.zeros(30), 0.1, np.zeros(30)) == pytest.approx(direct, abs=1e-3)
    assert _coordinates(drawn(90, 80)[0])[1] is None


def test_the_penalty_is_weaker_where_there_is_more_to_learn():
    strong = _chosen_ridge(*(drawn(600, 5, noise=0.1)[0], np.zeros(600), np.arange(600) % 5), stay=False)
    coin = np.random.default_rng(1).normal(size=(600, 50))
    weak = _chosen_ridge(coin, np.zeros(600), np.arange(600) % 5, stay=False)
    assert strong == RIDGES[-1]
    assert weak < strong


def test_turns_of_a_conversation_are_in_one_fold():
    asked = [f"\n\nHuman: {n}?\n\nAssistant:" for n in range(20)]
    prompts = [*asked, *(f"{prompt} Yes.\n\nHuman: More?\n\nAssistant:" for prompt in asked)]
    folds = _conversation_folds(prompts, np.random.default_rng(0))
    assert folds[:20].tolist() == folds[20:].tolist()
    assert np.bincount(folds).tolist() == [8] * 5
    assert len(set(_conversation_folds(asked[:1] * 10, np.random.default_rng(0)))) == 5
