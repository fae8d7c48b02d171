"""Log-likelihoods of given completions under a policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from frft.models import Encoder, TruncationCount, check_positions
from frft.policy.divergence import right_padded
from frft.policy.ppo.rollout import forward_batches, response_logprobs
from frft.progress import SILENT, Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def log_likelihoods(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    completions: Sequence[str],
    *,
    max_length: int,
    temperature: float = 1.0,
    max_batch_tokens: int = 4096,
    progress: Progress = SILENT,
) -> tuple[NDArray[np.float64], TruncationCount]:
    """log pi(completion and EOS | prompt) in nats, summed over tokens, float64 (N,); and the truncation count.

    Args:
        policy: a causal language model.
        tokenizer: its tokenizer.
        prompts, completions: the N texts.
        max_length: longest sequence in tokens; longer prompts lose their beginning, then completions their end.
        temperature: logits are divided by it, as in sampling.
        max_batch_tokens: tokens of a forward pass, padding included.
        progress: shows the number of texts done.

    Raises:
        ModelError: `max_length` leaves no room for a prompt's token and EOS, or the policy has fewer positions.
    """
    import numpy as np

    check_positions(policy, max_length, "policy", "max_length")
    encoder = Encoder(tokenizer, max_length)
    pairs = encoder.encode(prompts, completions)
    total = np.zeros(len(pairs))
    if not pairs:
        return total, encoder.truncated
    tokens_BT, mask_BT = right_padded([pair.completion for pair in pairs], tokenizer.pad_token_id)
    tokens_BT, mask_BT = tokens_BT.to(policy.device), mask_BT.to(policy.device)
    prompt_ids = [pair.prompt for pair in pairs]
    with torch.no_grad(), progress.task("measuring likelihoods", len(pairs)) as task:
        for batch in forward_batches(
            prompt_ids, tokens_BT, mask_BT, range(len(pairs)), max_batch_tokens, tokenizer.pad_token_id
        ):
            logprobs = response_logprobs(policy, batch, temperature) * mask_BT[batch.rows, : batch.response_width]
            total[batch.rows] = logprobs.sum(dim=-1, dtype=torch.float64).cpu().numpy()
            task.advance(len(batch.rows))
    return total, encoder.truncated
