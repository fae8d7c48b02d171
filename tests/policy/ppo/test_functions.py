"""The mathematics of PPO against loops, closed forms and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from frft.policy.ppo import functions as fn


def random_batch(seed: int, b: int = 5, t: int = 7):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, t + 1, (b,), generator=generator)
    mask = torch.arange(t)[None] < lengths[:, None]
    values = torch.randn(b, t, generator=generator, dtype=torch.float64)
    rewards = torch.randn(b, t, generator=generator, dtype=torch.float64)
    return values, rewards, mask, lengths


def gae_by_definition(rewards, values, length, gamma, lam):
    """1506.02438, eq. 16: the sum over all later residuals, written out."""
    deltas = [rewards[t] + (gamma * values[t + 1] if t + 1 < length else 0.0) - values[t] for t in range(length)]
    return [sum((gamma * lam) ** (k - t) * deltas[k] for k in range(t, length)) for t in range(length)]


@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_advantages_are_the_sum_of_discounted_residuals(seed, gamma, lam):
    values, rewards, mask, lengths = random_batch(seed)
    advantages, returns = fn.generalised_advantages(rewards, values, mask, gamma, lam)
    for row, length in enumerate(lengths.tolist()):
        expected = gae_by_definition(rewards[row].tolist(), values[row].tolist(), length, gamma, lam)
        assert advantages[row, :length].tolist() == pytest.approx(expected, abs=1e-9)
        assert advantages[row, length:].abs().sum() == 0
        assert returns[row, :length].tolist() == pytest.approx(
            [a + v for a, v in zip(expected, values[row, :length].tolist(), strict=True)], abs=1e-9
        )


def test_lambda_one_gives_the_monte_carlo_return():
    values, rewards, mask, lengths = random_batch(1)
    _, returns = fn.generalised_advantages(rewards, values, mask, gamma=1.0, lam=1.0)
    for row, length in enumerate(lengths.tolist()):
        expected = [rewards[row, t:length].sum().item() for t in range(length)]
        assert returns[row, :length].tolist() == pytest.approx(expected)


def test_what_is_masked_out_changes_nothing():
    values, rewards, mask, _ = random_batch(2)
    logprobs, old = values * 0.1, rewards * 0.1
    garbage = torch.where(mask, 0.0, 123.0)
    args = (0.99, 0.9)
    plain, spoiled = (
        fn.generalised_advantages(rewards + extra, values + extra, mask, *args)[0] for extra in (0.0, garbage)
    )
    assert torch.equal(plain, spoiled)
    assert torch.equal(fn.whiten(values, mask), fn.whiten(values + garbage, mask))
    assert torch.equal(fn.kl_k1(logprobs, old, mask), fn.kl_k1(logprobs + garbage, old, mask))
    assert torch.equal(fn.kl_k3(logprobs, old, mask), fn.kl_k3(logprobs - garbage, old, mask))
    for extra in (0.0, garbage):
        loss, _ = fn.policy_loss(logprobs + extra, old, plain, mask, 0.2)
        assert torch.isfinite(loss).all()


def test_whitening_gives_mean_zero_and_variance_one_or_keeps_the_mean():
    values, _, mask, _ = random_batch(3, b=20)
    values = values * 3 + 5
    shifted = fn.whiten(values, mask)[mask].numpy()
    assert shifted.mean() == pytest.approx(0, abs=1e-9)
    assert shifted.std() == pytest.approx(1, abs=1e-6)
    kept = fn.whiten(values, mask, shift_mean=False)[mask].numpy()
    assert kept.mean() == pytest.approx(values[mask].mean().item())
    assert kept.std() == pytest.approx(1, abs=1e-6)


def test_without_a_kl_penalty_the_rewards_of_a_sequence_sum_to_its_score():
    values, rewards, mask, lengths = random_batch(4)
    scores = torch.randn(len(lengths), dtype=torch.float64)
    token_rewards = fn.token_rewards(scores, values, rewards, mask, kl_coef=0.0)
    assert token_rewards.sum(-1).tolist() == pytest.approx(scores.tolist())
    for row, length in enumerate(lengths.tolist()):
        assert token_rewards[row, length - 1] == scores[row]


def test_the_penalty_of_a_sequence_is_beta_times_its_k1():
    logprobs, reference, mask, lengths = random_batch(5)
    rewards = fn.token_rewards(torch.zeros(len(lengths), dtype=torch.float64), logprobs, reference, mask, 0.3)
    expected = -0.3 * fn.kl_k1(logprobs, reference, mask)
    assert rewards.sum(-1).tolist() == pytest.approx(expected.tolist())


def test_a_constant_added_to_reward_and_critic_changes_no_advantage():
    values, rewards, mask, lengths = random_batch(6)
    scores = torch.randn(len(lengths), dtype=torch.float64)

    def advantages(constant: float):
        per_token = fn.token_rewards(scores + constant, rewards, rewards * 0.5, mask, 0.1)
        return fn.generalised_advantages(per_token, values + constant, mask, 1.0, 0.95)[0]

    assert advantages(0.0).flatten().tolist() == pytest.approx(advantages(17.0).flatten().tolist(), abs=1e-9)


def test_temperature_divides_the_logits():
    logits = torch.tensor([[[0.0, 1.0, 3.0]]])
    tokens = torch.tensor([[2]])
    weights = [math.exp(x / 2.0) for x in (0.0, 1.0, 3.0)]
    expected = math.log(weights[2] / sum(weights))
    logprobs, distribution = fn.token_logprobs(logits, tokens, temperature=2.0)
    assert logprobs.item() == pytest.approx(expected)
    probabilities = np.array(weights) / sum(weights)
    assert distribution.exp()[0, 0].tolist() == pytest.approx(probabilities.tolist())
    assert fn.token_entropy(distribution).item() == pytest.approx(stats.entropy(probabilities))


def test_the_gradient_of_the_kl_loss_is_that_of_the_kl_to_the_reference():
    """Over all tokens, weighted by the policy: k2's mean gradient is KL(policy || reference)'s, k3's is not."""
    generator = torch.Generator().manual_seed(0)
    logits, reference = torch.randn(2, 7, dtype=torch.float64, generator=generator)
    logits.requires_grad_()
    policy, reference = logits.log_softmax(-1), reference.log_softmax(-1)
    exact = torch.autograd.grad((policy.exp() * (policy - reference)).sum(), logits, retain_graph=True)[0]
    probabilities = policy.detach().exp()
    k2 = torch.autograd.grad((probabilities * fn.kl_loss(policy, reference)).sum(), logits, retain_graph=True)[0]
    k3 = torch.autograd.grad((probabilities * fn.kl_k3(policy[:, None], reference[:, None], 1)).sum(), logits)[0]
    assert torch.allclose(k2, exact)
    assert not torch.allclose(k3, exact, rtol=0.1)


