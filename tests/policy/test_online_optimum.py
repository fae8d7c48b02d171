"""What RLOO and GRPO converge to, on a space of responses small enough to write down."""

from __future__ import annotations

import copy

import pytest
import torch

from frft.config.sections import GroupConfig, PPOConfig, SamplingConfig
from frft.policy.online import GroupTrainer


def total_variation(one, other):
    return 0.5 * (one - other).abs().sum().item()


def trained_on(space, algorithm, generations):
    """The distribution of a policy trained with beta 0.5, and that of its reference."""
    longest = max(map(len, space.responses))
    config = PPOConfig(
        total_steps=300,
        rollout_batch_size=256,
        mini_batch_size=128,
        learning_rate=3e-3,
        kl_coef=0.5,
        sampling=SamplingConfig(max_new_tokens=longest, max_prompt_tokens=2),
    )
    reference = copy.deepcopy(space.policy)
    start = space.distribution(reference)
    assert start.sum().item() == pytest.approx(1, abs=1e-4)
    given = (
        space.policy,
        reference,
        space.tokenizer,
        space.reward,
        ["a"],
        config,
        GroupConfig(num_generations=generations),
    )
    GroupTrainer(algorithm, *given, seed=0).train(300, lambda metrics, rollout: None)
    return space.distribution(space.policy), start


@pytest.mark.slow
@pytest.mark.parametrize(("algorithm", "length"), [("rloo", 2), ("grpo", 1)])
def test_the_policy_converges_to_the_closed_form_optimum(space, algorithm, length):
    """pi_ref(y) exp(r(y) / beta) / Z, total variation below 0.02, with groups of four."""
    space = space(length)
    found, start = trained_on(space, algorithm, generations=4)
    assert total_variation(start, space.optimum(start, 0.5)) > 0.2  # there was something to learn
    assert total_variation(found, space.optimum(start, 0.5)) < 0.02


@pytest.mark.slow
def test_grpo_leaves_the_kl_of_later_tokens_out_of_account(space):
    """With two tokens it comes to pi_ref(x) exp(E_pi[r | x] / beta), not to pi_ref(x) (E_ref exp(r / beta)) as RLOO."""
    space = space(2)
    found, start = trained_on(space, "grpo", generations=16)
    own = torch.zeros(len(space.responses))
    for first in {response[0] for response in space.responses}:
        rows = [row for row, response in enumerate(space.responses) if response[0] == first]
        after = space.optimum(start, 0.5)[rows]
        after /= after.sum()
        own[rows] = start[rows].sum() * torch.exp((after * space.rewards[rows]).sum() / 0.5) * after
    own /= own.sum()
    assert total_variation(own, space.optimum(start, 0.5)) > 0.2
    assert total_variation(found, own) < 0.02
