"""PPO with a critic, for any causal language model and any reward `(prompts, completions) -> scores`.

One step: sample a batch, score it, compute advantages, then `num_ppo_epochs` passes of clipped updates.

Departures from textbook PPO, each with its reason:
- the reward is sparse but for a per-token KL penalty to a reference, and episodes are single completions;
- advantages are whitened over the whole rollout batch, after returns were computed from the raw ones;
- dropout is off in all models, so that the first ratio is exactly 1;
- log-probabilities divide logits by the sampling temperature; `top_k` restricts sampling only;
- every random draw is derived from the seed and the step, so a checkpoint needs no generator state.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator

from frft.config.sections import PPOConfig
from frft.errors import TrainingError, UsageError
from frft.models import Encoder, load_causal_lm, save_model, seed_for, seeded
from frft.policy.critic import Critic
from frft.policy.generate import check_room, decode, left_padded, response_mask, sample_tokens
from frft.policy.ppo import functions as fn
from frft.policy.ppo.rollout import (
    Reward,
    Rollout,
    checked_scores,
    forward_batches,
    response_logprobs,
    response_values,
)
from frft.store import read_json, write_json

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class PPOTrainer:
    """Trains `policy` (in place) against `reward`.

    Args:
        policy: the language model to train.
        critic: its value function.
        reference: the KL anchor, frozen; not trained and not copied.
        sft: the model from which KL is reported, frozen; the reference where none is given.
        tokenizer: the policy's; padding distinct from EOS.
        reward: any callable `(prompts, completions) -> scores`.
        prompts: the prompts to roll out, taken in a seeded random order, again and again.
        config: PPO's settings.
        seed: what every random draw is derived from.
        accelerator: devices and mixed precision; a plain one where none is given.

    Raises:
        UsageError: started under several processes, or without prompts; from `train` and `step`, if they would go
            beyond `config.total_steps`, where the learning rate has fallen to 0.
        DataError: a prompt has no tokens.
        ModelError: a model has fewer positions than `max_prompt_tokens` and `max_new_tokens` together.
        TrainingError: from `step`, if a loss or a gradient norm is not finite.
        RewardError: from `step`, if the reward returns something other than one finite score each.
    """

    def __init__(
        self,
        policy: PreTrainedModel,
        critic: Critic,
        reference: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        reward: Reward,
        prompts: Sequence[str],
        config: PPOConfig,
        *,
        seed: int,
        sft: PreTrainedModel | None = None,
        accelerator: Accelerator | None = None,
    ) -> None:
        self.accelerator = accelerator or Accelerator()
        if self.accelerator.num_processes > 1:
            raise UsageError("PPO runs in one process for now. Start it without a launcher.")
        models = {
            "policy": policy,
            "critic": critic.backbone,
            "reference": reference,
            "SFT model": reference if sft is None else sft,
        }
        for what, model in models.items():
            check_room(model, config.sampling, what)
        if not prompts:
            raise UsageError("There are no prompts to roll out. Give at least one.")
        self.config, self.seed, self.reward, self.tokenizer = config, seed, reward, tokenizer
        self.prompts = list(prompts)
        # By another encoder, because this one counts what is rolled out: a prompt without tokens must not wait for
        # its turn to be found.
        Encoder(tokenizer, config.sampling.max_prompt_tokens).encode_prompts(
            self.prompts, config.sampling.max_prompt_tokens
        )
        self.encoder = Encoder(tokenizer, config.sampling.max_prompt_tokens)
        self.kl = fn.KLController(config.kl_coef, config.kl_target, config.kl_horizon)
        self.step_number = 0

        device = self.accelerator.device
        self.reference = reference.to(device).eval().requires_grad_(False)
        self.sft = self.reference if sft is None else sft.to(device).eval().requires_grad_(False)
        adam = {"eps": config.adam_epsilon}
        self.policy, self.critic, self.policy_optimizer, self.critic_optimizer = self.accelerator.prepare(
            policy.eval(),
            critic.eval(),
            torch.optim.Adam(policy.parameters(), lr=config.learning_rate, **adam),
            torch.optim.Adam(critic.parameters(), lr=config.critic_learning_rate, **adam),
        )

    def train(self, until_step: int, on_step: Callable[[dict[str, Any], Rollout], None]) -> None:
        """Step until `until_step` steps are done in all, and report each."""
        self._check_steps(until_step)
        while self.step_number < until_step:
            rollout, metrics = self.step()
            on_step(metrics, rollout)

    def step(self) -> tuple[Rollout, dict[str, Any]]:
        """One rollout batch and the updates on it; returns what was written and the step's metrics."""
        self._check_steps(self.step_number + 1)
        started = time.perf_counter()
        rollout = self.collect()
        collected = time.perf_counter()
        advantages_BT, returns_BT, reward_metrics = self.advantages(rollout)
        update_metrics = self.update(rollout, advantages_BT, returns_BT)
        k1_B = fn.kl_k1(rollout.logprobs_BT, rollout.reference_logprobs_BT, rollout.mask_BT)
        self.kl.update(float(k1_B.mean()), len(k1_B))
        self.step_number += 1
        finished = time.perf_counter()
        tokens = int(rollout.mask_BT.sum())
        metrics = {
            "step": self.step_number,
            **reward_metrics,
            **update_metrics,
            "seconds_rollout": collected - started,
            "seconds_update": finished - collected,
            "tokens_per_second": tokens / (finished - started),
        }
        return rollout, metrics

    def collect(self) -> Rollout:
        """Sample the step's prompts, score them, and compute log-probabilities and values."""
        prompts = [self.prompts[index] for index in self._prompt_indices()]
        prompt_ids = self.encoder.encode_prompts(prompts, self.config.sampling.max_prompt_tokens)
        ids_BP, mask_BP = left_padded(prompt_ids, self.tokenizer.pad_token_id)
        device = self.accelerator.device
        with seeded(seed_for(self.seed, "rollout", self.step_number)):
            tokens_BT = sample_tokens(
                self.policy,
                ids_BP.to(device),
                mask_BP.to(device),
                self.config.sampling,
                self.tokenizer.eos_token_id,
                self.tokenizer.pad_token_id,
            )
        mask_BT, has_eos_B = response_mask(tokens_BT, self.tokenizer.eos_token_id)
        completions = decode(self.tokenizer, tokens_BT, mask_BT)
        scores = checked_scores(self.reward, prompts, completions)
        scores_B = torch.tensor(scores, dtype=torch.float32, device=device)
        if self.config.missing_eos_penalty is not None:
            # Replaced, not subtracted from: an unfinished completion was never scored as a whole.
            scores_B = torch.where(has_eos_B, scores_B, self.config.missing_eos_penalty)

        logprobs_BT, reference_BT, sft_BT, values_BT = (torch.zeros(tokens_BT.shape, device=device) for _ in range(4))
        with torch.no_grad():
            for batch in self._batches(prompt_ids, tokens_BT, mask_BT, range(len(prompts))):
                rows, columns = batch.rows, slice(batch.response_width)
                temperature = self.config.sampling.temperature
                logprobs_BT[rows, columns] = response_logprobs(self.policy, batch, temperature)[0]
                reference_BT[rows, columns] = response_logprobs(self.reference, batch, temperature)[0]
                if self.sft is not self.reference:
                    sft_BT[rows, columns] = response_logprobs(self.sft, batch, temperature)[0]
                values_BT[rows, columns] = response_values(self.critic, batch)
        return Rollout(
            prompt_ids=prompt_ids,
            tokens_BT=tokens_BT,
            mask_BT=mask_BT,
            has_eos_B=has_eos_B,
            prompts=prompts,
            completions=completions,
            logprobs_BT=logprobs_BT,
            reference_logprobs_BT=reference_BT,
            sft_logprobs_BT=reference_BT if self.sft is self.reference else sft_BT,
            values_BT=values_BT,
            scores_B=scores_B,
        )

    def advantages(self, rollout: Rollout) -> tuple[Tensor, Tensor, dict[str, Any]]:
        """Whitened advantages and returns, both (B, T), and what the rewards looked like."""
        mask_BT = rollout.mask_BT
        rewards_BT = fn.token_rewards(
            rollout.scores_B, rollout.logprobs_BT, rollout.reference_logprobs_BT, mask_BT, self.kl.coef
        )
        reward = float(rewards_BT.sum(-1).mean())
        if self.config.whiten_rewards:
            rewards_BT = fn.whiten(rewards_BT, mask_BT, shift_mean=False)
        advantages_BT, returns_BT = fn.generalised_advantages(
            rewards_BT, rollout.values_BT, mask_BT, self.config.gamma, self.config.lam
        )
        k1_B = fn.kl_k1(rollout.logprobs_BT, rollout.sft_logprobs_BT, mask_BT)
        k3_B = fn.kl_k3(rollout.logprobs_BT, rollout.sft_logprobs_BT, mask_BT)
        lengths_B = mask_BT.sum(-1).float()
        metrics = {
            "score": float(rollout.scores_B.mean()),
            "score_std": float(rollout.scores_B.std(correction=0)),
            "reward": reward,
            "kl_sft_k1": float(k1_B.mean()),
            "kl_sft_k3": float(k3_B.mean()),
            "kl_coef": self.kl.coef,
            "response_tokens": float(lengths_B.mean()),
            "has_eos": float(rollout.has_eos_B.float().mean()),
            "explained_variance": float(fn.explained_variance(rollout.values_BT, returns_BT, mask_BT)),
        }
        return fn.whiten(advantages_BT, mask_BT), returns_BT, metrics

    def update(self, rollout: Rollout, advantages_BT: Tensor, returns_BT: Tensor) -> dict[str, Any]:
        """All passes over one rollout batch; metrics are means over them, each token counted alike."""
        self._set_learning_rates()
        generator = torch.Generator().manual_seed(seed_for(self.seed, "update", self.step_number))
        totals: dict[str, float] = {}
        norms: dict[str, list[float]] = {"grad_norm_policy": [], "grad_norm_critic": []}
        count = len(rollout.prompts)
        for _ in range(self.config.num_ppo_epochs):
            permutation = torch.randperm(count, generator=generator).tolist()
            for start in range(0, count, self.config.mini_batch_size):
                rows = permutation[start : start + self.config.mini_batch_size]
                sums = self._accumulate(rollout, advantages_BT, returns_BT, rows)
                for name in ("policy_loss", "value_loss"):
                    self._check_finite(name, sums[name])
                for name, value in sums.items():
                    totals[name] = totals.get(name, 0.0) + value
                for name, model, optimizer in (
                    ("grad_norm_policy", self.policy, self.policy_optimizer),
                    ("grad_norm_critic", self.critic, self.critic_optimizer),
                ):
                    norm = float(self.accelerator.clip_grad_norm_(model.parameters(), self.config.max_grad_norm))
                    self._check_finite(name, norm)
                    norms[name].append(norm)
                    optimizer.step()
                    optimizer.zero_grad()
        tokens = totals.pop("tokens")
        means = {name: value / tokens for name, value in totals.items()}
        return {**means, **{name: sum(values) / len(values) for name, values in norms.items()}}

    def _accumulate(
        self, rollout: Rollout, advantages_BT: Tensor, returns_BT: Tensor, rows: Sequence[int]
    ) -> dict[str, float]:
        """Gradients of one mini-batch, a mean over its response tokens; returns sums over them."""
        config, mask_BT = self.config, rollout.mask_BT
        tokens = mask_BT[list(rows)].sum()
        sums = dict.fromkeys(("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction"), 0.0)
        for batch in self._batches(rollout.prompt_ids, rollout.tokens_BT, mask_BT, rows):
            columns = slice(batch.response_width)
            mask = mask_BT[batch.rows, columns]
            old = rollout.logprobs_BT[batch.rows, columns]
            logprobs, entropy = response_logprobs(self.policy, batch, config.sampling.temperature, entropy=True)
            policy_loss, clipped = fn.policy_loss(
                logprobs, old, advantages_BT[batch.rows, columns], mask, config.cliprange
            )
            value_loss = fn.value_loss(
                response_values(self.critic, batch),
                rollout.values_BT[batch.rows, columns],
                returns_BT[batch.rows, columns],
                config.cliprange_value,
            )
            # Actor and critic share no weights here, so one backward pass serves both.
            loss = ((policy_loss + config.vf_coef * value_loss) * mask).sum() / tokens
            self.accelerator.backward(loss)
            with torch.no_grad():
                log_ratio = logprobs - old
                # k3 of the update itself (Schulman 2020): how far this pass is from the rollout's policy.
                approx_kl = torch.expm1(log_ratio) - log_ratio
                parts = (policy_loss, value_loss, entropy, approx_kl, clipped.float())
                for name, part in zip(tuple(sums), parts, strict=True):
                    sums[name] += float((part * mask).sum())
        return {**sums, "tokens": float(tokens)}

    def _batches(
        self, prompt_ids: list[list[int]], tokens_BT: Tensor, mask_BT: Tensor, rows: Sequence[int]
    ) -> Iterator[Any]:
        return forward_batches(
            prompt_ids, tokens_BT, mask_BT, rows, self.config.forward_batch_size, self.tokenizer.pad_token_id
        )

    def _prompt_indices(self) -> list[int]:
        """The prompts of this step, from an endless sequence of seeded permutations."""
        count, size = len(self.prompts), self.config.rollout_batch_size
        positions = range(self.step_number * size, (self.step_number + 1) * size)
        orders = {
            epoch: torch.randperm(
                count, generator=torch.Generator().manual_seed(seed_for(self.seed, "prompts", epoch))
            ).tolist()
            for epoch in range(positions[0] // count, positions[-1] // count + 1)
        }
        return [orders[position // count][position % count] for position in positions]

    def _check_steps(self, until_step: int) -> None:
        if until_step > self.config.total_steps:
            raise UsageError(
                f"PPO cannot go on to step {until_step}: total_steps is {self.config.total_steps}, where the learning "
                "rate has fallen to 0. Give a larger total_steps from the start."
            )

    def _check_finite(self, name: str, value: float) -> None:
        if not math.isfinite(value):
            raise TrainingError(
                f"PPO step {self.step_number + 1}: {name} is {value}. Lower the learning rates, or look at the "
                "rewards and at the models' weights."
            )

    def _set_learning_rates(self) -> None:
        remaining = 1 - self.step_number / self.config.total_steps
        for optimizer, rate in (
            (self.policy_optimizer, self.config.learning_rate),
            (self.critic_optimizer, self.config.critic_learning_rate),
        ):
            for group in optimizer.param_groups:
                group["lr"] = rate * remaining

    def save(self, path: Path) -> None:
        """Save all that the next step depends on: to load it and go on is the same as not having stopped."""
        save_model(self.policy, self.tokenizer, path / "policy")
        self.critic.save(path / "critic")
        optimizers = {
            "policy": self.policy_optimizer.state_dict(),
            "critic": self.critic_optimizer.state_dict(),
        }
        torch.save(optimizers, path / "optimizers.pt")
        write_json(path / "ppo.json", {"step": self.step_number, "kl_coef": self.kl.coef, "seed": self.seed})

    @classmethod
    def load(
        cls,
        path: Path,
        reference: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        reward: Reward,
        prompts: Sequence[str],
        config: PPOConfig,
        *,
        sft: PreTrainedModel | None = None,
        accelerator: Accelerator | None = None,
        trust_remote_code: bool = False,
    ) -> PPOTrainer:
        """Continue from what `save` wrote, with any reward and KL anchor.

        Args: as the constructor's; `trust_remote_code`: run code that comes with the policy and the critic.
        """
        state = read_json(path / "ppo.json")
        trainer = cls(
            load_causal_lm(path / "policy", tokenizer, trust_remote_code=trust_remote_code),
            Critic.load(path / "critic", trust_remote_code=trust_remote_code),
            reference,
            tokenizer,
            reward,
            prompts,
            config,
            seed=state["seed"],
            sft=sft,
            accelerator=accelerator,
        )
        optimizers = torch.load(path / "optimizers.pt", weights_only=True, map_location=trainer.accelerator.device)
        trainer.policy_optimizer.load_state_dict(optimizers["policy"])
        trainer.critic_optimizer.load_state_dict(optimizers["critic"])
        trainer.step_number, trainer.kl.coef = state["step"], state["kl_coef"]
        return trainer
