"""The algorithms that can train the policy: what the rest of the package knows of each, but how its trainer is made.

How a trainer is made is in `frft.experiment.trainers`.
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
        kl_in: where its KL penalty can be: in the reward, in the loss, or in either, as `ppo.kl_penalty` says.
        can_reset_optimizer: whether an arm's `reset_optimizer` can be had.
        unread: settings that have no effect, by section: they are reported, not refused.
        refused: settings of `ppo` that it cannot honour. They are refused, for they change the objective.
    """

    name: str
    has_critic: bool
    kl_in: Literal["either", "reward", "loss"]
    can_reset_optimizer: bool = False
    unread: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    refused: tuple[str, ...] = ()


OF_A_CRITIC = ("num_ppo_epochs", "critic_learning_rate", "lam", "cliprange_value", "vf_coef", "critic", "kl_horizon")
WITHOUT_A_CRITIC = ("gamma", "whiten_rewards", "kl_target", "target_kl")

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
    """The name, if there is such an algorithm; for pydantic."""
    if name not in ALGORITHMS:
        raise ValueError(f"must be one of {', '.join(ALGORITHMS)}; got {name!r}")
    return name
