"""What can be found wrong with a training before its first step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from accelerate import Accelerator
from accelerate.utils import DistributedType

from frft.config.sections import PPOConfig
from frft.errors import UsageError
from frft.models import Encoder
from frft.policy.generation import check_room

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def check_start(
    models: Mapping[str, Any],
    prompts: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    config: PPOConfig,
    accelerator: Accelerator,
) -> None:
    """Raise what `PPOTrainer` says that it raises; `models` by what they are."""
    for what, model in models.items():
        check_room(model, config.sampling, what)
    if not prompts:
        raise UsageError("There are no prompts to roll out. Give at least one.")
    # By an encoder of its own, because the trainer's counts what is rolled out: a prompt without tokens must not wait
    # for its turn to be found.
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
