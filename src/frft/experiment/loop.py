"""FRFT-alpha on one screen (arXiv 2412.10529, algorithm 1).

Train the policy against the reward model; freeze it; let it write; keep the pairs of D that lie where it writes;
fine-tune the reward model on them; go on. `alpha: 0` never refreshes and is vanilla RLHF.

All arms are cut into the same segments and start alike, so what arms have in common (SFT, base reward model, the
segments before the first refresh, the samples of a refresh) is one artifact, computed once. Optimizers, critic and
learning rates carry over in every arm, refreshed or not: arms differ in their reward model (and, where asked, in
the KL anchor) and in nothing else. The authors' code restarts the optimizers and the critic at a refresh.
"""

from __future__ import annotations

from dataclasses import dataclass

from frft.config import RunConfig
from frft.experiment.stages import Stages
from frft.reward import Refresh
from frft.store import Artifact


@dataclass(frozen=True)
class Arm:
    """A trained arm: its PPO segments and its refreshes, in order."""

    name: str
    segments: list[Artifact]
    refreshes: list[Refresh]

    @property
    def policy(self) -> Artifact:
        """The final policy."""
        return self.segments[-1]


def arm_names(config: RunConfig) -> list[str]:
    """The arms in the order in which they are run: vanilla first, because all others are compared with it."""
    return sorted(config.arms, key=lambda name: name != "vanilla")


def run_arm(stages: Stages, name: str) -> Arm:
    """Train one arm to its end; whatever is there already is taken from the store."""
    config = stages.config.arm(name)
    anchor = policy = stages.sft
    reward = stages.aligned_reward(config)
    segments: list[Artifact] = []
    since_refresh: list[Artifact] = []
    for step in stages.checkpoints:
        policy = stages.train(policy, reward, anchor, until_step=step)
        segments.append(policy)
        since_refresh.append(policy)
        if step in config.refresh_steps(stages.config.ppo.total_steps):
            reward.refresh(stages.samples(policy, since_refresh, config))
            since_refresh = []
            if config.kl_anchor == "previous":
                anchor = policy
    return Arm(name, segments, reward.refreshes)
