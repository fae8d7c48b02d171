"""What tests of a reward within TRL's trainers share: its settings, and what a training left."""

from __future__ import annotations

from frft.config.sections import RefreshConfig, SelectionConfig

CONFIG = RefreshConfig(
    alpha=2,
    samples="rollouts",
    selection=SelectionConfig(strategy="part4", match="nearest", size=4, test_size=0),
    max_samples=12,
)


def made(reward):
    return [(refresh.selection.digest, refresh.reward_model.digest) for refresh in reward.refreshes]


def weights(trainer):
    import torch

    return torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()])


def logged(trainer, name="rewards/aligned_reward/mean"):
    return [entry[name] for entry in trainer.state.log_history if name in entry]
