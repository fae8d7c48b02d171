"""Rolling out: a batch of prompts becomes completions, scores, log-probabilities and values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from frft.config.sections import PPOConfig
from frft.errors import RewardError, TrainingError
from frft.models.chat import end_token_ids
from frft.policy.finite import check_of_tokens, naming_prompts, which_text
from frft.policy.generation import decode, left_padded, response_mask, row_uniforms, sample_tokens
from frft.policy.ppo.actor_critic import ActorCritic
from frft.policy.ppo.rollout import Rollout, forward_batches, response_logprobs

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from frft.models import WithoutAdapters

Reward = Callable[[Sequence[str], Sequence[str]], Sequence[float]]
"""A reward function `(prompts, completions) -> scores`: one finite score for each completion."""


class PPORolloutRow(NamedTuple):
    """One sequence of a rollout, as processes exchange it; lists have one entry for each response token."""

    row: int
    tokens: list[int]
    has_eos: bool
    completion: str
    score: float
    logprobs: list[float]
    values: list[float]
    reference_logprobs: list[float]
    sft_logprobs: list[float]


class Collector:
    """Rolls out the policy; each process rolls out its share, and every process gets the whole batch.

    Args:
        model: policy and critic, unwrapped.
        reference, sft: frozen models; the same object where KL is penalised from the SFT model.
        tokenizer, reward, config, accelerator: those of the `PPOTrainer`.
    """

    def __init__(
        self,
        model: ActorCritic,
        reference: PreTrainedModel | WithoutAdapters,
        sft: PreTrainedModel | WithoutAdapters,
        tokenizer: PreTrainedTokenizerBase,
        reward: Reward,
        config: PPOConfig,
        accelerator: Accelerator,
    ) -> None:
        self.model, self.reference, self.sft = model, reference, sft
        self.tokenizer, self.reward = tokenizer, reward
        self.config, self.accelerator = config, accelerator
        self._ends = end_token_ids(model.policy, tokenizer)

    def collect(self, prompts: list[str], prompt_ids: list[list[int]], seed: int) -> Rollout:
        """One completion for each of B prompts, with everything that the updates need, computed once.

        Args:
            prompts, prompt_ids: the B prompts, as texts and as token ids.
            seed: seed of this batch; each row has random numbers of its own, whichever process samples it.

        Raises:
            RewardError: the reward returns something other than one finite score each.
            TrainingError: the processes do not roll out the same batch; or log-probabilities or values are not finite.
            ModelError: the policy gives no probabilities.
        """
        mine = range(self.accelerator.process_index, len(prompts), self.accelerator.num_processes)
        found: list[PPORolloutRow] = gather_object(self._experience(prompts, prompt_ids, mine, seed))
        by_row = {experience.row: experience for experience in found}
        if len(found) != len(prompts) or set(by_row) != set(range(len(prompts))):
            raise TrainingError(
                f"{len(found)} sequences came back for {len(prompts)} prompts: the processes do not agree on the "
                "batch. Start them all with the same configuration and data."
            )
        ordered = [by_row[row] for row in range(len(prompts))]
        device, pad = self.accelerator.device, self.tokenizer.pad_token_id
        lengths_B = torch.tensor([len(row.tokens) for row in ordered], device=device)
        has_eos_B = torch.tensor([row.has_eos for row in ordered], device=device)
        scores_B = torch.tensor([row.score for row in ordered], dtype=torch.float32, device=device)
        if self.config.missing_eos_penalty is not None:
            # Replaced, not subtracted from: an unfinished completion was never scored as a whole.
            scores_B = torch.where(has_eos_B, scores_B, self.config.missing_eos_penalty)
        rollout = Rollout(
            prompt_ids=prompt_ids,
            tokens_BT=_padded([row.tokens for row in ordered], pad).to(device),
            mask_BT=torch.arange(int(lengths_B.max()), device=device)[None] < lengths_B[:, None],
            has_eos_B=has_eos_B,
            prompts=prompts,
            completions=[row.completion for row in ordered],
            logprobs_BT=_padded([row.logprobs for row in ordered], 0.0).to(device),
            reference_logprobs_BT=_padded([row.reference_logprobs for row in ordered], 0.0).to(device),
            sft_logprobs_BT=_padded([row.sft_logprobs for row in ordered], 0.0).to(device),
            values_BT=_padded([row.values for row in ordered], 0.0).to(device),
            scores_B=scores_B,
        )
        looks = {
            "log-probabilities of the policy": rollout.logprobs_BT,
            "log-probabilities of the reference": rollout.reference_logprobs_BT,
            "log-probabilities of the SFT model": rollout.sft_logprobs_BT,
            "values of the critic": rollout.values_BT,
        }
        check_of_tokens(looks, rollout.mask_BT, prompts, rollout.completions)
        return rollout

    def autocast(self) -> torch.autocast:
        """All arithmetic of policy, critic and references runs in here, so that the first ratio is 1 in bfloat16."""
        return torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=self.config.bf16)

    def _experience(
        self, prompts: list[str], prompt_ids: list[list[int]], rows: Sequence[int], seed: int
    ) -> list[PPORolloutRow]:
        """Sample, score and evaluate (log-probabilities, values) this process's rows of the batch."""
        config, tokenizer, device = self.config, self.tokenizer, self.accelerator.device
        pad = tokenizer.pad_token_id
        own_ids = [prompt_ids[row] for row in rows]
        ids_BP, mask_BP = left_padded(own_ids, pad)
        uniforms_BT = row_uniforms(seed, len(prompts), config.sampling.max_new_tokens)[list(rows)]
        own_prompts = [prompts[row] for row in rows]
        with self.autocast(), naming_prompts(own_prompts):
            tokens_BT = sample_tokens(
                self.model.policy, ids_BP.to(device), mask_BP.to(device), config.sampling, self._ends, pad, uniforms_BT
            )
        mask_BT, has_eos_B = response_mask(tokens_BT, self._ends)
        completions = decode(tokenizer, own_prompts, tokens_BT, mask_BT)
        scores = checked_scores(self.reward, own_prompts, completions)
        logprobs_BT, values_BT, reference_BT, sft_BT = torch.zeros((4, *tokens_BT.shape), device=device)
        everything = range(len(own_ids))
        with torch.no_grad(), self.autocast():
            for batch in forward_batches(own_ids, tokens_BT, mask_BT, everything, config.forward_batch_tokens, pad):
                at = batch.rows, slice(batch.response_width)
                temperature = config.sampling.temperature
                logprobs_BT[at], _, values_BT[at] = self.model(batch, temperature)
                reference_BT[at] = response_logprobs(self.reference, batch, temperature)
                if self.sft is not self.reference:
                    sft_BT[at] = response_logprobs(self.sft, batch, temperature)
        if self.sft is self.reference:
            sft_BT = reference_BT
        lengths = mask_BT.sum(-1).tolist()
        looks = tokens_BT, logprobs_BT, values_BT, reference_BT, sft_BT
        cut = ([row[:length] for row, length in zip(look.tolist(), lengths, strict=True)] for look in looks)
        tokens, *rest = cut
        return [
            PPORolloutRow(*columns)
            for columns in zip(rows, tokens, has_eos_B.tolist(), completions, scores, *rest, strict=True)
        ]


def _padded(rows: Sequence[Sequence[float]], filler: float) -> torch.Tensor:
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows])


def checked_scores(reward: Reward, prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
    """Call the reward and check that it gives one number for each completion: a list, an array or a tensor of them.

    Raises:
        RewardError: the number of scores is wrong, or a score is not finite in float32; names prompt and completion.
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
                f"(float32). {which_text(prompts[index], completions[index])} Look at the reward, and at the weights "
                "of its model."
            )
        scores.append(score)
    return scores


def _as_number(value: Any) -> float:
    """`value` as a float; NaN where it cannot be converted."""
    if isinstance(value, str | bytes) or getattr(value, "ndim", 0) != 0:
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
