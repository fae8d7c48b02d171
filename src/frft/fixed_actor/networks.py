"""The small reward models: a head on frozen features, and a head on these and a transformer's last layer."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from frft.errors import ModelError

HIDDEN = 128
"""Units of the head's hidden layer."""


class Head(nn.Module):  # type: ignore[misc]
    """Features (B, W) to scores (B,): one hidden layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, 1))

    def forward(self, features_BW: Tensor) -> Tensor:
        """Scores, (B,)."""
        return self.layers(features_BW)[:, 0]


class TopLayerHead(nn.Module):  # type: ignore[misc]
    """A head on frozen features and on the first token's state after the last layer of a BERT, which is trained, too.

    The state is read where BERT's sequence classifiers read it, so of the last layer only that token's query and
    feed-forward network are computed, and because q . (W x) = (W' q) . x and sum_t a_t W x_t = W sum_t a_t x_t, no keys
    and values of single tokens: the same numbers as the whole layer's, at a small part of its cost.

    Args:
        width: number of frozen features, W.
        layer: the last layer as Transformers has it; it is copied.

    Raises:
        ModelError: the layer is not built like BERT's.
    """

    def __init__(self, width: int, layer: nn.Module) -> None:
        super().__init__()
        parts = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output")
        try:
            for part in (*parts, "intermediate", "output"):
                layer.get_submodule(part)
        except AttributeError as error:
            raise ModelError(
                f"The embedder's layers ({type(layer).__name__}) are not built like BERT's, so the last one cannot be "
                "trained by itself. Use --train head or --train full."
            ) from error
        self.layer = copy.deepcopy(layer).eval().requires_grad_(True)
        self.head = Head(width + self.layer.attention.self.query.out_features)

    def forward(self, features_BW: Tensor, states_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """Scores, (B,), from frozen features (B, W), the states before the last layer (B, T, D), and a mask (B, T),
        true at tokens and false at padding."""
        return self.head(torch.cat([features_BW, self.first_state(states_BTD, mask_BT)], dim=1))

    def first_state(self, states_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """The first token's state after the layer, (B, D)."""
        attention: Any = self.layer.attention
        size: int = attention.self.attention_head_size
        first_B1D = states_BTD[:, :1]
        query_BHK = attention.self.query(first_B1D)[:, 0].unflatten(-1, (-1, size))
        key_HKD, value_HKD = (
            each.weight.unflatten(0, (-1, size)) for each in (attention.self.key, attention.self.value)
        )
        # The bias of the keys moves all logits of a query alike; that of the values goes through a mean unchanged.
        logits_BHT = torch.einsum("bhk,hkd->bhd", query_BHK, key_HKD) @ states_BTD.mT / size**0.5
        weights_BHT = logits_BHT.masked_fill(~mask_BT[:, None], -torch.inf).softmax(-1)
        mixed_BHK = torch.einsum("bhd,hkd->bhk", weights_BHT @ states_BTD, value_HKD)
        mixed_B1D = mixed_BHK.flatten(1)[:, None] + attention.self.value.bias
        attended_B1D = attention.output(mixed_B1D, first_B1D)
        return self.layer.output(self.layer.intermediate(attended_B1D), attended_B1D)[:, 0]
