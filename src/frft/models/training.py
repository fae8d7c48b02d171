"""Shared by all supervised training with TRL: arguments, batching, progress, and restoring the process's state."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from frft.config.sections import TrainConfig
from frft.errors import ModelError, UsageError
from frft.models.batches import SimilarLengths
from frft.models.finite_steps import checked_steps
from frft.models.launch import as_if_alone
from frft.models.runtime import quiet, seeded
from frft.progress import Progress

if TYPE_CHECKING:
    from torch import nn
    from transformers import TrainerCallback

ReportTo = Literal["none", "tensorboard", "wandb"]


def check_reporter(report_to: ReportTo) -> None:
    """Raise `UsageError` if the package behind `report_to` is not installed."""
    if report_to != "none" and importlib.util.find_spec(report_to) is None:
        raise UsageError(f"report_to: {report_to} needs a package that is not installed: pip install {report_to}")


def trainer_arguments(
    train: TrainConfig, examples: int, *, seed: int, workdir: Path, report_to: ReportTo
) -> dict[str, Any]:
    """Arguments for any of TRL's configurations: no checkpoints, and every step is logged.

    Args:
        train: the settings.
        examples: number of training examples, from which the number of optimizer steps follows.
        seed: seed of the training.
        workdir: folder for what the trainer writes.
        report_to: the tracker of training curves; "none": no tracker.
    """
    import torch

    gpu = torch.cuda.is_available()
    batches = math.ceil(examples / train.per_device_train_batch_size)
    steps = train.max_steps or math.ceil(
        math.ceil(batches / train.gradient_accumulation_steps) * train.num_train_epochs
    )
    return {
        "output_dir": str(workdir),
        "seed": seed,
        "data_seed": seed,
        "use_cpu": not gpu,
        "dataloader_pin_memory": gpu,
        "bf16": train.bf16,
        "gradient_checkpointing": train.gradient_checkpointing,
        # Sequences come tokenized and cut (`Encoder`); TRL must not cut them again, without counting.
        "max_length": None,
        "num_train_epochs": train.num_train_epochs,
        "max_steps": train.max_steps or -1,
        "learning_rate": train.learning_rate,
        "per_device_train_batch_size": train.per_device_train_batch_size,
        "gradient_accumulation_steps": train.gradient_accumulation_steps,
        # Rounded down. Transformers rounds a ratio up, so that a training of one step would be all warm-up, from 0.
        "warmup_steps": int(train.warmup_ratio * steps),
        "weight_decay": train.weight_decay,
        "logging_steps": 1,
        # Transformers would replace a loss that is not finite by the last good one in its logs.
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "report_to": report_to,
        "save_strategy": "no",
    }


def on_one_device(arguments: Any) -> Any:
    """Restrict TRL's arguments to one device: for several visible GPUs it would take `nn.DataParallel`, and refuse."""
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1
    return arguments


def trainer_class(base: type, lengths: Sequence[int], batch_size: int, seed: int, description: str) -> type:
    """A subclass of one of TRL's trainers that batches examples of similar length and sends no telemetry.

    It stops before a loss or a gradient that is not finite moves a weight (`checked_steps`).

    Args:
        base: the class of the trainer.
        lengths: tokens of every example (of a pair: of its longer sequence), (N,).
        batch_size: examples per batch.
        seed: seed of the order.
        description: name of the training, for errors.
    """

    def broke_down(trainer: Any, name: str, value: float) -> str:
        return (
            f"{description} broke down at step {trainer.state.global_step + 1} of {trainer.state.max_steps}: {name} is "
            f"{value}. Lower the learning rate (it is {trainer.args.learning_rate:g}), or check the data."
        )

    class Trainer(checked_steps(base, broke_down)):  # type: ignore[misc]
        def _send_telemetry(self) -> None:
            """Do nothing: no telemetry is sent."""

        def _get_train_sampler(self, train_dataset: Any = None) -> SimilarLengths:
            del train_dataset
            return SimilarLengths(lengths, batch_size, seed)

    return Trainer


@contextmanager
def own_forwards(*models: nn.Module) -> Iterator[None]:
    """Give every module of `models` back the `forward` that it had before the block.

    Trainers of mixed precision (Accelerate) replace a model's `forward` by one that runs under autocast, and leave it
    so: what a trained model says would be rounded to bfloat16 until it is saved and loaded again.
    """
    before = [(module, vars(module).get("forward")) for model in models for module in model.modules()]
    try:
        yield
    finally:
        for module, forward in before:
            vars(module).pop("_original_forward", None)
            vars(module).pop("forward", None)
            if forward is not None:
                module.forward = forward


def check_trainable(model: nn.Module, what: str) -> None:
    """Refuse to train a model of which nothing would be trained.

    Args:
        model: what is going to be trained.
        what: its role, for the message ("policy", "critic", ...).

    Raises:
        ModelError: all of its weights are frozen.
    """
    if not any(weight.requires_grad for weight in model.parameters()):
        raise ModelError(
            f"All weights of the {what} ({type(model).__name__}) are frozen: training would change nothing. "
            "Call requires_grad_(True) on what is to be trained; a KL reference, which is frozen, must be another "
            "object."
        )


@contextmanager
def trainer_session(seed: int) -> Iterator[ExitStack]:
    """A block in which one of TRL's trainers runs: with seeded generators, without output, and as a single process.

    A refresh trains while PPO's own Accelerator is in use, and one of several processes may train for all of them. The
    trainer must see neither, and the state of both is restored afterwards.

    Yields a stack for progress tasks that the trainer's callbacks open.
    """
    with as_if_alone(), quiet(), seeded(seed), ExitStack() as tasks:
        yield tasks


def loss_watcher(
    losses: list[float],
    tasks: ExitStack,
    progress: Progress,
    description: str,
    note: Callable[[dict[str, float]], str],
) -> TrainerCallback:
    """A callback that collects the loss of every step and shows progress.

    Args:
        losses: the list that losses are appended to.
        tasks: the stack of `trainer_session`.
        progress: gets a task with an optimizer step as its unit.
        description: name of the training.
        note: makes a short text for the progress bar from the logged metrics.
    """
    from transformers import TrainerCallback

    class Watcher(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            del args, control
            self.task = tasks.enter_context(progress.task(description, state.max_steps))

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
            del args, state, control
            if "loss" not in logs:  # the summary when training ends
                return
            losses.append(logs["loss"])
            self.task.advance(1, note(logs))

    return Watcher()
