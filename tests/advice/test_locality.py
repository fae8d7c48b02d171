"""Pooled and local Bradley-Terry fits against scikit-learn, and against labels whose rule is known."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from frft.advice.locality import CORRECTIONS, _fit, held_out
from frft.errors import SelectionError


def pairs(near_weights, far_weights, count=4000, share=0.25, seed=0):
    """Steps whose labels follow one rule near the policy and one elsewhere, the chosen one's first."""
    rng = np.random.default_rng(seed)
    steps_NF = rng.standard_normal((count, len(near_weights)))
    near_N = rng.random(count) < share
    logits_N = np.where(near_N, steps_NF @ near_weights, steps_NF @ far_weights)
    kept_N = rng.random(count) < 1 / (1 + np.exp(-logits_N))
    return np.where(kept_N[:, None], steps_NF, -steps_NF), near_N, np.where(kept_N, logits_N, -logits_N)


def loss(logits_N):
    return np.logaddexp(0, -logits_N).mean()


def own_prompts(count):
    return [f"p{row}" for row in range(count)]


def test_the_fit_is_the_penalised_maximum():
    steps_NF, near_N, _ = pairs([1.0, -1.0, 0.5], [0.2, 0.4, 0.0], count=300)
    z_N = 0.7 * near_N + 0.1
    found = _fit(steps_NF, z_N, 0.05, np.zeros((2, 3)))
    # Without an intercept, a pair and its mirror image say the same; half of them mirrored give both classes.
    flip_N = np.where(np.arange(300) % 2, -1.0, 1.0)
    x_NF = np.column_stack([steps_NF, z_N[:, None] * steps_NF]) * flip_N[:, None]
    model = LogisticRegression(C=0.05, fit_intercept=False, tol=1e-10, max_iter=10_000).fit(x_NF, flip_N)
    assert found.ravel() == pytest.approx(model.coef_[0], abs=2e-4)


def test_a_rule_of_their_own_is_found_and_its_gain_is_right():
    near, far = np.array([1.5, 0.0, 1.0, 0.0]), np.array([0.0, 1.5, -1.0, 0.0])
    steps_NF, near_N, true_N = pairs(near, far, count=8000)
    found = held_out(steps_NF, near_N.astype(float), near_N, own_prompts(8000), seed=0)
    best, _ = minimal_loss(steps_NF)
    assert loss(found.pooled_N) == pytest.approx(best, abs=0.01)
    assert loss(found.local_N[near_N]) == pytest.approx(loss(true_N[near_N]), abs=0.015)
    assert loss(found.pooled_N[near_N]) - loss(found.local_N[near_N]) > 0.15
    assert found.correction >= 1


def minimal_loss(steps_NF):
    """Of any one rule for all pairs, by a fit without a penalty."""
    w_2F = _fit(steps_NF, np.zeros(len(steps_NF)), 1e9, np.zeros((2, steps_NF.shape[1])))
    return loss(steps_NF @ w_2F[0]), w_2F[0]


def test_one_rule_for_all_gains_nothing():
    weights = np.array([1.0, -0.5, 0.0])
    gains = []
    for seed in range(5):
        steps_NF, near_N, _ = pairs(weights, weights, count=1000, seed=seed)
        found = held_out(steps_NF, near_N.astype(float), near_N, own_prompts(1000), seed=0)
        gains.append(loss(found.pooled_N[near_N]) - loss(found.local_N[near_N]))
    assert np.mean(gains) < 0.003
    assert np.mean(gains) > -0.01


def test_coin_flips_are_not_predicted_even_where_pairs_come_again_under_their_prompt():
    rng = np.random.default_rng(0)
    steps_NF = np.repeat(rng.standard_normal((60, 80)), 5, axis=0)
    prompts = [f"p{row // 5}" for row in range(300)]
    near_N = np.repeat(rng.random(60) < 0.5, 5)
    found = held_out(steps_NF, near_N.astype(float), near_N, prompts, seed=0)
    for logits_N in (found.pooled_N, found.local_N):
        assert (logits_N > 0).mean() == pytest.approx(0.5, abs=0.2)
    leaking = held_out(steps_NF, near_N.astype(float), near_N, own_prompts(300), seed=0)
    assert (leaking.pooled_N > 0).mean() > 0.9


def test_no_near_pairs_leave_the_pooled_fit():
    steps_NF, _, _ = pairs([1.0, 0.0], [1.0, 0.0], count=200)
    nobody_N = np.zeros(200, dtype=bool)
    found = held_out(steps_NF, nobody_N.astype(float), nobody_N, own_prompts(200), seed=0)
    assert np.array_equal(found.pooled_N, found.local_N)
    assert found.correction == CORRECTIONS[0] == 0


def test_too_few_prompts():
    steps_NF, near_N, _ = pairs([1.0], [1.0], count=20)
    with pytest.raises(SelectionError, match="The pairs are on 4 different prompts"):
        held_out(steps_NF, near_N.astype(float), near_N, ["a", "b", "c", "d"] * 5, seed=0)