def test_kl_estimators_agree_with_the_exact_divergence_in_expectation():
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.5, 0.3])
    exact = stats.entropy(p, q)
    # One "sequence" for each outcome: the expectation is the p-weighted mean.
    logp, logq = torch.tensor(np.log(p))[:, None], torch.tensor(np.log(q))[:, None]
    mask = torch.ones(3, 1, dtype=torch.bool)
    weights = torch.tensor(p)
    assert (weights * fn.kl_k1(logp, logq, mask)).sum().item() == pytest.approx(exact)
    assert (weights * fn.kl_k3(logp, logq, mask)).sum().item() == pytest.approx(exact)
    assert (fn.kl_k3(logp, logq, mask) >= 0).all()


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "clipped"),
    [
        (1.5, 1.0, -1.2, True),  # a good action is not pushed beyond the clip
        (1.5, -1.0, 1.5, False),  # a bad one is pushed back from wherever it is
        (0.5, 1.0, -0.5, False),
        (0.5, -1.0, 0.8, True),
        (1.0, 2.0, -2.0, False),
    ],
)
def test_the_surrogate_is_clipped_only_where_it_would_overreach(ratio, advantage, loss, clipped):
    one = torch.ones(1, 1)
    value, active = fn.policy_loss(one * math.log(ratio), one * 0, one * advantage, one.bool(), cliprange=0.2)
    assert value.item() == pytest.approx(loss)
    assert active.item() is clipped


def test_the_value_loss_takes_the_worse_of_clipped_and_unclipped():
    one = torch.ones(1, 1)
    # Moved from 0 to 1, return 1: unclipped error 0, clipped at 0.2 error 0.8.
    assert fn.value_loss(one, one * 0, one, 0.2).item() == pytest.approx(0.5 * 0.8**2)
    # Moved away from the return: the unclipped error is the larger one.
    assert fn.value_loss(-one, one * 0, one, 0.2).item() == pytest.approx(0.5 * 2.0**2)


def test_explained_variance_is_one_for_a_perfect_critic_and_zero_for_a_constant():
    _, returns, mask, _ = random_batch(7)
    assert fn.explained_variance(returns, returns, mask).item() == pytest.approx(1)
    assert fn.explained_variance(returns * 0 + 4, returns, mask).item() == pytest.approx(0)


def test_the_adaptive_controller_follows_zieglers_rule_and_the_fixed_one_stays():
    adaptive = fn.KLController(coef=0.1, target=6.0, horizon=1000)
    adaptive.update(kl=6.6, sequences=50)  # 10 % too high
    assert adaptive.coef == pytest.approx(0.1 * (1 + 0.1 * 50 / 1000))
    adaptive.coef = 0.1
    adaptive.update(kl=60.0, sequences=50)  # clipped at 20 %
    assert adaptive.coef == pytest.approx(0.1 * (1 + 0.2 * 50 / 1000))
    fixed = fn.KLController(coef=0.1, target=None, horizon=1000)
    fixed.update(kl=60.0, sequences=50)
    assert fixed.coef == 0.1
