"""Checkpoints of PPO between two steps, as three files: trained weights, optimizer state, and scalars as JSON."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from frft.errors import ArtifactError
from frft.store import read_json, write_json

if TYPE_CHECKING:
    from torch import nn

TRAINED_WEIGHTS = "trained.safetensors"
OPTIMIZER = "optimizer.pt"
PPO_STATE = "ppo.json"


def save_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Write the trained weights (frozen ones are left out), the optimizer's state, and `state`, a JSON-able dict."""
    from safetensors.torch import save_file

    path.mkdir(parents=True, exist_ok=True)
    weights = {name: weight.detach().contiguous() for name, weight in _trained(model).items()}
    save_file(weights, path / TRAINED_WEIGHTS)
    torch.save(optimizer.state_dict(), path / OPTIMIZER)
    write_json(path / PPO_STATE, state)


def load_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Put what `save_state` wrote into a model and an optimizer of the same make; returns `state`.

    Raises:
        ArtifactError: the folder is damaged, or holds the weights of another model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

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
    with torch.no_grad():
        for name, weight in trained.items():
            weight.copy_(weights[name])
    optimizer.load_state_dict(moments)
    state: dict[str, Any] = read_json(path / PPO_STATE)
    return state


def _trained(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
