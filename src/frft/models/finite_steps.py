"""Training stops before a number that is not finite moves a weight, and weights that are not finite are not saved.

A trainer of Transformers logs after the optimizer's step, when a NaN has gone into every weight.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frft.errors import TrainingError, quantity

if TYPE_CHECKING:
    from torch import nn


def check_weights(model: nn.Module, path: Path) -> None:
    """Check that all weights are finite before they are saved, so that a broken model never replaces a good one.

    Raises:
        TrainingError: some are not; names one, and where nothing was saved.
    """
    wrong = [name for name, weight in model.named_parameters() if not bool(weight.detach().isfinite().all())]
    if wrong:
        raise TrainingError(
            f"{path}: not saved, because weights are not finite in {quantity(len(wrong), 'tensor')}, {wrong[0]!r} "
            "first. What was saved before is kept. Lower the learning rate, and train again from there."
        )


def checked_steps(base: type, broke_down: Callable[[Any, str, float], str]) -> type:
    """A subclass of a trainer's class that checks the loss of each batch, and the gradients before each step.

    Args:
        base: the class.
        broke_down: makes a message from the trainer, "loss", "grad_norm" or "the learning rate", and its value.

    Raises (from `train`):
        TrainingError: one of them is not finite. Weights are as after the step before.
    """
    from transformers import TrainerCallback

    class Gradients(TrainerCallback):  # type: ignore[misc]
        def __init__(self, trainer: Any) -> None:
            self._trainer = trainer

        def on_pre_optimizer_step(
            self, args: Any, state: Any, control: Any, *, model: Any, optimizer: Any, **_: Any
        ) -> None:
            import torch

            del args, state, control
            # Gradients have been clipped, which turns infinite ones into NaN and leaves NaN as they are.
            gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
            _check(self._trainer, "grad_norm", float(torch.nn.utils.get_total_norm(gradients)))
            for group in optimizer.param_groups:
                _check(self._trainer, "the learning rate", group["lr"])

    class Checked(base):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.add_callback(Gradients(self))

        def training_step(self, *args: Any, **kwargs: Any) -> Any:
            loss = super().training_step(*args, **kwargs)
            _check(self, "loss", float(loss))
            return loss

    def _check(trainer: Any, name: str, value: float) -> None:
        if not math.isfinite(value):
            raise TrainingError(broke_down(trainer, name, value))

    return Checked
