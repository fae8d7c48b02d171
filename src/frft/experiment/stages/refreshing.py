"""Make the reward of an arm, and refresh its reward model."""

from __future__ import annotations

from collections.abc import Sequence

from frft.config.sections import RefreshConfig
from frft.diagnosis import refresh_alarms
from frft.experiment.stages.completions import completions_of
from frft.experiment.stages.context import RunContext
from frft.experiment.stages.fresh_labels import labelling_of
from frft.experiment.stages.labelled_pairs import labelled_pairs_of
from frft.experiment.stages.likelihoods import log_ratios_of
from frft.experiment.stages.on_policy import on_policy_accuracy
from frft.experiment.stages.reward_model import base_reward_model, reference_samples
from frft.experiment.stages.sft import sft_model
from frft.experiment.texts import rollout_samples, stored_samples
from frft.reward import AlignedReward, FrozenEnsembleReward, PolicySamples, Refresh
from frft.store import Artifact
from frft.strategies import get_strategy


def reward_of(context: RunContext, arm: RefreshConfig) -> AlignedReward | FrozenEnsembleReward:
    """The reward of an arm before its first refresh: an ensemble that is never refreshed, or an `AlignedReward`.

    The stages of its refreshes are made by the run's runner, so that a plan lists them without building them.
    """
    config, splits = context.config, context.splits
    if arm.ensemble > 1:
        members = [base_reward_model(context, member) for member in range(arm.ensemble)]
        return FrozenEnsembleReward(members, arm.ensemble_coef, trust_remote_code=context.trust)
    reward = AlignedReward(
        base_reward_model(context),
        splits.pool,
        # Training shapes the scores of this reward (`frft.experiment.stages.references`); its refreshes are the same.
        arm.model_copy(update={"reward_shaping": "none"}),
        config.reward,
        backbone=config.reward.model_name_or_path or sft_model(context),
        vectors=context.vectors,
        store=context.runner.store,
        reference_samples=reference_samples(context, config.reward),
        held_out=splits.evaluation,
        gate_pairs=splits.gate if arm.gate else None,
        seed=context.seed("aligned"),
        progress=context.progress,
        alarms=refresh_alarms,
        report_to=config.report_to,
        trust_remote_code=context.trust,
    )
    reward.runner = context.runner
    return reward


def refresh_reward(
    context: RunContext,
    reward: AlignedReward | FrozenEnsembleReward,
    policy: Artifact,
    segments: Sequence[Artifact],
    arm: RefreshConfig,
    step: int,
) -> tuple[Refresh | None, tuple[Artifact, Artifact] | None]:
    """Refresh an arm's reward model near what `policy` writes.

    Args:
        context: the run.
        reward: the arm's reward; it is changed in place.
        policy: the frozen current policy.
        segments: the arm's training since the last accepted refresh, whose rollouts may serve as samples.
        arm: the arm's settings.
        step: number of PPO steps that the policy has done.

    Returns:
        The refresh, and, in a world, the accuracies of the reward models before and after it on completions by
        `policy`, by the gold reward. At the first refresh that policy is the same in all arms, so that the accuracies
        can be compared between arms. (None, None) for an ensemble, and for the strategy `none` without fresh labels;
        the second is None outside of a world.
    """
    if isinstance(reward, FrozenEnsembleReward) or not arm.trains:
        return None, None
    before = reward.current
    samples = samples_of(context, policy, segments, arm)
    labelling = labelling_of(context, policy, reward, arm, step)
    if arm.labels == "gold":
        made = reward.refresh(samples, pool=labelled_pairs_of(context, policy, arm))
    elif get_strategy(arm.selection.strategy).needs_models:
        made = reward.refresh(samples, log_ratios=log_ratios_of(context, policy, arm), labelling=labelling)
    else:
        made = reward.refresh(samples, labelling=labelling)
    if context.world is None:
        return made, None
    assert isinstance(before, Artifact)
    return made, (on_policy_accuracy(context, policy, before), on_policy_accuracy(context, policy, made.reward_model))


def samples_of(
    context: RunContext, policy: Artifact, segments: Sequence[Artifact], arm: RefreshConfig
) -> PolicySamples:
    """Samples of the frozen policy: new completions of prompts of D, or its rollouts in these segments (`samples`).

    Empty for an arm whose strategy reads no texts and that has no gate: such an arm does not use samples.
    """
    names_source = get_strategy(arm.selection.strategy).names_source
    if not arm.selection.embeds and not names_source and arm.gate is None:
        return PolicySamples.of([], [])
    if arm.samples == "rollouts":
        return rollout_samples(segments, arm.max_samples)
    prompts = context.draw(context.splits.prompts, arm.max_samples, "samples")
    return stored_samples(completions_of(context, policy, prompts, arm.sampling or context.config.ppo.sampling))
