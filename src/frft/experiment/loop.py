"""FRFT-alpha on one screen (arXiv 2412.10529, algorithm 1).

Train the policy against the reward model; freeze it; let it write; keep the pairs of D that lie where it writes;
fine-tune the reward model on them; go on. `alpha: 0` never refreshes and is vanilla RLHF.

All arms are cut into the same segments and start alike, so what arms have in common (SFT, base reward model, the
segments before the first refresh, the samples of a refresh) is one artifact, computed once. Optimizers, critic and
learning rates carry over in every arm, refreshed or not: arms differ in their reward model and in nothing else, unless
an arm asks for more (`kl_anchor`, `reset_optimizer`); with `monitor.stop`, one may have fewer steps. The authors' code
restarts the optimizers and the critic at a refresh.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from frft.config import RunConfig
from frft.experiment.looks import is_due, is_over_optimised
from frft.experiment.stages import Stages
from frft.reward import AlignedReward, FrozenEnsembleReward, Refresh
from frft.store import Artifact


@dataclass
class Arm:
    """An arm as far as it is trained.

    Attributes:
        name: of the arm.
        reward: its reward, as it is now.
        policy: the same of its policy.
        segments: its training, cut where any arm is refreshed or looked at.
        changes: in a world, how the reward models before and after each refresh order what the policy then writes.
        refreshed_after: PPO steps after which there was a refresh.
        looks: what was seen of it while it was trained.
        stopped_after: the step at which a look ended its training; None: it had all its steps.
    """

    name: str
    reward: AlignedReward | FrozenEnsembleReward
    policy: Artifact
    segments: list[Artifact] = field(default_factory=list)
    changes: list[tuple[Artifact, Artifact]] = field(default_factory=list)
    refreshed_after: list[int] = field(default_factory=list)
    looks: list[Artifact] = field(default_factory=list)
    stopped_after: int | None = None

    @property
    def refreshes(self) -> list[Refresh]:
        """The refreshes of its reward model, in order."""
        return self.reward.refreshes


def arm_names(config: RunConfig) -> list[str]:
    """The arms in the order in which they are run: vanilla first, because all others are compared with it."""
    return sorted(config.arms, key=lambda name: name != "vanilla")


def run_arm(stages: Stages, name: str) -> Arm:
    """Train one arm to its end; whatever is there already is taken from the store."""
    config, total = stages.config.arm(name), stages.config.ppo.total_steps
    arm = Arm(name, stages.reward(config), stages.sft)
    anchor = began = arm.policy
    since: list[Artifact] = []  # segments since the last refresh
    restart = False
    for step in stages.cuts:
        if step:
            arm.policy = stages.train(arm.policy, arm.reward, anchor, until_step=step, reset_optimizer=restart)
            arm.segments.append(arm.policy)
            since.append(arm.policy)
            restart = False
        due, look, refresh = step in config.refresh_steps(total), None, None
        if step in stages.look_steps:
            look = stages.look(step, arm.policy, arm.reward, began, since)
            arm.looks.append(look)
            due = due or (0 < step < total and len(arm.refreshed_after) < config.alpha and is_due(config, look))
        if due:
            refresh, change = stages.refresh(arm.reward, arm.policy, since, config)
            arm.changes += [change] if change else []
            arm.refreshed_after.append(step)
            # Of an arm that is refreshed without data, all but the reward model changes.
            if refresh is None or refresh.accepted:
                restart = config.reset_optimizer and bool(arm.segments)
                anchor = arm.policy if config.kl_anchor == "previous" else anchor
        if refresh is not None and refresh.accepted:
            began, since = arm.policy, []
        elif look is not None and stages.config.monitor.stop and step < total and is_over_optimised(look):
            arm.stopped_after = step
            break
    return arm
