"""A faster forward pass of GPT-2 for sampling, through the model's own layers.

In a model with a few million parameters, overhead takes much of a step. Compared with Transformers' forward pass, this
one saves the masks in several forms, `gelu_new` in eight passes over memory, an attention kernel made for many queries
where there is one, and in the last layer all tokens of a prompt but its last.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from transformers import GPT2LMHeadModel
from transformers.activations import GELUTanh, NewGELUActivation

from frft.policy.cached_model import CachedModel

if TYPE_CHECKING:
    from torch import Tensor

    from frft.policy.kv_cache import BufferLayer


class CachedGPT2(CachedModel):
    """A faster `CachedModel` for models with `is_plain_gpt2`; its logits are the same within rounding."""

    def _last_logits(self, ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        with torch.inference_mode():
            body = self.model.transformer
            hidden = body.wte(ids) + body.wpe(positions)
            bias = _score_bias(mask, ids.shape[1], hidden.dtype)
            for number, (block, layer) in enumerate(zip(body.h, self.cache.layers, strict=True), 1):
                hidden = _block(block, hidden, bias, layer, is_last=number == len(body.h))
            logits: Tensor = self.model.lm_head(body.ln_f(hidden[:, -1]))
            return logits


def is_plain_gpt2(model: Any) -> bool:
    """Whether `model` is an unmodified GPT-2, which `CachedGPT2` can run; its linear layers may have LoRA adapters."""
    if type(model) is not GPT2LMHeadModel:
        return False
    blocks = model.transformer.h
    called = (model, model.transformer, *blocks, *(part for block in blocks for part in (block.attn, block.mlp)))
    return (
        model.config._attn_implementation in ("sdpa", "eager")
        and not model.config.reorder_and_upcast_attn
        and not model.config.add_cross_attention
        # Hooks and replaced methods (FSDP's, Accelerate's) expect that these modules are called.
        and not any(part._forward_pre_hooks or part._forward_hooks or "forward" in vars(part) for part in called)
    )


def _score_bias(mask: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """Attention bias of the last `width` of n tokens: 0 where a token is visible, -inf elsewhere; (b, 1, width, n)."""
    slots = torch.arange(mask.shape[1], device=mask.device)
    visible = (slots <= slots[-width:, None]) & mask[:, None, None].bool()
    return torch.zeros(visible.shape, dtype=dtype, device=mask.device).masked_fill_(~visible, -torch.inf)


def _block(block: Any, hidden: Tensor, bias: Tensor, layer: BufferLayer, *, is_last: bool) -> Tensor:
    """One transformer block on (b, t, E)."""
    attention = block.attn
    parts = attention.c_attn(block.ln_1(hidden)).unflatten(-1, (3, attention.num_heads, attention.head_dim))
    queries, keys, values = parts.permute(2, 0, 3, 1, 4).unbind()
    keys, values = layer.update(keys, values)
    if is_last:
        hidden, queries, bias = hidden[:, -1:], queries[:, :, -1:], bias[:, :, -1:]
    mixed = _attend(queries, keys, values, bias, attention.scaling).transpose(1, 2).reshape(hidden.shape)
    hidden = _sum(hidden, attention.c_proj(mixed))
    inner = block.mlp.c_fc(block.ln_2(hidden))
    return _sum(hidden, block.mlp.c_proj(_activate(block.mlp.act, inner)))


def _sum(hidden: Tensor, change: Tensor) -> Tensor:
    # Under autocast `change` is bfloat16, but the residual stream must stay float32.
    return change.add_(hidden) if change.dtype == hidden.dtype else hidden + change


def _attend(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor, scaling: float) -> Tensor:
    """Attention of the new tokens, (b, heads, t, D)."""
    batch, heads, width, _ = queries.shape
    if width > 1:
        return F.scaled_dot_product_attention(queries, keys, values, attn_mask=bias, scale=scaling)
    # For one query, batched products of keys with it take less time than a kernel that tiles queries.
    bias = bias.expand(batch, heads, 1, -1).flatten(0, 1).transpose(1, 2)
    scores = torch.baddbmm(bias, keys.flatten(0, 1), queries.flatten(0, 1).transpose(1, 2), alpha=scaling)
    return torch.bmm(scores.transpose(1, 2).softmax(-1), values.flatten(0, 1)).unflatten(0, (batch, heads))


def _activate(activation: Any, inner: Tensor) -> Tensor:
    if type(activation) not in (NewGELUActivation, GELUTanh) or inner.dtype != torch.float32:
        activated: Tensor = activation(inner)
        return activated
    # x (1 + tanh z) / 2 is x sigmoid(2 z), and on a CPU torch's sigmoid takes a tenth of the time of its tanh.
    scale = 2 * math.sqrt(2 / math.pi)
    gate = (inner * inner).mul_(0.044715 * scale).add_(scale).mul_(inner).sigmoid_()
    return gate.mul_(inner)
