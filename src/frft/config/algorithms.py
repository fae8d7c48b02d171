"""The algorithms that can train the policy, and the properties that the rest of the package goes by.

How the trainer of an algorithm is made is in `frft.experiment.trainers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from frft.config.sections import GroupConfig


@dataclass(frozen=True)
class PolicyAlgorithm:
    """An algorithm that trains the policy.

    Attributes:
        name: the value of `algorithm`.
        has_critic: whether it trains a critic beside the policy; without one, it samples several completions to a
            prompt (`group.num_generations`) and compares them with each other.
        kl_in: where its KL penalty is: in the reward, in the loss, or in either, as `ppo.kl_penalty` says.
        can_reset_optimizer: whether it supports an arm's `reset_optimizer` and `restart_policy`.
        unread: names of settings that have no effect, by section. A run reports them, and does not refuse them.
        refused: names of settings of `ppo` that it does not support. They are refused if set, since they would change
            the objective.
    """

    name: str
    has_critic: bool
    kl_in: Literal["either", "reward", "loss"]
    can_reset_optimizer: bool = False
    unread: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    refused: tuple[str, ...] = ()


OF_A_CRITIC = ("num_ppo_epochs", "critic_learning_rate", "lam", "cliprange_value", "vf_coef", "critic", "kl_horizon")
"""Settings of `ppo` that only an algorithm with a critic, or PPO's own loop, reads."""
WITHOUT_A_CRITIC = ("gamma", "whiten_rewards", "kl_target", "target_kl")
"""Settings of `ppo` that algorithms without a critic refuse."""

ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        PolicyAlgorithm(
            "ppo",
            has_critic=True,
            kl_in="either",
            can_reset_optimizer=True,
            unread={"group": tuple(GroupConfig.model_fields)},
        ),
        PolicyAlgorithm(
            "rloo",
            has_critic=False,
            kl_in="reward",
            unread={"ppo": OF_A_CRITIC, "group": ("loss_type", "scale_rewards")},
            refused=WITHOUT_A_CRITIC,
        ),
        PolicyAlgorithm("grpo", has_critic=False, kl_in="loss", unread={"ppo": OF_A_CRITIC}, refused=WITHOUT_A_CRITIC),
    )
}
"""All algorithms, by name."""


def known_algorithm(name: str) -> str:
    """Validate the name of an algorithm, for pydantic: return it, or raise ValueError."""
    if name not in ALGORITHMS:
        raise ValueError(f"must be one of {', '.join(ALGORITHMS)}; got {name!r}")
    return name
