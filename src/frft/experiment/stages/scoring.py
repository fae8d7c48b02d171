"""Rewards as inputs of stages, and loading a reward model from its artifact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from frft.reward import FrozenEnsembleReward, RewardModel
from frft.store import Artifact

if TYPE_CHECKING:
    from frft.experiment.stages.context import RunContext
    from frft.reward import AlignedReward


def scored_by(reward: AlignedReward | FrozenEnsembleReward) -> dict[str, Any]:
    """Everything that the scores of a reward depend on, as inputs of a stage."""
    coef = reward.coef if isinstance(reward, FrozenEnsembleReward) else None
    return {"reward": reward.current, "ensemble_coef": coef}


def load_reward(context: RunContext, artifact: Artifact) -> RewardModel:
    """Load the reward model in an artifact."""
    return RewardModel.load(artifact.path, seed=0, trust_remote_code=context.trust)
