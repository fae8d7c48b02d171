"""Sampling completions from a policy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from frft.config.sections import SamplingConfig
from frft.errors import NoProbabilitiesError
from frft.models import Encoder, TruncationCount, check_positions, quiet, seeded
from frft.models.chat import end_token_ids
from frft.models.encoding import decode_completions
from frft.policy.finite import naming_prompts
from frft.progress import SILENT, Progress

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Completions:
    """Completions sampled from a policy, one for each prompt.

    Attributes:
        prompts: the prompts, in the order given.
        completions: the text up to the first EOS, decoded without special tokens.
        has_eos: whether EOS was reached within the token limit.
        tokens: the token ids of each completion as they were sampled, EOS included.
        truncated: number of prompts that lost their beginning.
    """

    prompts: list[str]
    completions: list[str]
    has_eos: list[bool]
    tokens: list[list[int]]
    truncated: TruncationCount


def left_padded(sequences: Sequence[list[int]], pad_token_id: int) -> tuple[Tensor, Tensor]:
    """Prompts padded on the left: token ids and attention mask, both (B, P)."""
    width = max(len(ids) for ids in sequences)
    ids_BP = torch.full((len(sequences), width), pad_token_id)
    mask_BP = torch.zeros((len(sequences), width), dtype=torch.long)
    for row, ids in enumerate(sequences):
        ids_BP[row, width - len(ids) :] = torch.tensor(ids)
        mask_BP[row, width - len(ids) :] = 1
    return ids_BP, mask_BP


def row_uniforms(seed: int, count: int, max_new_tokens: int) -> Tensor:
    """Uniform numbers in [0, 1) to sample with, float64 (count, max_new_tokens); row i does not depend on `count`."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((count, max_new_tokens), dtype=torch.float64, generator=generator)


def sample_tokens(
    policy: PreTrainedModel,
    ids_BP: Tensor,
    mask_BP: Tensor,
    sampling: SamplingConfig,
    end_ids: Sequence[int],
    pad_token_id: int,
    uniforms_BT: Tensor,
) -> Tensor:
    """Sample responses to left-padded prompts: (B, T) token ids, padded after EOS.

    `top_k` restricts what is sampled; log-probabilities elsewhere are those of the full distribution, as in the
    authors' code and in TRL's former PPO trainer. Nothing else does: the policy's own `generation_config` (penalties,
    banned tokens, further EOS tokens) is ignored, because the log-probabilities do not account for it. Dropout is off.

    A row's numbers in `uniforms_BT` decide its tokens, whatever batch it is in. Models that `frft.policy.decode`
    does not support (recurrent ones, encoder-decoders, ...) are sampled by Transformers' `generate`, from a generator
    seeded with the first number of the batch: there, a row's tokens depend on the batch that it is in.

    Args:
        policy: a causal language model; may hold LoRA adapters.
        uniforms_BT: from `row_uniforms`, (B, max_new_tokens).

    Raises:
        NoProbabilitiesError: a probability is not finite.
    """
    from frft.policy.decode import can_decode, decode_tokens

    sample = decode_tokens if can_decode(policy) else _sample_by_transformers
    with torch.no_grad(), _evaluating(policy):
        return sample(policy, ids_BP, mask_BP, sampling, end_ids, pad_token_id, uniforms_BT)


def _sample_by_transformers(
    policy: PreTrainedModel,
    ids_BP: Tensor,
    mask_BP: Tensor,
    sampling: SamplingConfig,
    end_ids: Sequence[int],
    pad_token_id: int,
    uniforms_BT: Tensor,
) -> Tensor:
    from transformers import GenerationConfig

    # Whatever an argument of `generate` leaves open is read from here, also where it is given a configuration. PEFT
    # calls the model's own `generate`, which knows nothing of a configuration that its wrapper was given.
    model = policy.get_base_model() if hasattr(policy, "get_base_model") else policy
    own, model.generation_config = (
        model.generation_config,
        GenerationConfig(
            do_sample=True,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=1.0,
            max_new_tokens=sampling.max_new_tokens,
            eos_token_id=list(end_ids),
            pad_token_id=pad_token_id,
        ),
    )
    try:
        # `generate` warns about padding tokens in the prompts, although the mask marks them.
        with quiet(), seeded(int(uniforms_BT[0, 0] * 2**32)):
            sequences = policy.generate(input_ids=ids_BP, attention_mask=mask_BP)
    except RuntimeError as error:
        # torch.multinomial: "probability tensor contains either `inf`, `nan` or element < 0"
        if "probability tensor" not in str(error):
            raise
        raise NoProbabilitiesError(
            "The policy gives no probabilities for a next token: its logits, divided by the temperature, are not "
            "finite. Its weights may have broken down in training (lower the learning rate), or the temperature is too "
            "low."
        ) from error
    finally:
        model.generation_config = own
    return sequences[:, ids_BP.shape[1] :]


@contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Evaluation mode (no dropout) within this block; afterwards each module has its former mode again."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def check_room(model: PreTrainedModel, sampling: SamplingConfig, what: str) -> None:
    """Raise `ModelError` if the longest prompt and completion of `sampling` are too long for the model."""
    setting = f"max_prompt_tokens ({sampling.max_prompt_tokens}) + max_new_tokens ({sampling.max_new_tokens})"
    check_positions(model, sampling.max_prompt_tokens + sampling.max_new_tokens, what, setting)


def response_mask(tokens_BT: Tensor, end_ids: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Cut each response after its first EOS.

    Returns:
        mask_BT (bool), true up to and including the first EOS; has_eos_B (bool).
    """
    is_eos_BT = torch.isin(tokens_BT, torch.tensor(list(end_ids), device=tokens_BT.device))
    eos_before_BT = is_eos_BT.long().cumsum(-1) - is_eos_BT.long()
    return eos_before_BT == 0, is_eos_BT.any(-1)


def decode(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], tokens_BT: Tensor, mask_BT: Tensor) -> list[str]:
    """The text of each response, up to its first EOS, without special tokens."""
    rows = [row[keep].tolist() for row, keep in zip(tokens_BT.cpu(), mask_BT.cpu().bool(), strict=True)]
    return decode_completions(tokenizer, prompts, rows)


def generate(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    sampling: SamplingConfig,
    *,
    seed: int,
    batch_size: int = 64,
    first_row: int = 0,
    progress: Progress = SILENT,
    description: str = "writing completions",
) -> Completions:
    """One completion for each prompt, in the order given; the same seed gives the same completions.

    Prompts are batched by length, so that little is padding. A prompt's completion depends on the seed and on its
    place among the prompts, not on `batch_size` (but see `sample_tokens`).

    Args:
        policy: a causal language model.
        tokenizer: its tokenizer.
        prompts: N prompts.
        sampling: sampling settings: temperature, top_k, token limits.
        seed: seed of the random numbers.
        batch_size: prompts of a batch.
        first_row: index of the first prompt in a longer list of which these are a part; the completions are then the
            same as if the whole list were given.
        progress: shows the number of prompts done.
        description: label of the progress.

    Raises:
        ModelError: `max_prompt_tokens` and `max_new_tokens` are together more than the policy has positions; or it
            gives no probabilities for a next token.
        DataError: a prompt has no tokens.
    """
    check_room(policy, sampling, "policy")
    encoder, ends = Encoder(tokenizer, max_length=sampling.max_prompt_tokens), end_token_ids(policy, tokenizer)
    encoded = encoder.encode_prompts(prompts, sampling.max_prompt_tokens)
    order = sorted(range(len(prompts)), key=lambda index: len(encoded[index]), reverse=True)
    completions, has_eos = [""] * len(prompts), [False] * len(prompts)
    tokens: list[list[int]] = [[]] * len(prompts)
    uniforms_NT = row_uniforms(seed, first_row + len(prompts), sampling.max_new_tokens)[first_row:]
    with progress.task(description, len(prompts)) as task:
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            ids_BP, mask_BP = left_padded([encoded[index] for index in batch], tokenizer.pad_token_id)
            own_prompts = [prompts[index] for index in batch]
            with naming_prompts(own_prompts):
                tokens_BT = sample_tokens(
                    policy,
                    ids_BP.to(policy.device),
                    mask_BP.to(policy.device),
                    sampling,
                    ends,
                    tokenizer.pad_token_id,
                    uniforms_NT[batch],
                )
            mask_BT, has_eos_B = response_mask(tokens_BT, ends)
            texts = decode(tokenizer, own_prompts, tokens_BT, mask_BT)
            for row, index in enumerate(batch):
                completions[index] = texts[row]
                has_eos[index] = bool(has_eos_B[row])
                tokens[index] = tokens_BT[row][mask_BT[row]].tolist()
            task.advance(len(batch))
    return Completions(list(prompts), completions, has_eos, tokens, encoder.truncated)
