"""Completions of the SFT model that shaped rewards compare with (`reward_shaping`)."""

from __future__ import annotations

from collections.abc import Sequence

from frft.config.sections import RefreshConfig
from frft.errors import UsageError
from frft.experiment.stages.completions import completions_of
from frft.experiment.stages.context import RunContext
from frft.experiment.stages.sft import sft_model
from frft.experiment.texts import read_completions
from frft.policy.order import prompt_indices
from frft.reward import AlignedReward, FrozenEnsembleReward
from frft.reward.shaping import PreferenceAsReward
from frft.store import Artifact


def references_of(context: RunContext, arm: RefreshConfig) -> tuple[Artifact, ...]:
    """The M completions of every prompt that is rolled out in the run, an artifact each; none for `none`.

    They depend on no arm, so that all arms, and a run that is started again, compare with the same texts.
    """
    if arm.reward_shaping == "none":
        return ()
    config, prompts = context.config, context.splits.prompts
    to_a_prompt = 1 if config.trained_by.has_critic else config.group.num_generations
    positions = range(config.ppo.total_steps * config.ppo.rollout_batch_size // to_a_prompt)
    order = prompt_indices(len(prompts), context.seed("ppo"), positions)
    rolled_out = list(dict.fromkeys(prompts[index] for index in order))
    given = (context, sft_model(context), rolled_out, config.ppo.sampling, "references")
    return tuple(completions_of(*given, str(number)) for number in range(arm.references))


def shaped(
    reward: AlignedReward | FrozenEnsembleReward, references: Sequence[Artifact]
) -> AlignedReward | FrozenEnsembleReward | PreferenceAsReward:
    """The reward that the policy is trained with: `reward` itself, or, where there are references, PAR of it."""
    if not references:
        return reward
    if isinstance(reward, FrozenEnsembleReward):
        raise UsageError("PAR compares scores of one reward model, and this reward is an ensemble. Set ensemble: 1.")
    written = [read_completions(each) for each in references]
    texts = zip(*(each.completions for each in written), strict=True)
    return PreferenceAsReward(reward, dict(zip(written[0].prompts, texts, strict=True)))
