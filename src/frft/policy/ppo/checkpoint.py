"""The state of a training by PPO between two steps: trained weights, optimizer state, and scalars in the manifest."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from frft.errors import ArtifactError
from frft.models.finite_steps import check_weights
from frft.policy.training_state import TrainingState, read_training_state
from frft.store import named_in_errors

if TYPE_CHECKING:
    from torch import nn

TRAINED_WEIGHTS = "trained.safetensors"
OPTIMIZER = "optimizer.pt"
ALGORITHM = "ppo"


def save_state(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scalars: Mapping[str, Any],
    along: Mapping[str, Any],
) -> None:
    """Write the trained weights (frozen ones are left out), the optimizer's state, and the manifest that covers both.

    Args:
        path: the folder.
        model: of which the trainable weights are saved.
        optimizer: whose state is saved.
        scalars: the trainer's values, JSON-able.
        along: the caller's values, JSON-able.

    Raises:
        TrainingError: weights are not finite; nothing is written.
    """
    from safetensors.torch import save_file

    check_weights(model, path)
    path.mkdir(parents=True, exist_ok=True)
    weights = {name: weight.detach().contiguous() for name, weight in _trained(model).items()}
    save_file(weights, path / TRAINED_WEIGHTS)
    # By a file of Python's: PyTorch's own stream does not say why a write failed.
    with named_in_errors(path / OPTIMIZER), (path / OPTIMIZER).open("wb") as file:
        torch.save(optimizer.state_dict(), file)
    TrainingState(ALGORITHM, scalars, along).seal(path, [path / TRAINED_WEIGHTS, path / OPTIMIZER])


def load_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> TrainingState:
    """Verify what `save_state` wrote, and put it into a model and an optimizer of the same make.

    Raises:
        ArtifactError: the folder is damaged, or holds the weights of another model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    state = read_training_state(path, ALGORITHM)
    trained = _trained(model)
    device = str(next(iter(trained.values())).device)
    try:
        weights = load_file(path / TRAINED_WEIGHTS, device=device)
        moments = torch.load(path / OPTIMIZER, weights_only=True, map_location=device)
    except (OSError, EOFError, SafetensorError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ArtifactError(
            f"{path} holds no whole state of a training: {first_line}. Delete it and run the same command again."
        ) from error
    shapes, expected = ({name: weight.shape for name, weight in some.items()} for some in (weights, trained))
    if differing := sorted(name for name in {*shapes, *expected} if shapes.get(name) != expected.get(name)):
        raise ArtifactError(
            f"{path / TRAINED_WEIGHTS} is of another model: {len(differing)} weights differ in name or shape "
            f"({', '.join(differing[:3])}). Restore into models like those that it was saved from."
        )
    try:
        _check_shapes(moments, optimizer)
        optimizer.load_state_dict(moments)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ArtifactError(
            f"{path / OPTIMIZER} is not the state of this optimizer: {type(error).__name__}: {error}. Restore into a "
            "trainer like the one that it was saved from, or delete the folder and run the same command again."
        ) from error
    with torch.no_grad():
        for name, weight in trained.items():
            weight.copy_(weights[name])
    return state


def _check_shapes(moments: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> None:
    """Raise `ValueError` where a moment has another shape than its weight, which `load_state_dict` does not look at."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for number, of_weight in moments["state"].items():
        for name, value in of_weight.items():
            if torch.is_tensor(value) and value.dim() and value.shape != weights[number].shape:
                raise ValueError(f"{name} of weight {number} has the shape {tuple(value.shape)}")


def _trained(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
