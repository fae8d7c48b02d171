"""What RLOO and GRPO converge to, on a space of responses small enough to write down."""

from __future__ import annotations

import copy

import pytest
import torch

from frft.config.sections import GroupConfig, PPOConfig, SamplingConfig
from frft.policy.online import GroupTrainer


def total_variation(one, other):
    return 0.5 * (one - other).abs().sum().item()


def trained_on(space, algorithm, generations, steps, learning_rate, batch=256):
    """The distribution of a policy trained with beta 0.5, and that of its reference."""
    longest = max(map(len, space.responses))
    config = PPOConfig(
        total_steps=steps,
        rollout_batch_size=batch,
        mini_batch_size=batch // 2,
        learning_rate=learning_rate,
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
    GroupTrainer(algorithm, *given, seed=0).train(steps, lambda metrics, rollout: None)
    return space.distribution(space.policy), start


@pytest.mark.slow
@pytest.mark.parametrize(("algorithm", "length", "batch"), [("rloo", 2, 128), ("grpo", 1, 256)])
def test_the_policy_converges_to_the_closed_form_optimum(space, algorithm, length, batch):
    """pi_ref(y) exp(r(y) / beta) / Z, total variation below 0.02, with groups of four."""
    space = space(length)
    # RLOO comes to 0.0009 to 0.003 with seeds 0 to 2, GRPO to 0.004 to 0.011 with seeds 0 to 4; with beta 15% too
    # large, above 0.04.
    found, start = trained_on(space, algorithm, generations=4, steps=120, learning_rate=5e-3, batch=batch)
    assert total_variation(start, space.optimum(start, 0.5)) > 0.2  # there was something to learn
    assert total_variation(found, space.optimum(start, 0.5)) < 0.02


@pytest.mark.slow
def test_grpo_leaves_the_kl_of_later_tokens_out_of_account(space):
    """With two tokens it comes to pi_ref(x) exp(E_pi[r | x] / beta), not to pi_ref(x) (E_ref exp(r / beta)) as RLOO."""
    space = space(2)
    # Of later tokens it learns more slowly: after 120 steps of 5e-3 it is at 0.028.
    found, start = trained_on(space, "grpo", generations=16, steps=300, learning_rate=3e-3)
    own = torch.zeros(len(space.responses))
    for first in {response[0] for response in space.responses}:
        rows = [row for row, response in enumerate(space.responses) if response[0] == first]
        after = space.optimum(start, 0.5)[rows]
        after /= after.sum()
        own[rows] = start[rows].sum() * torch.exp((after * space.rewards[rows]).sum() / 0.5) * after
    own /= own.sum()
    assert total_variation(own, space.optimum(start, 0.5)) > 0.2
    assert total_variation(found, own) < 0.02
