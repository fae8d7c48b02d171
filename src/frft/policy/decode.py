"""Sampling from a causal language model with one uniform number for every token.

The model's probabilities and that number alone decide which token follows (inverse transform sampling). So what
follows a prompt does not depend on the order or the batching of prompts, nor on how many other rows have finished,
except through rounding of the logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from frft.errors import NoProbabilitiesError
from frft.policy.cached_model import CachedModel, can_cache
from frft.policy.gpt2 import CachedGPT2, is_plain_gpt2

if TYPE_CHECKING:
    from torch import Tensor

    from frft.config.sections import SamplingConfig

COMPACT_AT = 0.75
"""Finished rows are dropped from the batch when at most this share of its rows is unfinished: dropping costs a copy."""
BLOCK = 64
"""Block size of the two-level search: cumulative sums run over V / 64 block sums and one block of 64, not over V."""


def can_decode(policy: Any) -> bool:
    """Whether `decode_tokens` supports the policy; of PEFT's adapters, only LoRA is supported."""
    adapters = policy.peft_config.values() if _is_peft(policy) else ()
    return all(adapter.peft_type == "LORA" for adapter in adapters) and can_cache(_without_adapters(policy))


def decode_tokens(
    policy: Any,
    ids_BP: Tensor,
    mask_BP: Tensor,
    sampling: SamplingConfig,
    end_ids: Sequence[int],
    pad_token_id: int,
    uniforms_BT: Tensor,
) -> Tensor:
    """Sample responses to left-padded prompts: (B, T) token ids, padded after EOS; T ends with the last response.

    Call it under `torch.inference_mode()` or `torch.no_grad()`.

    Beside the model, memory goes to keys and values: 2 * layers * key-value heads * D * (P + max_new_tokens) numbers
    for each unfinished row, in the model's precision.

    Args:
        policy: a model for which `can_decode` is true, in evaluation mode.
        uniforms_BT: uniform numbers in [0, 1), (B, max_new_tokens): one for each token of a row.

    Raises:
        NoProbabilitiesError: a probability is not finite.
    """
    model = _without_adapters(policy)
    rows_B = mask_BP.sum(-1).argsort(descending=True, stable=True)
    reader = (CachedGPT2 if is_plain_gpt2(model) else CachedModel)(model, mask_BP[rows_B], sampling.max_new_tokens)
    uniforms_BT = uniforms_BT.to(ids_BP.device)
    tokens_BT = ids_BP.new_full((len(ids_BP), sampling.max_new_tokens), pad_token_id)
    unfinished_B = torch.ones_like(rows_B, dtype=torch.bool)
    ends = torch.tensor(list(end_ids), device=ids_BP.device)
    logits_BV = reader.read_prompts(ids_BP[rows_B])
    for t in range(sampling.max_new_tokens):
        try:
            next_B = draw_tokens(logits_BV, uniforms_BT[rows_B, t], sampling)
        except NoProbabilitiesError as error:
            raise NoProbabilitiesError(str(error), rows_B[error.rows].tolist()) from error
        tokens_BT[rows_B, t] = torch.where(unfinished_B, next_B, pad_token_id)
        unfinished_B = unfinished_B & ~torch.isin(next_B, ends)
        left = int(unfinished_B.sum())
        if left == 0 or t + 1 == sampling.max_new_tokens:
            return tokens_BT[:, : t + 1]
        if left <= COMPACT_AT * len(rows_B):
            kept = unfinished_B.nonzero().squeeze(-1)
            reader.keep(kept)
            rows_B, next_B, unfinished_B = rows_B[kept], next_B[kept], unfinished_B[kept]
        logits_BV = reader.read_tokens(next_B)
    return tokens_BT


def draw_tokens(logits_BV: Tensor, uniforms_B: Tensor, sampling: SamplingConfig) -> Tensor:
    """One token for each row, (B,): the first whose cumulative probability exceeds the row's uniform number.

    Probabilities are a softmax in float32 of the `top_k` largest logits (in falling order) or of all of them (in the
    order of the vocabulary), divided by the temperature; they are summed in float64. A token of probability 0 is
    never drawn.

    Raises:
        NoProbabilitiesError: the probabilities of a row are not finite.
    """
    logits_BV = logits_BV.float()
    if sampling.temperature != 1:
        logits_BV = logits_BV / sampling.temperature
    if 0 < sampling.top_k < logits_BV.shape[1]:
        top = logits_BV.topk(sampling.top_k)
        return top.indices.gather(1, _search(top.values.softmax(-1), uniforms_B[:, None])).squeeze(1)
    return _search(logits_BV.softmax(-1), uniforms_B[:, None]).squeeze(1)


def _search(probabilities_BV: Tensor, uniforms_B1: Tensor) -> Tensor:
    """Where the cumulative sum of each row first exceeds its number times its total, (B, 1)."""
    size = probabilities_BV.shape[1]
    whole = size // BLOCK * BLOCK
    blocks_BK = probabilities_BV[:, :whole].unflatten(1, (whole // BLOCK, BLOCK)).sum(-1)
    if whole < size:
        blocks_BK = torch.cat([blocks_BK, probabilities_BV[:, whole:].sum(-1, keepdim=True)], dim=1)
    ends_BK = blocks_BK.cumsum(-1, dtype=torch.float64)
    totals_B1 = ends_BK[:, -1:]
    if not bool(totals_B1.isfinite().all()):
        raise NoProbabilitiesError(
            f"The policy gives no probabilities for the next token of {int((~totals_B1.isfinite()).sum())} of "
            f"{len(totals_B1)} rows: its logits, divided by the temperature, are not finite. Its weights may have "
            "broken down in training (lower the learning rate), or the temperature is too low.",
            (~totals_B1.isfinite()).nonzero()[:, 0].tolist(),
        )
    targets_B1 = uniforms_B1 * totals_B1
    block_B1 = torch.searchsorted(ends_BK, targets_B1, right=True)
    before_B1 = F.pad(ends_BK, (1, 0)).gather(1, block_B1)
    columns = block_B1 * BLOCK + torch.arange(BLOCK, device=block_B1.device)
    inside = probabilities_BV.gather(1, columns.clamp_max(size - 1)).masked_fill_(columns >= size, 0)
    inside = inside.cumsum(-1, dtype=torch.float64)
    # The block's sum has been rounded to float32, so what is left of the target may be all of the block and more.
    below_B1 = torch.nextafter(inside[:, -1:], torch.zeros_like(totals_B1))
    return block_B1 * BLOCK + torch.searchsorted(inside, (targets_B1 - before_B1).minimum(below_B1), right=True)


def _is_peft(policy: Any) -> bool:
    return hasattr(policy, "get_base_model")


def _without_adapters(policy: Any) -> Any:
    """The Transformers model inside a PEFT wrapper; LoRA's adapters are modules in it and stay active."""
    return policy.get_base_model() if _is_peft(policy) else policy
