"""KL divergence of one policy from another, estimated on its own samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from frft.errors import DataError
from frft.models import Encoder
from frft.policy.generation import Completions
from frft.policy.ppo.functions import kl_k1, kl_k3
from frft.policy.ppo.rollout import forward_batches, response_logprobs
from frft.progress import SILENT, Progress

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Divergence:
    """KL(policy || reference) in nats per completion: the means of two estimators, k1 and k3, over the samples."""

    k1: float
    k3: float


def measure_divergence(
    policy: PreTrainedModel,
    reference: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    written: Completions,
    *,
    temperature: float,
    max_prompt_tokens: int,
    max_batch_tokens: int = 4096,
    progress: Progress = SILENT,
) -> Divergence:
    """KL of `policy` from `reference` on completions that `policy` sampled (k1 and k3, Schulman 2020).

    Args:
        policy, reference: the two causal language models.
        tokenizer: their tokenizer.
        written: samples of `policy`; their own token ids are used, not the text tokenized again.
        temperature, max_prompt_tokens: the ones that the completions were sampled with.
        max_batch_tokens: tokens of a forward pass, padding included.
        progress: receives the number of completions done.

    Raises:
        DataError: there are no completions.
    """
    if not written.tokens:
        raise DataError("There are no completions to measure a divergence on; give at least one.")
    encoder = Encoder(tokenizer, max_prompt_tokens)
    prompt_ids = encoder.encode_prompts(written.prompts, max_prompt_tokens)
    padded_BT, kept_BT = right_padded(written.tokens, tokenizer.pad_token_id)
    tokens_BT, mask_BT = padded_BT.to(policy.device), kept_BT.to(policy.device)
    k1, k3 = 0.0, 0.0
    with torch.no_grad(), progress.task("measuring KL from SFT", len(prompt_ids)) as task:
        for batch in forward_batches(
            prompt_ids, tokens_BT, mask_BT, range(len(prompt_ids)), max_batch_tokens, tokenizer.pad_token_id
        ):
            mask = mask_BT[batch.rows, : batch.response_width]
            own, other = (response_logprobs(model, batch, temperature) for model in (policy, reference))
            k1 += float(kl_k1(own, other, mask).sum())
            k3 += float(kl_k3(own, other, mask).sum())
            task.advance(len(batch.rows))
    return Divergence(k1 / len(prompt_ids), k3 / len(prompt_ids))


def right_padded(rows: Sequence[list[int]], pad_token_id: int) -> tuple[Tensor, Tensor]:
    """Token ids (B, T), padded on the right to the longest row, and the mask (B, T), true on tokens."""
    width = max(len(row) for row in rows)
    tokens_BT = torch.full((len(rows), width), pad_token_id)
    for index, row in enumerate(rows):
        tokens_BT[index, : len(row)] = torch.tensor(row)
    lengths_B = torch.tensor([len(row) for row in rows])
    return tokens_BT, torch.arange(width)[None] < lengths_B[:, None]
