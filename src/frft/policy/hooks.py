"""TRL's online trainers as `frft.policy.online` runs them: arguments, overridden methods, and metrics."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

from frft.errors import UsageError
from frft.models import seed_for
from frft.models.finite_steps import checked_steps
from frft.models.launch import process_count

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainerControl, TrainerState, TrainingArguments

    from frft.policy.online import GroupRollout, GroupTrainer

OF_UPDATES = {"policy_loss": "loss", "entropy": "entropy", "clip_fraction": "clip_ratio/region_mean"}
"""Metrics averaged over the updates of a step: PPO's name -> TRL's name."""


def trl_arguments(host: GroupTrainer, longest: int, folder: Path) -> Any:
    """The configuration of TRL's trainer.

    Args:
        host: the trainer whose settings are translated.
        longest: length of the longest sequence, in tokens.
        folder: output folder that TRL requires and may create; nothing is written there.

    Raises:
        UsageError: a batch size that groups or processes cannot divide evenly.
    """
    from trl import GRPOConfig, RLOOConfig

    config, group, sampling = host.config, host.group, host.config.sampling
    processes, gpu = process_count(), torch.cuda.is_available()
    for what, whole, of, part in (
        ("ppo.rollout_batch_size", config.rollout_batch_size, "group.num_generations", group.num_generations),
        ("ppo.rollout_batch_size", config.rollout_batch_size, "ppo.mini_batch_size", config.mini_batch_size),
        ("ppo.mini_batch_size", config.mini_batch_size, "the number of processes", processes),
    ):
        if whole % part:
            raise UsageError(f"{what} ({whole}) must be a multiple of {of} ({part}).")
    share = config.mini_batch_size // processes
    fit = max(1, config.forward_batch_tokens // longest)
    at_once = max(count for count in range(1, share + 1) if share % count == 0 and count <= fit)
    arguments = {
        "output_dir": str(folder),
        "seed": host.seed,
        "use_cpu": not gpu,
        "dataloader_pin_memory": gpu,
        "bf16": config.bf16,
        "gradient_checkpointing": config.gradient_checkpointing,
        "disable_dropout": True,
        "max_steps": config.total_steps * host.updates_per_step,
        "per_device_train_batch_size": at_once,
        "gradient_accumulation_steps": share // at_once,
        "steps_per_generation": config.rollout_batch_size // processes // at_once,
        "num_generations": group.num_generations,
        "num_iterations": group.num_iterations,
        # Off, because the prompts are already in their random order.
        "shuffle_dataset": False,
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "max_completion_length": sampling.max_new_tokens,
        # Set on the trainer afterwards, together with the reference.
        "beta": 0.0,
        "epsilon": config.cliprange,
        "optim": "adamw_torch",
        "adam_epsilon": config.adam_epsilon,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": "linear",
        "max_grad_norm": config.max_grad_norm,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "report_to": "none",
        "save_strategy": "no",
    }
    if host.algorithm == "rloo":
        return RLOOConfig(**arguments)
    return GRPOConfig(
        **arguments,
        loss_type=group.loss_type,
        scale_rewards=group.scale_rewards,
        # TRL's correction makes the gradient of k3 that of a token's KL; without it the optimum is another one.
        use_bias_correction_kl=True,
    )


def hooked(host: GroupTrainer) -> type:
    """TRL's RLOO or GRPO trainer, which calls `host` wherever TRL would differ from PPO here."""
    from trl import GRPOTrainer, RLOOTrainer

    base = RLOOTrainer if host.algorithm == "rloo" else GRPOTrainer

    def broke_down(trainer: Any, name: str, value: float) -> str:
        return (
            f"{host.algorithm.upper()} step {host.step_number + 1}: {name} is {value}. Lower the learning rate (it is "
            f"{trainer.args.learning_rate:g}), or look at the rewards and at the model's weights."
        )

    class Trainer(checked_steps(base, broke_down)):  # type: ignore[misc]
        def _send_telemetry(self) -> None:
            """Do nothing: no telemetry is sent."""

        def _save_rng_state(self, output_dir: str) -> None:
            """Save no generator state: every random draw is seeded by the step number."""

        def _load_rng_state(self, checkpoint: str | None) -> None:
            """Load no generator state; see `_save_rng_state`."""

        def create_model_card(self, *_: Any, **__: Any) -> None:
            """Write no model card: checkpoints are not published."""

        def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
            return host.tokenize(prompts), None, {}

        def _generate_single_turn(self, prompt_ids: list[list[int]], *_: Any, **__: Any) -> Any:
            completion_ids = host.sample(prompt_ids)
            return (completion_ids, None) if base is GRPOTrainer else completion_ids

        def _get_per_token_logps_and_entropies(self, model: Any, *args: Any, **kwargs: Any) -> Any:
            with real_positions(self.accelerator.unwrap_model(model)):
                found = super()._get_per_token_logps_and_entropies(model, *args, **kwargs)
            if not torch.is_grad_enabled():
                host.look(model, found[0])
            return found

        def _generate_and_score_completions(self, inputs: Any) -> Any:
            started = time.perf_counter()
            batch = super()._generate_and_score_completions(inputs)
            self.rollout, metrics = host.measure(batch)
            self.rollout_metrics = {**metrics, "seconds_rollout": time.perf_counter() - started}
            return batch

    return Trainer


