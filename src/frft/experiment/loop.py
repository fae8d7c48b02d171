"""FRFT-alpha on one screen (arXiv 2412.10529, algorithm 1).

Train the policy against the reward model; pause; sample completions from the policy; keep the pairs of the pool D that
are most similar to them; fine-tune the reward model on those; go on. `alpha` is the number of refreshes; 0 is vanilla
RLHF.

All arms are cut into the same segments and start alike, so what arms have in common (SFT, base reward model, the
segments before the first refresh, the samples of a refresh) is one artifact, computed once. Optimizers, critic and
learning rates carry over in every arm, refreshed or not: arms differ in their reward model and in nothing else, unless
an arm asks for more (`kl_anchor`, `reset_optimizer`, `restart_policy`); with `monitor.stop`, one may have fewer steps.
The authors' code restarts the optimizers and the critic at a refresh.
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
    """One arm of the comparison, as far as it is trained.

    Attributes:
        name: name of the arm in the configuration.
        reward: the current reward, which holds the refreshes made so far.
        policy: the current policy: the SFT model at first, then the last trained segment.
        segments: the artifacts of the policy's training, in order; all arms are cut at the same steps.
        changes: in a world, for each refresh, the accuracy on the policy's own completions of the reward model before
            it and of the one after it, by the gold reward; empty elsewhere.
        refreshed_after: numbers of PPO steps completed when a refresh was made, accepted by the gate or not.
        restarted_after: numbers of PPO steps completed when the policy became the SFT model again (`restart_policy`).
        looks: the looks (diagnoses during training, `monitor.every`), in order.
        stopped_after: the step at which a look ended the training; None: it had all its steps.
    """

    name: str
    reward: AlignedReward | FrozenEnsembleReward
    policy: Artifact
    segments: list[Artifact] = field(default_factory=list)
    changes: list[tuple[Artifact, Artifact]] = field(default_factory=list)
    refreshed_after: list[int] = field(default_factory=list)
    restarted_after: list[int] = field(default_factory=list)
    looks: list[Artifact] = field(default_factory=list)
    stopped_after: int | None = None

    @property
    def refreshes(self) -> list[Refresh]:
        """The refreshes of the arm's reward model, in order, with those that a gate refused."""
        return self.reward.refreshes


def arm_names(config: RunConfig) -> list[str]:
    """Names of the arms in the order in which they run: vanilla first, because all others are compared with it."""
    return sorted(config.arms, key=lambda name: name != "vanilla")


def run_arm(stages: Stages, name: str) -> Arm:
    """Train one arm to its end; stages that are finished already are taken from the store."""
    config, total = stages.config.arm(name), stages.config.ppo.total_steps
    arm = Arm(name, stages.reward(config), stages.sft)
    # `anchor`: the KL reference. `began`: the policy that the current reward model first met, with which looks compare.
    anchor = began = arm.policy
    since: list[Artifact] = []  # segments since the last accepted refresh, whose rollouts are the policy's samples
    restart = False
    for step in stages.cuts:
        if step:
            arm.policy = stages.train(arm.policy, arm.reward, anchor, config, until_step=step, reset_optimizer=restart)
            arm.segments.append(arm.policy)
            since.append(arm.policy)
            restart = False
        due, look, refresh = step in config.refresh_steps(total), None, None
        # Looking comes before refreshing: with `when: drift` or `alarms`, the look decides whether there is a refresh.
        if step in stages.look_steps:
            look = stages.look(step, arm.policy, arm.reward, began, since)
            arm.looks.append(look)
            due = due or (0 < step < total and len(arm.refreshed_after) < config.alpha and is_due(config, look))
        if due:
            refresh, change = stages.refresh(arm.reward, arm.policy, since, config, step)
            arm.changes += [change] if change else []
            arm.refreshed_after.append(step)
            # `refresh` is None for an arm without data (strategy `none`): the control that has a refresh's side effects
            # (KL anchor, optimizer restart) and keeps its reward model.
            if refresh is None or refresh.accepted:
                restart = config.reset_optimizer and bool(arm.segments)
                anchor = arm.policy if config.kl_anchor == "previous" else anchor
                if config.restart_policy and arm.segments:
                    arm.policy, since = stages.sft, []
                    arm.restarted_after.append(step)
        if refresh is not None and refresh.accepted:
            began, since = arm.policy, []
        # Not after an accepted refresh: the look was at the reward model that has just been replaced.
        elif look is not None and stages.config.monitor.stop and step < total and is_over_optimised(look):
            arm.stopped_after = step
            break
    return arm
