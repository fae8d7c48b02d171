"""One batch of experience, and its division into forward passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from frft.policy.ppo.functions import token_logprobs

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Rollout:
    """The B sequences of a rollout batch, T response tokens at most; no tensor has a gradient.

    Attributes:
        prompt_ids: B lists of prompt tokens, unpadded.
        tokens_BT: response tokens; anything where masked out.
        mask_BT: true up to and including the first EOS.
        has_eos_B: whether EOS was reached within the token limit.
        prompts, completions: the texts, B each.
        logprobs_BT, reference_logprobs_BT, sft_logprobs_BT: under the policy that wrote them, under the KL anchor,
            and under the SFT model (the same tensor as the anchor's where they are one model).
        values_BT: the critic's value of the state before each token.
        scores_B: the reward of each completion, before clipping.
    """

    prompt_ids: list[list[int]]
    tokens_BT: Tensor
    mask_BT: Tensor
    has_eos_B: Tensor
    prompts: list[str]
    completions: list[str]
    logprobs_BT: Tensor
    reference_logprobs_BT: Tensor
    sft_logprobs_BT: Tensor
    values_BT: Tensor
    scores_B: Tensor


@dataclass(frozen=True)
class ForwardBatch:
    """b sequences of a rollout, padded to the longest among them: prompts on the left, responses on the right.

    Attributes:
        rows: indices of these sequences in the rollout.
        ids, mask, positions: the model's inputs, (b, P + t).
        prompt_width: P; the response is the last t columns.
    """

    rows: list[int]
    ids: Tensor
    mask: Tensor
    positions: Tensor
    prompt_width: int

    @property
    def response_width(self) -> int:
        """t, the longest response among these sequences."""
        return int(self.ids.shape[1]) - self.prompt_width

    @property
    def response(self) -> Tensor:
        """The response tokens, (b, t)."""
        return self.ids[:, self.prompt_width :]


def forward_batches(
    prompt_ids: list[list[int]],
    tokens_BT: Tensor,
    mask_BT: Tensor,
    rows: Sequence[int],
    max_tokens: int,
    pad_token_id: int,
    share: tuple[int, int] = (0, 1),
) -> Iterator[ForwardBatch]:
    """Split `rows` into batches of sequences of similar length, of at most `max_tokens` tokens (or one sequence).

    Positions count real tokens only, so that neither the content nor the amount of padding changes anything.

    Args:
        share: (index of this process, number of processes). Batches are dealt out in turn, and every process gets
            equally many (a sharded model must run equally often everywhere). The number of rows must be a multiple of
            the number of processes.
    """
    lengths = mask_BT.sum(-1).tolist()
    widths = [(len(prompt), length) for prompt, length in zip(prompt_ids, lengths, strict=True)]
    index, processes = share
    for chunk in _chunks(widths, rows, max_tokens, processes)[index::processes]:
        width = max(widths[row][0] for row in chunk)
        response = max(widths[row][1] for row in chunk)
        ids = torch.full((len(chunk), width + response), pad_token_id, device=tokens_BT.device)
        mask = torch.zeros_like(ids)
        for position, row in enumerate(chunk):
            prompt = torch.tensor(prompt_ids[row], device=ids.device)
            ids[position, width - len(prompt) : width] = prompt
            mask[position, width - len(prompt) : width] = 1
        kept = mask_BT[chunk, :response]
        ids[:, width:] = torch.where(kept, tokens_BT[chunk, :response], pad_token_id)
        mask[:, width:] = kept.long()
        positions = (mask.cumsum(-1) - 1).clamp_min(0)
        yield ForwardBatch(chunk, ids, mask, positions, width)


def _chunks(widths: Sequence[tuple[int, int]], rows: Sequence[int], max_tokens: int, multiple: int) -> list[list[int]]:
    """Rows sorted by length and cut into batches within the limit; their number is a multiple of `multiple`."""
    chunks: list[list[int]] = []
    prompt = response = 0
    for row in sorted(rows, key=lambda row: (*widths[row], row)):
        prompt, response = max(prompt, widths[row][0]), max(response, widths[row][1])
        if not chunks or (len(chunks[-1]) + 1) * (prompt + response) > max_tokens:
            chunks.append([])
            prompt, response = widths[row]
        chunks[-1].append(row)
    while len(chunks) % multiple:
        largest = max(range(len(chunks)), key=lambda at: len(chunks[at]))
        half = (len(chunks[largest]) + 1) // 2
        chunks[largest : largest + 1] = [chunks[largest][:half], chunks[largest][half:]]
    return chunks


def response_forward(policy: Callable[..., Any], batch: ForwardBatch, **more: Any) -> tuple[Tensor, Any]:
    """The logits that predict the response, (b, t, V), and the whole output of the policy."""
    t = batch.response_width
    output = policy(
        input_ids=batch.ids,
        attention_mask=batch.mask,
        position_ids=batch.positions,
        use_cache=False,
        # Logits predict the next token: those of the response start one token before it and end one before its last.
        logits_to_keep=t + 1,
        **more,
    )
    return output.logits[:, -(t + 1) : -1], output


def response_logprobs(policy: Callable[..., Any], batch: ForwardBatch, temperature: float) -> Tensor:
    """Log-probabilities of the response tokens, (b, t)."""
    logits, _ = response_forward(policy, batch)
    return token_logprobs(logits, batch.response, temperature)[0]
