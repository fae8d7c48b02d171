"""One batch of experience: what was written, its log-probabilities, values and score."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from frft.errors import RewardError
from frft.policy.ppo.functions import token_entropy, token_logprobs

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from frft.policy.critic import Critic

Reward = Callable[[Sequence[str], Sequence[str]], Sequence[float]]
"""`(prompts, completions) -> scores`, one score each, of any origin."""


@dataclass(frozen=True)
class Rollout:
    """Sequences of a batch; all tensors without gradient.

    Attributes:
        prompt_ids: B lists of prompt tokens, unpadded.
        tokens_BT: response tokens; anything where masked out.
        mask_BT: true up to and including the first EOS.
        has_eos_B: whether EOS was reached.
        texts: the prompts and the completions as text.
        logprobs_BT, reference_logprobs_BT, sft_logprobs_BT: under the policy that wrote them, under the KL anchor,
            and under the SFT model (the same tensor as the anchor's where they are one model).
        values_BT: V before each token.
        scores_B: the reward of each completion, as it enters the training.
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
    """Some sequences of a rollout, padded no more than they need: prompts on the left, responses on the right.

    Attributes:
        rows: which sequences of the rollout these are.
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


def forward_batches(
    prompt_ids: list[list[int]],
    tokens_BT: Tensor,
    mask_BT: Tensor,
    rows: Sequence[int],
    size: int,
    pad_token_id: int,
) -> Iterator[ForwardBatch]:
    """Split `rows` into batches of at most `size` sequences of similar length.

    Positions count real tokens only, so that neither the content nor the amount of padding changes anything.
    """
    lengths = mask_BT.sum(-1).tolist()
    ordered = sorted(rows, key=lambda row: (len(prompt_ids[row]), lengths[row], row))
    for start in range(0, len(ordered), size):
        chunk = ordered[start : start + size]
        width = max(len(prompt_ids[row]) for row in chunk)
        response = max(int(lengths[row]) for row in chunk)
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


def response_logprobs(
    policy: PreTrainedModel, batch: ForwardBatch, temperature: float, *, entropy: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Log-probabilities of the response tokens, (b, t), and on request the entropy of each token's distribution."""
    t = batch.response_width
    logits = policy(
        input_ids=batch.ids,
        attention_mask=batch.mask,
        position_ids=batch.positions,
        use_cache=False,
        # The logits that predict the response: those of the token before it and of all of it but its last.
        logits_to_keep=t + 1,
    ).logits[:, -(t + 1) : -1]
    logprobs = token_logprobs(logits, batch.ids[:, batch.prompt_width :], temperature)
    if not entropy:
        return logprobs, None
    with torch.no_grad():
        return logprobs, token_entropy(logits, temperature)


def response_values(critic: Critic, batch: ForwardBatch) -> Tensor:
    """Values before each response token, (b, t)."""
    values: Tensor = critic(batch.ids, batch.mask, batch.positions)
    return values[:, batch.prompt_width - 1 : -1]


def checked_scores(reward: Reward, prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    """Call the reward and check that it gives one number for each completion: a list, an array or a tensor of them.

    Raises:
        RewardError: it is not so, or a number is not finite in float32; says which.
    """
    returned: Any = reward(prompts, completions)
    try:
        found = list(returned)
    except TypeError as error:  # None, a number, a tensor without dimensions
        raise RewardError(
            f"The reward returned {returned!r:.80} for {len(completions)} completions; it must return a score each."
        ) from error
    if len(found) != len(completions):
        raise RewardError(f"The reward returned {len(found)} scores for {len(completions)} completions.")
    scores = []
    for index, value in enumerate(found):
        score = _as_number(value)
        # Written so that NaN is refused as well; what float32 cannot hold would become infinite in the training.
        if not abs(score) <= torch.finfo(torch.float32).max:
            raise RewardError(
                f"The reward of completion {index} of {len(found)} is {value!r:.80}; it must be a finite number "
                f"(float32). The completion begins {completions[index][:80]!a}."
            )
        scores.append(score)
    return scores


def _as_number(value: Any) -> float:
    """`value` as a float; NaN where it is none."""
    if isinstance(value, str | bytes) or getattr(value, "ndim", 0) != 0:
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
