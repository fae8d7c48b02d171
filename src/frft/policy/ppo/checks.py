"""Checks of a PPO training's arguments, models and prompts before its first step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType

from frft.config.sections import PPOConfig
from frft.errors import UsageError, check_type
from frft.models import Encoder, WithoutAdapters
from frft.policy.critic import Critic, ValueHead
from frft.policy.generation import check_room

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def check_arguments(given: Mapping[str, Any]) -> None:
    """Refuse arguments of `PPOTrainer` that have the wrong type.

    Raises:
        UsageError: says which argument, what it is, and what to give.
    """
    model, settings = torch.nn.Module, "Give frft.PPOConfig(total_steps=32, ...)."
    check_type("policy", given["policy"], model, "frft.load_causal_lm(FOLDER, tokenizer) loads one.")
    check_type("reference", given["reference"], (model, WithoutAdapters), "Give a second load of the policy's folder.")
    check_type("critic", given["critic"], (Critic, ValueHead), "frft.Critic.from_causal_lm(policy) makes one.")
    check_type("config", given["config"], PPOConfig, settings)
    check_type("seed", given["seed"], int)
    if not callable(given["reward"]):
        raise UsageError(f"reward is {given['reward']!r:.60}; it must be a function (prompts, completions) -> scores.")
    prompts = given["prompts"]
    wrong = [prompts] if isinstance(prompts, str) else [prompt for prompt in prompts if not isinstance(prompt, str)]
    if wrong:
        raise UsageError(f"prompts must be a list of texts; {wrong[0]!r:.60} ({type(wrong[0]).__name__}) is none.")


def check_start(
    models: Mapping[str, Any],
    prompts: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    config: PPOConfig,
    accelerator: Accelerator,
) -> None:
    """Raise the errors that `PPOTrainer` documents; `models` maps a role (policy, critic, ...) to its model."""
    for what, model in models.items():
        check_room(model, config.sampling, what)
    if not prompts:
        raise UsageError("There are no prompts to roll out. Give at least one.")
    # A separate encoder, because the trainer's counts truncations of what is rolled out. All prompts are encoded here
    # so that one without tokens is found now, not when its turn comes.
    length = config.sampling.max_prompt_tokens
    Encoder(tokenizer, length).encode_prompts(prompts, length)
    if accelerator.distributed_type in (DistributedType.FSDP, DistributedType.DEEPSPEED):
        raise UsageError(
            "PPO runs data-parallel (every process holds the models); it does not shard weights by "
            f"{accelerator.distributed_type.value}. Launch it without, and save memory by policy.lora, "
            "ppo.critic: shared, ppo.bf16 and ppo.gradient_checkpointing."
        )
    if accelerator.mixed_precision != "no":
        raise UsageError(
            f"Accelerate is set to mixed precision {accelerator.mixed_precision}, by the launcher or by a trainer "
            "that ran before in this process, and not all of PPO's passes would follow. Launch without it, or train in "
            "a process of its own, and set ppo.bf16."
        )
    processes = accelerator.num_processes
    for name in ("rollout_batch_size", "mini_batch_size"):
        size = getattr(config, name)
        if size % processes:
            raise UsageError(
                f"ppo.{name} ({size}) cannot be divided evenly among {processes} processes. "
                f"Make it a multiple of {processes}, or start another number of processes."
            )
