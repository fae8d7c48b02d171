"""A causal language model with a key-value cache: it reads a batch of prompts once, then one token a row at a time."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from transformers import GenerationMixin

from frft.policy.kv_cache import BufferCache, can_buffer

if TYPE_CHECKING:
    from torch import Tensor

PROMPT_TOKENS = 512
"""Prompt tokens of a forward pass on a CPU: few enough for a layer's activations to stay in the processor's cache."""
PROMPT_TOKENS_GPU = 32_768
"""Prompt tokens of a forward pass on a GPU."""


class CachedModel:
    """`model` with the keys and values of the B sequences that it has read so far.

    Args:
        model: a causal language model for which `can_cache` is true, in evaluation mode.
        mask_BP: which tokens of the left-padded prompts are real; rows in order of decreasing length.
        max_new_tokens: most tokens that can follow a prompt; the cache is allocated for them.
    """

    def __init__(self, model: Any, mask_BP: Tensor, max_new_tokens: int) -> None:
        self.model = model
        self.lengths_B = mask_BP.sum(-1)
        self.mask_BL = F.pad(mask_BP, (0, max_new_tokens), value=1)
        self.cache = BufferCache(model.config, *self.mask_BL.shape)

    def read_prompts(self, ids_BP: Tensor) -> Tensor:
        """Logits after the prompts, (B, V). Rows of similar length are read together, to save padding."""
        width = ids_BP.shape[1]
        limit = PROMPT_TOKENS if ids_BP.device.type == "cpu" else PROMPT_TOKENS_GPU
        lengths = self.lengths_B.tolist()
        logits, start = [], 0
        while start < len(lengths):
            longest = lengths[start]
            rows = slice(start, min(start + max(1, limit // longest), len(lengths)))
            slots = slice(width - longest, width)
            self.cache.cursor.to_prompts(rows, slots.start, slots.stop)
            mask = self.mask_BL[rows, slots]
            logits.append(self._last_logits(ids_BP[rows, slots], mask, (mask.cumsum(-1) - 1).clamp_min(0)))
            start = rows.stop
        return torch.cat(logits)

    def read_tokens(self, tokens_B: Tensor) -> Tensor:
        """Append one token, (B,), to every row; logits after it, (B, V)."""
        cursor = self.cache.cursor
        cursor.to_next_slot()
        positions_B = self.lengths_B
        self.lengths_B = positions_B + 1
        return self._last_logits(tokens_B[:, None], self.mask_BL[:, : cursor.last], positions_B[:, None])

    def keep(self, rows_b: Tensor) -> None:
        """Keep only the rows with these indices, (b,), and drop the others from the cache."""
        self.cache.keep(rows_b)
        self.mask_BL, self.lengths_B = self.mask_BL[rows_b], self.lengths_B[rows_b]

    def _last_logits(self, ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """Logits after the last of the new tokens, (b, V).

        Args:
            ids: the new tokens, (b, t).
            positions: position of each new token in its sequence, (b, t).
            mask: which of the tokens that they can attend to are not padding, (b, context + t).
        """
        logits: Tensor = self.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits
        return logits[:, -1]


def can_cache(model: Any) -> bool:
    """Whether a `CachedModel` can be made of a Transformers model.

    It can where keys and values are its whole state between tokens, and where its `forward` takes the usual arguments.
    Models that override `prepare_inputs_for_generation` need inputs that `CachedModel` does not build.
    """
    return (
        getattr(type(model), "prepare_inputs_for_generation", None) is GenerationMixin.prepare_inputs_for_generation
        and {"past_key_values", "position_ids", "logits_to_keep"}
        <= {*inspect.signature(type(model).forward).parameters}
        and not model.config.is_encoder_decoder
        and not model._is_stateful
        and model._supports_default_dynamic_cache()
        and can_buffer(model.config)
    )
