"""RLOO and GRPO by TRL's trainers, with the settings, prompts and random numbers of PPO.

Neither has a critic: a completion's baseline is computed from the scores of the completions of its prompt.

    RLOO (Ahmadian et al. 2402.14740)  reward: the score less beta times the sequence's KL; baseline: the mean over the
                                       others; ratio and clipping: of whole sequences
    GRPO (Shao et al. 2402.03300)      reward: the score; baseline: the mean over all; ratio, clipping and KL, which is
                                       in the loss: of tokens

What they converge to, as tests show. RLOO, like PPO: pi_ref(y) exp(r(y) / beta) / Z. GRPO's gradient of a token's KL
ignores that the token influences the KL of later tokens, so it reaches this optimum only for completions of one token.
For longer ones it converges to pi(y_t | y_<t) proportional to pi_ref(y_t | y_<t) exp(E[r | y_<=t] / beta), with the
expectation under pi itself: prefixes whose high scores cost a large KL later are too likely. Even this holds only with
`scale_rewards: none`, and with beta multiplied by 1 - 1/num_generations, since a baseline that contains the
completion's own score shrinks advantages by this factor. Dividing scores by their standard deviation over a prompt's
completions amounts to another beta for each prompt.

TRL's trainers are overridden only where they would differ from PPO here:
- prompts are tokenized and cut by the `Encoder` (TRL reads special tokens in them as such, and does not cut);
- completions are sampled as in PPO, from random numbers of their rows, and end at the tokenizer's EOS alone;
- positions count real tokens where log-probabilities are computed, too (TRL's count padding; with absolute positions,
  as GPT-2's, these are then not the log-probabilities of what was sampled);
- telemetry and model cards are off.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, gather_object
from torch import nn
from transformers import PrinterCallback

from frft.config.sections import GroupConfig, PPOConfig
from frft.errors import ArtifactError, UsageError
from frft.models import Encoder, WithoutAdapters, quiet, save_model, seed_for, seeded
from frft.models.chat import end_token_ids
from frft.models.encoding import decode_completions
from frft.models.training import check_trainable, own_forwards
from frft.policy.finite import BAD_FIGURES, check_metrics, check_of_tokens, naming_prompts
from frft.policy.generation import check_room, left_padded, response_mask, row_uniforms, sample_tokens
from frft.policy.hooks import Watcher, hooked, own_forward, trl_arguments
from frft.policy.order import prompt_indices
from frft.policy.ppo.collect import Reward, checked_scores
from frft.policy.ppo.functions import kl_k1, kl_k3
from frft.policy.ppo.rollout import forward_batches, response_logprobs
from frft.policy.training_state import TrainingState, read_training_state
from frft.store import read_json

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Algorithm = Literal["rloo", "grpo"]


@dataclass(frozen=True)
class GroupRollout:
    """One batch of completions: B sequences, those of one prompt next to each other.

    Attributes:
        prompts, completions: the texts, B each.
        has_eos: whether a completion ended with EOS within the token limit.
        scores_B: the reward of each completion, before clipping.
    """

    prompts: list[str]
    completions: list[str]
    has_eos: list[bool]
    scores_B: Tensor


class GroupRolloutRow(NamedTuple):
    """One sequence of a rollout, as processes exchange it; `tokens` is a count, KL is in nats per sequence."""

    row: int
    prompt: str
    completion: str
    tokens: int
    has_eos: bool
    score: float
    kl_anchor_k1: float
    kl_sft_k1: float
    kl_sft_k3: float


class GroupTrainer:
    """Trains `policy` (in place) against `reward`, by RLOO or GRPO.

    Args:
        algorithm: "rloo" or "grpo".
        policy: the language model to train; of one with adapters (PEFT), only they are trained.
        reference: the KL anchor, frozen; of a policy with adapters, `WithoutAdapters(policy)` for the model under them.
        tokenizer: the policy's; padding distinct from EOS.
        reward: any callable `(prompts, completions) -> scores`; under several processes, each calls it on its share.
        prompts: the prompts to roll out, taken in a seeded random order, again and again.
        config: the settings shared with PPO: steps, batch sizes, sampling, learning rate, KL, clipping.
        group: the settings that only RLOO and GRPO have.
        seed: every random draw is derived from it.
        sft: the model from which KL is reported, frozen; None: the reference.
        accelerator: receives the metrics; None: that of TRL's trainer.

    Raises:
        UsageError: without prompts; with a batch size that groups or processes cannot divide evenly; under an engine
            that shards weights; from `train`, beyond `config.total_steps` or when called a second time.
        DataError: a prompt has no tokens.
        ModelError: a model has fewer positions than `max_prompt_tokens` and `max_new_tokens` together; the policy is
            frozen.
        TrainingError: from `train`, if a loss or a gradient norm is not finite.
        RewardError: from `train`, if the reward returns something other than one finite score each.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        policy: PreTrainedModel,
        reference: PreTrainedModel | WithoutAdapters,
        tokenizer: PreTrainedTokenizerBase,
        reward: Reward,
        prompts: Sequence[str],
        config: PPOConfig,
        group: GroupConfig,
        *,
        seed: int,
        sft: PreTrainedModel | WithoutAdapters | None = None,
        accelerator: Accelerator | None = None,
    ) -> None:
        self.algorithm, self.tokenizer, self.reward, self.seed = algorithm, tokenizer, reward, seed
        self.config, self.group = config, group
        self.reference, self.sft = reference, reference if sft is None else sft
        for what, model in {"policy": policy, "reference": reference, "SFT model": self.sft}.items():
            check_room(model, config.sampling, what)
        if not prompts:
            raise UsageError("There are no prompts to roll out. Give at least one.")
        length = config.sampling.max_prompt_tokens
        # A separate encoder for this check, because `self.encoder` counts truncations of what is rolled out.
        longest = max(map(len, Encoder(tokenizer, length).encode_prompts(prompts, length)))
        self.encoder, self._ends = Encoder(tokenizer, length), end_token_ids(policy, tokenizer)
        self.step_number = 0
        self._resumed_from: Path | None = None
        self._is_used = False
        self._prompt_ids: list[list[int]] = []
        self._scored: list[tuple[str, str, bool, float]] = []
        self._looks: dict[str, Tensor] = {}
        self._forwards = ExitStack()
        self._forwards.enter_context(
            own_forwards(*(model for model in (policy, reference) if isinstance(model, nn.Module)))
        )
        self._trl = self._make_trainer(policy, list(prompts), longest + config.sampling.max_new_tokens)
        check_trainable(policy, "policy")
        self.accelerator = accelerator or self._trl.accelerator

    @property
    def updates_per_step(self) -> int:
        """Optimizer steps for each rollout batch."""
        return self.config.rollout_batch_size // self.config.mini_batch_size * self.group.num_iterations

    def train(self, until_step: int, on_step: Callable[[dict[str, Any], GroupRollout], None]) -> None:
        """Train until `until_step` steps are completed in total; `on_step` gets each step's result and may `save`."""
        if until_step > self.config.total_steps:
            raise UsageError(
                f"{self.algorithm.upper()} cannot go on to step {until_step}: total_steps is "
                f"{self.config.total_steps}, where the learning rate has fallen to 0. Give a larger total_steps from "
                "the start."
            )
        if self._is_used:
            raise UsageError(
                "This trainer has been used. To continue its training, save it, make another trainer and restore the "
                "checkpoint there."
            )
        if until_step <= self.step_number:
            return
        self._is_used = True
        self._trl.add_callback(Watcher(self, self._trl, until_step, on_step))
        with self._forwards, quiet(), seeded(self.seed):
            self._trl.train(resume_from_checkpoint=self._resumed_from and str(self._resumed_from))

    def save(self, path: Path, along: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Save a checkpoint in TRL's format; a training resumed from it gives the same result as one never stopped.

        A checksum covers all of it. Under several processes, every process must call it.

        Args:
            path: the folder.
            along: JSON-able values of the caller, which `restore` returns.
        """
        with quiet():
            self._trl.args.output_dir = str(path)
            self._trl._save_checkpoint(self._trl.model_wrapped, trial=None)
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            TrainingState(self.algorithm, {}, along).seal(path, list(path.glob("checkpoint-*")))
        self.accelerator.wait_for_everyone()

    def restore(self, path: Path) -> dict[str, Any]:
        """Resume from a checkpoint of `save`; every random draw is seeded by the step number.

        Every byte is verified first.

        Returns:
            The caller's values that were saved along with it.

        Raises:
            ArtifactError: the folder holds no checkpoint, or was damaged.
            UsageError: it was saved from a training with another number of steps.
        """
        kept = read_training_state(path, self.algorithm)
        found = list(path.glob("checkpoint-*/trainer_state.json"))
        if len(found) != 1:
            raise ArtifactError(f"{path} holds no checkpoint of {self.algorithm.upper()}. Start that training again.")
        state = read_json(found[0])
        if state["max_steps"] != self._trl.args.max_steps:
            raise UsageError(
                f"{path} belongs to a training of {state['max_steps']} optimizer steps; this one has "
                f"{self._trl.args.max_steps}. Go on with the settings that it was started with."
            )
        self._resumed_from = found[0].parent
        self.step_number = state["global_step"] // self.updates_per_step
        return dict(kept.along)

    def save_policy(self, path: Path) -> None:
        """Save the policy as a plain model folder; adapters are merged into the weights (in a copy)."""
        if self.accelerator.is_main_process:
            policy = self._trl.accelerator.unwrap_model(self._trl.model)
            merge = getattr(policy, "merge_and_unload", None)
            save_model(copy.deepcopy(policy).merge_and_unload() if merge else policy, self.tokenizer, path)
        self.accelerator.wait_for_everyone()

    def _make_trainer(self, policy: PreTrainedModel, prompts: list[str], longest: int) -> Any:
        from datasets import Dataset
        from trl.trainer.utils import add_fused_lm_head

        config = self.config
        positions = range(config.total_steps * config.rollout_batch_size // self.group.num_generations)
        rows = prompt_indices(len(prompts), self.seed, positions)
        with quiet(), seeded(self.seed), tempfile.TemporaryDirectory() as nowhere:
            trainer = hooked(self)(
                model=policy,
                reward_funcs=self._score,
                args=trl_arguments(self, longest, Path(nowhere)),
                train_dataset=Dataset.from_dict({"prompt": [prompts[row] for row in rows]}),
                processing_class=self.tokenizer,
            )
        engine = trainer.accelerator.distributed_type
        if engine in (DistributedType.FSDP, DistributedType.DEEPSPEED):
            raise UsageError(
                f"{self.algorithm.upper()} runs data-parallel here (every process holds the models); it does not shard "
                f"weights by {engine.value}. Launch it without, or use TRL's trainer in a script, rewarded by "
                "frft.AlignedReward."
            )
        trainer.remove_callback(PrinterCallback)
        for model in {id(model): model for model in (self.reference, self.sft)}.values():
            if not isinstance(model, WithoutAdapters):
                model.to(trainer.accelerator.device).eval().requires_grad_(False)
        # Not by TRL's arguments: with beta > 0, TRL would load a reference by the name in the policy's configuration.
        trainer.beta = config.kl_coef
        if self.algorithm == "grpo" and self.group.scale_rewards == "none":
            trainer.beta *= 1 - 1 / self.group.num_generations
        if not isinstance(self.reference, WithoutAdapters):
            add_fused_lm_head(self.reference, temperature=config.sampling.temperature)
            trainer.ref_model = self.reference
        return trainer

    def tokenize(self, prompts: Sequence[str]) -> list[list[int]]:
        """Token ids of this process's prompts, truncated; every process must call it, with equal shares."""
        # The prompts of all processes are encoded, so that each counts the truncations of the whole batch, as in PPO.
        everybodys = gather_object(list(prompts))
        encoded = self.encoder.encode_prompts(everybodys, self.config.sampling.max_prompt_tokens)
        first = self.accelerator.process_index * len(prompts)
        self._prompt_ids = encoded[first : first + len(prompts)]
        return self._prompt_ids

    def sample(self, prompt_ids: list[list[int]]) -> list[list[int]]:
        """Token ids of one completion for each of this process's prompts, EOS included."""
        model, device = self._trl.accelerator.unwrap_model(self._trl.model), self._trl.accelerator.device
        pad, sampling = self.tokenizer.pad_token_id, self.config.sampling
        ids_BP, mask_BP = (tensor.to(device) for tensor in left_padded(prompt_ids, pad))
        seed = seed_for(self.seed, "rollout", self.step_number)
        uniforms_BT = row_uniforms(seed, self.config.rollout_batch_size, sampling.max_new_tokens)[self._rows]
        # In training mode with gradient checkpointing, the model would keep no key-value cache.
        model.eval()
        texts = self.tokenizer.batch_decode(prompt_ids)
        with self._trl.accelerator.autocast(), own_forward(model), naming_prompts(texts):
            tokens_BT = sample_tokens(model, ids_BP, mask_BP, sampling, self._ends, pad, uniforms_BT)
        model.train()
        mask_BT, _ = response_mask(tokens_BT, self._ends)
        return [row[kept].tolist() for row, kept in zip(tokens_BT.cpu(), mask_BT.cpu(), strict=True)]

    def look(self, model: Any, logprobs_BT: Tensor) -> None:
        """Cache the log-probabilities that TRL computed on a rollout, under the policy or the reference, (B, T)."""
        if not isinstance(self.reference, WithoutAdapters):
            self._looks["reference" if model is self.reference else "policy"] = logprobs_BT

    def measure(self, batch: dict[str, Any]) -> tuple[GroupRollout, dict[str, Any]]:
        """The completions of all processes in this step, and the step's metrics under PPO's names.

        Args:
            batch: TRL's tensors of this process's share: completion_ids and completion_mask, (B, T).
        """
        config, mask_BT = self.config, batch["completion_mask"].bool()
        policy, reference = self._logprobs("policy", batch), self._logprobs("reference", batch)
        sft = reference if self.sft is self.reference else self._logprobs("sft", batch)
        self._looks = {}
        own_prompts, own_completions = [row[0] for row in self._scored], [row[1] for row in self._scored]
        looks = {"policy": policy, "reference": reference, "SFT model": sft}
        named = {f"log-probabilities of the {whose}": values_BT for whose, values_BT in looks.items()}
        check_of_tokens(named, mask_BT, own_prompts, own_completions)
        divergences = (kl_k1(policy, reference, mask_BT), kl_k1(policy, sft, mask_BT), kl_k3(policy, sft, mask_BT))
        columns = (self._rows, self._scored, mask_BT.sum(-1).tolist(), *(kl_B.tolist() for kl_B in divergences))
        found: list[GroupRolloutRow] = gather_object(
            [
                GroupRolloutRow(row, prompt, completion, tokens, has_eos, score, *kls)
                for row, (prompt, completion, has_eos, score), tokens, *kls in zip(*columns, strict=True)
            ]
        )
        written = sorted(found)
        columns_of = dict(zip(GroupRolloutRow._fields, zip(*written, strict=True), strict=True))
        scores_B = torch.tensor(columns_of["score"])
        clipped_B = self._clip(scores_B)

        def mean(name: str) -> float:
            return float(sum(columns_of[name])) / len(written)

        penalty = config.kl_coef * mean("kl_anchor_k1") if self.algorithm == "rloo" else 0.0
        metrics = {
            "score": float(scores_B.mean()),
            "score_std": float(scores_B.std(correction=0)),
            "score_clipped": float((clipped_B != scores_B).float().mean()),
            "reward": float(clipped_B.mean()) - penalty,
            "kl_sft_k1": mean("kl_sft_k1"),
            "kl_sft_k3": mean("kl_sft_k3"),
            "kl_coef": config.kl_coef,
            "response_tokens": mean("tokens"),
            "has_eos": mean("has_eos"),
        }
        check_metrics(metrics, BAD_FIGURES)
        prompts, completions, has_eos = (list(columns_of[name]) for name in ("prompt", "completion", "has_eos"))
        return GroupRollout(prompts, completions, has_eos, scores_B), metrics

    @property
    def _rows(self) -> list[int]:
        """Indices of this process's sequences in the whole batch."""
        share = self.config.rollout_batch_size // self._trl.accelerator.num_processes
        first = self._trl.accelerator.process_index * share
        return list(range(first, first + share))

    def _score(
        self, prompts: list[str], completions: list[str], completion_ids: list[list[int]], **_: Any
    ) -> list[float]:
        """The reward function with the signature that TRL calls: scores after the EOS penalty and clipping."""
        has_eos = [any(token in self._ends for token in ids) for ids in completion_ids]
        # TRL's own texts lack what goes before a message's content in a dialogue's text.
        completions = decode_completions(self.tokenizer, prompts, completion_ids)
        scores = checked_scores(self.reward, prompts, completions)
        penalty = self.config.missing_eos_penalty
        if penalty is not None:
            # Replaced, not subtracted from: an unfinished completion was never scored as a whole.
            scores = [score if ended else penalty for score, ended in zip(scores, has_eos, strict=True)]
        self._scored = list(zip(prompts, completions, has_eos, scores, strict=True))
        clipped: list[float] = self._clip(torch.tensor(scores)).tolist()
        return clipped

    def _clip(self, scores_B: Tensor) -> Tensor:
        most = self.config.reward_clip
        return scores_B if most is None else scores_B.clamp(-most, most)

    def _logprobs(self, which: str, batch: dict[str, Any]) -> Tensor:
        """Log-probabilities of a rollout, (B, T), as cached by `look`, else computed here."""
        if which in self._looks:
            return self._looks[which]
        model = {"policy": self._trl.model, "reference": self.reference, "sft": self.sft}[which]
        tokens_BT, mask_BT = batch["completion_ids"], batch["completion_mask"].bool()
        logprobs_BT = torch.zeros(tokens_BT.shape, device=tokens_BT.device)
        everything, pad = range(len(tokens_BT)), self.tokenizer.pad_token_id
        with torch.no_grad(), self._trl.accelerator.autocast():
            for part in forward_batches(
                self._prompt_ids, tokens_BT, mask_BT, everything, self.config.forward_batch_tokens, pad
            ):
                at = part.rows, slice(part.response_width)
                logprobs_BT[at] = response_logprobs(model, part, self.config.sampling.temperature).float()
        return logprobs_BT