@contextmanager
def real_positions(model: PreTrainedModel) -> Iterator[None]:
    """Within this block, `model` counts positions from the first real token unless the caller gives positions."""
    backbone = _under_adapters(model).base_model
    if "position_ids" not in inspect.signature(type(backbone).forward).parameters:
        yield
        return

    def fill_in(_: Any, args: Any, inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        mask_BT = inputs.get("attention_mask")
        if mask_BT is not None and inputs.get("position_ids") is None:
            inputs = {**inputs, "position_ids": (mask_BT.long().cumsum(-1) - 1).clamp_min(0)}
        return args, inputs

    with backbone.register_forward_pre_hook(fill_in, with_kwargs=True):
        yield


@contextmanager
def own_forward(model: PreTrainedModel) -> Iterator[None]:
    """Within this block, `model` has the `forward` of its class, not the wrapper of TRL (for losses) or Accelerate.

    Sampling needs neither, and a wrapped GPT-2 would not qualify for the fast path (`frft.policy.gpt2`).
    """
    under = _under_adapters(model)
    replaced = vars(under).pop("forward", None)
    try:
        yield
    finally:
        if replaced is not None:
            under.forward = replaced


def _under_adapters(model: PreTrainedModel) -> PreTrainedModel:
    return getattr(model, "get_base_model", lambda: model)()


class Watcher(TrainerCallback):  # type: ignore[misc]
    """Seeds every rollout, collects the metrics that TRL logs, reports each step to `on_step`, and stops the training.

    Args:
        host: the trainer.
        trainer: TRL's trainer that it runs.
        until_step: stop when this many steps (rollout batches) are done, earlier ones included.
        on_step: called after each step with its metrics and its rollout.
    """

    def __init__(
        self,
        host: GroupTrainer,
        trainer: Any,
        until_step: int,
        on_step: Callable[[dict[str, Any], GroupRollout], None],
    ) -> None:
        self._host, self._trainer, self._until_step, self._on_step = host, trainer, until_step, on_step
        self._logs: list[dict[str, float]] = []
        self._started = 0.0

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Before a rollout: seed what TRL draws itself (the order of the updates' batches) by the step number."""
        del args, control
        if state.global_step % self._host.updates_per_step == 0:
            torch.manual_seed(seed_for(self._host.seed, "update", self._host.step_number))
            self._started = time.perf_counter()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """After an update: stop the training if `until_step` is reached."""
        del args
        control.should_training_stop = state.global_step >= self._until_step * self._host.updates_per_step

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float],
        **_: Any,
    ) -> None:
        """After an update: collect its metrics; after the last update of a step, report their means."""
        del args, control
        if "loss" not in logs:  # the summary when training ends
            return
        step = self._host.step_number + 1
        self._logs.append(logs)
        if state.global_step % self._host.updates_per_step:
            return
        self._host.step_number = step
        seconds = time.perf_counter() - self._started
        rollout, metrics = self._trainer.rollout, dict(self._trainer.rollout_metrics)
        seconds_rollout = metrics.pop("seconds_rollout")
        tokens = metrics["response_tokens"] * len(rollout.prompts)
        metrics = {
            "step": step,
            **metrics,
            **{name: self._mean(theirs) for name, theirs in OF_UPDATES.items()},
            "grad_norm_policy": self._mean("grad_norm"),
            "updates": len(self._logs),
            "seconds_rollout": seconds_rollout,
            "seconds_update": seconds - seconds_rollout,
            "tokens_per_second": tokens / seconds,
        }
        self._logs = []
        self._on_step(metrics, rollout)

    def _mean(self, name: str) -> float:
        return sum(logs[name] for logs in self._logs) / len(self._logs)
