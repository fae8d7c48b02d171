"""Make the trainer of an arm at step 0; a later segment restores into it the state that the segment before saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from frft.config import RunConfig
from frft.experiment.policies import load_policy
from frft.models import WithoutAdapters, add_adapters
from frft.policy import Critic, PPOTrainer
from frft.policy.critic import ValueHead
from frft.policy.ppo.collect import Reward
from frft.reward import RewardModel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from frft.policy.online import GroupTrainer


def make_policy_trainer(
    config: RunConfig,
    sft: Path,
    anchor: Path | None,
    base_reward: Path,
    reward: Reward,
    prompts: Sequence[str],
    *,
    seed: int,
    logs: Path,
) -> PPOTrainer | GroupTrainer:
    """The trainer of `config.algorithm` at step 0.

    Args:
        config: the run.
        sft: folder of the SFT model: the initial policy, and the reference of the reported KL.
        anchor: folder of the reference of the KL penalty; None: the SFT model.
        base_reward: folder of the reward model whose weights the critic starts from. Never a refreshed one: with LoRA,
            only the critic's adapters are saved, so its frozen weights must be the same in all segments.
        reward: the reward that the policy is trained with.
        prompts: the prompts that rollouts are sampled for.
        seed: seed of the training's random draws.
        logs: folder of the tracker's logs.
    """
    import torch
    from accelerate import Accelerator

    trust = config.policy.trust_remote_code
    tokenizer, policy = load_policy(sft, trust_remote_code=trust)
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(),
        log_with=None if config.report_to == "none" else config.report_to,
        project_dir=logs,
    )
    accelerator.init_trackers(config.algorithm)
    # The critic first: it may be a copy of the policy, and PEFT puts the policy's adapters into the model itself.
    critic = _critic(config, policy, tokenizer, base_reward, seed) if config.trained_by.has_critic else None
    sft_model: PreTrainedModel | WithoutAdapters
    if config.policy.lora is None:
        sft_model = load_policy(sft, trust_remote_code=trust)[1]
    else:
        policy = add_adapters(policy, config.policy.lora, "CAUSAL_LM", seed=seed)
        # The frozen weights below the adapters are the SFT model: no second copy is held.
        sft_model = WithoutAdapters(policy)
    reference = sft_model if anchor is None else load_policy(anchor, trust_remote_code=trust)[1]
    given = (reference, tokenizer, reward, prompts, config.ppo)
    more: dict[str, Any] = {"seed": seed, "sft": sft_model, "accelerator": accelerator}
    return _MADE_BY[config.algorithm](config, policy, critic, given, more)


def _ppo(
    config: RunConfig, policy: Any, critic: Critic | ValueHead | None, given: tuple[Any, ...], more: dict[str, Any]
) -> PPOTrainer:
    del config
    assert critic is not None
    return PPOTrainer(policy, critic, *given, **more)


def _by_group(
    config: RunConfig, policy: Any, critic: Critic | ValueHead | None, given: tuple[Any, ...], more: dict[str, Any]
) -> GroupTrainer:
    from frft.policy.online import GroupTrainer

    del critic
    make: Any = GroupTrainer
    trainer: GroupTrainer = make(config.algorithm, policy, *given, config.group, **more)
    return trainer


_MADE_BY: dict[str, Callable[..., PPOTrainer | GroupTrainer]] = {"ppo": _ppo, "rloo": _by_group, "grpo": _by_group}
"""By algorithm, the function that makes its trainer; `frft.config.algorithms` holds all else about an algorithm.

Each is called with the configuration, the policy, the critic (None where the algorithm has none), the positional
arguments that all trainers take (KL reference, tokenizer, reward, prompts, `ppo`), and their keyword arguments (seed,
SFT model, accelerator).
"""


def _critic(
    config: RunConfig, policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, base_reward: Path, seed: int
) -> Critic | ValueHead:
    """The critic as `ppo.critic` asks: a value head on the policy (shared), or a model of its own.

    A model of its own starts from the reward model if both have one vocabulary, as it reads the policy's tokens; else
    from the policy.
    """
    if config.ppo.critic == "shared":
        return ValueHead.on(policy)
    reward_model = RewardModel.load(base_reward, seed=0, trust_remote_code=config.policy.trust_remote_code)
    if reward_model.tokenizer.get_vocab() == tokenizer.get_vocab():
        critic = Critic.from_classifier(reward_model.model, reward_model.gain, reward_model.bias)
    else:
        critic = Critic.from_causal_lm(policy)
    if config.policy.lora is not None:
        critic.backbone = add_adapters(critic.backbone, config.policy.lora, "FEATURE_EXTRACTION", seed=seed)
    return critic
