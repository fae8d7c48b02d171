"""frft: keep the reward model where the policy writes.

The names below are the public surface, imported when they are first used, so that `import frft` costs nothing. The
rooms they come from (`frft.preferences`, `frft.selection`, `frft.reward`, `frft.policy`, ...) hold the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_ROOMS = {
    "AlignedReward": "frft.reward",
    "FrftError": "frft.errors",
    "PPOConfig": "frft.config.sections",
    "PPOTrainer": "frft.policy",
    "PolicySamples": "frft.reward",
    "RefreshConfig": "frft.config.sections",
    "RewardModel": "frft.reward",
    "RunConfig": "frft.config",
    "Selection": "frft.selection",
    "SelectionConfig": "frft.config.sections",
    "World": "frft.worlds",
    "evaluate_reward_model": "frft.reward",
    "generate": "frft.policy",
    "load_config": "frft.config",
    "load_pool": "frft.preferences",
    "run": "frft.experiment",
    "select": "frft.selection",
    "train_reward_model": "frft.reward",
    "win_rate": "frft.evaluation",
}

__all__ = ["__version__", *_ROOMS]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'frft' has no attribute {name!r}")
    return getattr(import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
