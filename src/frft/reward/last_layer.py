"""The features that a reward model's last layer reads: its score is linear in them, raw = w . features + b."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from frft.errors import ModelError, RewardError
from frft.progress import SILENT, Progress
from frft.reward.model import RewardModel

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from frft.statistics.numbers import Floats

_TOLERANCE = 1e-2
"""Largest error of scores computed from features, relative to the largest score: bfloat16 has 3 digits."""


def last_layer_features(
    reward_model: RewardModel,
    prompts: Sequence[str],
    completions: Sequence[str],
    *,
    batch_size: int = 32,
    progress: Progress = SILENT,
) -> tuple[Floats, Floats]:
    """Features (N, D) that the last layer reads of N completions, and their raw scores (N,).

    Equal token sequences are computed once. It takes the time of scoring, and 8 N D bytes.

    Raises:
        ModelError: the model's score is no linear function of what one layer reads at one token.
        RewardError: the numbers of prompts and completions differ, or a score is not finite.
    """
    import numpy as np

    if len(prompts) != len(completions):
        raise RewardError(f"{len(prompts)} prompts but {len(completions)} completions; there must be one each.")
    layer = score_layer(reward_model.model)
    sequences = [tuple(ids) for ids in reward_model.token_ids(prompts, completions)]
    read: list[torch.Tensor] = []
    feature_of: dict[tuple[int, ...], Any] = {}
    score_of: dict[tuple[int, ...], float] = {}
    handle = layer.register_forward_pre_hook(lambda _, given: read.append(given[0]))
    try:
        for batch, scores_B in reward_model.scored_batches(sequences, batch_size=batch_size, progress=progress):
            features_BD = _at_last_token(read.pop(), batch)
            _check_linear(reward_model.model, layer, features_BD, scores_B)
            feature_of.update(zip(batch, features_BD.double().cpu().numpy(), strict=True))
            score_of.update(zip(batch, scores_B, strict=True))
            read.clear()
    finally:
        handle.remove()
    features_ND = np.stack([feature_of[ids] for ids in sequences]) if sequences else np.empty((0, layer.in_features))
    return features_ND, np.array([score_of[ids] for ids in sequences], np.float64)


def score_layer(model: PreTrainedModel) -> torch.nn.Linear:
    """The layer of one output that gives a classifier's score.

    Raises:
        ModelError: there is none, or there are several.
    """
    import torch

    backbone = f"{model.base_model_prefix}."
    layers = [
        layer
        for name, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear) and layer.out_features == 1 and not name.startswith(backbone)
    ]
    if len(layers) != 1:
        raise ModelError(
            f"{type(model).__name__} has {len(layers)} linear layers of one output outside its backbone; to read the "
            "features of the last layer there must be one. Choose pairs by a rule that reads scores alone."
        )
    return layers[0]


def _at_last_token(read: torch.Tensor, batch: Sequence[Sequence[int]]) -> torch.Tensor:
    """What the layer read of each row, (B, D): all of it, or of (B, T, D) that of the row's last token."""
    import torch

    if read.ndim == 2:
        return read
    last_B = torch.tensor([len(ids) - 1 for ids in batch], device=read.device)
    return read[torch.arange(len(batch), device=read.device), last_B]


def _check_linear(
    model: PreTrainedModel, layer: torch.nn.Linear, features_BD: torch.Tensor, scores_B: Sequence[float]
) -> None:
    import torch

    with torch.inference_mode():
        again_B = layer(features_BD)[:, 0].float().cpu()
    given_B = torch.tensor(scores_B)
    if not torch.isfinite(given_B).all():
        raise RewardError(
            "The reward model gives a score that is not finite. Its training has probably diverged; train it again "
            "with a lower learning rate."
        )
    error, largest = float((again_B - given_B).abs().max()), float(given_B.abs().max())
    if error > _TOLERANCE * max(largest, 1e-3):
        raise ModelError(
            f"The score of {type(model).__name__} is not what its last layer makes of the last token (they differ by "
            f"{error:.3g}), so that its features are unknown. Choose pairs by a rule that reads scores alone."
        )
