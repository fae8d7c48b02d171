"""Proximal policy optimisation: its mathematics as pure functions, its rollouts, its trainer."""

from frft.policy.ppo.collect import Reward
from frft.policy.ppo.rollout import Rollout
from frft.policy.ppo.trainer import PPOTrainer

__all__ = ["PPOTrainer", "Reward", "Rollout"]
