"""PPO with a critic, for any causal language model and any reward `(prompts, completions) -> scores`.

One step: sample a batch, score it, compute advantages, then `num_ppo_epochs` passes of clipped updates.

Departures from textbook PPO, each with its reason:
- the reward is sparse but for a per-token KL penalty to a reference, and episodes are single completions;
- advantages are whitened over the whole rollout batch, after returns were computed from the raw ones;
- dropout is off in all models, so that the first ratio is exactly 1;
- log-probabilities divide logits by the sampling temperature; `top_k` restricts sampling only;
- every random draw is derived from the seed, the step and the row, so a checkpoint needs no generator state, and
  several processes draw together what one would draw.

Several processes (Accelerate): each rolls out its share of the batch, the shares are put together by row, and from then
on every process knows the whole batch; each mini-batch is divided among them again. Settings mean the same with any
number of processes: batch sizes are global.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from accelerate import Accelerator

from frft.config.sections import PPOConfig
from frft.errors import TrainingError, UsageError
from frft.models import Encoder, WithoutAdapters, save_model, seed_for
from frft.models.training import check_trainable
from frft.policy.critic import Critic, ValueHead
from frft.policy.finite import BAD_FIGURES, check_metrics
from frft.policy.order import prompt_indices
from frft.policy.ppo import functions as fn
from frft.policy.ppo.actor_critic import ActorCritic
from frft.policy.ppo.checkpoint import load_state, save_state
from frft.policy.ppo.checks import check_arguments, check_start
from frft.policy.ppo.collect import Collector, Reward
from frft.policy.ppo.rollout import Rollout, forward_batches

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SUMS = ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction")
"""Quantities that an update sums over response tokens; their means are reported as metrics."""

STOP_AT = 1.5
"""`target_kl` is the KL to aim at; passes end where it is exceeded by this factor (Spinning Up's PPO)."""


class Targets(NamedTuple):
    """Targets of the updates on a rollout.

    Attributes:
        advantages_BT: whitened advantages, for the policy.
        returns_BT: regression targets of the critic.
        kl_coef: weight of the KL penalty in the loss; 0 where it is in the reward.
    """

    advantages_BT: Tensor
    returns_BT: Tensor
    kl_coef: float


class PPOTrainer:
    """Trains `policy` (in place) against `reward`.

    Args:
        policy: the language model to train; of one with adapters (PEFT), only they are trained.
        critic: its value function, a model of its own or a head on the policy's hidden states.
        reference: the KL anchor, frozen; not trained and not copied. `WithoutAdapters(policy)` is the model under
            the policy's adapters.
        sft: the model from which KL is reported, frozen; the reference where none is given.
        tokenizer: the policy's; padding distinct from EOS.
        reward: any callable `(prompts, completions) -> scores`; under several processes, each calls it on its share.
        prompts: the prompts to roll out, taken in a seeded random order, again and again.
        config: PPO's settings.
        seed: seed that every random draw is derived from.
        accelerator: devices and processes; None: a new one, on CUDA if there is a GPU, else on the CPU.

    Raises:
        UsageError: an argument has the wrong type; there are no prompts; a batch size cannot be divided among the
            processes; the engine shards weights; from `train` and `step`, beyond `config.total_steps`, where the
            learning rate has fallen to 0.
        DataError: a prompt has no tokens.
        ModelError: a model has fewer positions than `max_prompt_tokens` and `max_new_tokens` together; policy or
            critic is frozen.
        TrainingError: from `step`, if a loss or a gradient norm is not finite.
        RewardError: from `step`, if the reward returns something other than one finite score each.
    """

    def __init__(
        self,
        policy: PreTrainedModel,
        critic: Critic | ValueHead,
        reference: PreTrainedModel | WithoutAdapters,
        tokenizer: PreTrainedTokenizerBase,
        reward: Reward,
        prompts: Sequence[str],
        config: PPOConfig,
        *,
        seed: int,
        sft: PreTrainedModel | WithoutAdapters | None = None,
        accelerator: Accelerator | None = None,
    ) -> None:
        check_arguments(locals())
        self.accelerator = accelerator or Accelerator(cpu=not torch.cuda.is_available())
        self.config, self.seed, self.tokenizer = config, seed, tokenizer
        self.prompts = list(prompts)
        models = {"policy": policy, "reference": reference, "SFT model": reference if sft is None else sft}
        if isinstance(critic, Critic):
            models["critic"] = critic.backbone
        check_start(models, self.prompts, tokenizer, config, self.accelerator)
        self.encoder = Encoder(tokenizer, config.sampling.max_prompt_tokens)
        self.kl = fn.KLController(config.kl_coef, config.kl_target, config.kl_horizon)
        self.step_number = 0
        self.reference, self.sft = (self._frozen(models[what]) for what in ("reference", "SFT model"))
        check_trainable(policy, "policy")
        check_trainable(critic, "critic")
        groups = [{"params": _trained(module), "lr": 0.0} for module in (policy, critic)]
        self.actor_critic = ActorCritic(policy, critic).eval()
        # `model` is the same module, wrapped so that gradients are averaged over processes.
        self.model, self.optimizer = self.accelerator.prepare(
            self.actor_critic, torch.optim.Adam(groups, eps=config.adam_epsilon, fused=True)
        )
        self.collector = Collector(
            self.actor_critic,
            self.reference,
            self.sft,
            tokenizer,
            reward,
            config,
            self.accelerator,
        )

    def train(self, until_step: int, on_step: Callable[[dict[str, Any], Rollout], None]) -> None:
        """Train until `until_step` PPO steps are completed in total; `on_step` gets each step's metrics and rollout."""
        self._check_steps(until_step)
        while self.step_number < until_step:
            rollout, metrics = self.step()
            on_step(metrics, rollout)

    def step(self) -> tuple[Rollout, dict[str, Any]]:
        """One PPO step: a rollout batch and the updates on it; returns the rollout and the step's metrics."""
        self._check_steps(self.step_number + 1)
        started = time.perf_counter()
        rollout = self.collect()
        collected = time.perf_counter()
        targets, reward_metrics = self.targets(rollout)
        update_metrics = self.update(rollout, targets)
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
        """Sample and score completions of this step's prompts with the current policy."""
        size = self.config.rollout_batch_size
        positions = range(self.step_number * size, (self.step_number + 1) * size)
        prompts = [self.prompts[index] for index in prompt_indices(len(self.prompts), self.seed, positions)]
        prompt_ids = self.encoder.encode_prompts(prompts, self.config.sampling.max_prompt_tokens)
        return self.collector.collect(prompts, prompt_ids, seed_for(self.seed, "rollout", self.step_number))

    def targets(self, rollout: Rollout) -> tuple[Targets, dict[str, Any]]:
        """Advantages and returns of a rollout, and the metrics of its rewards."""
        config, mask_BT = self.config, rollout.mask_BT
        clip = math.inf if config.reward_clip is None else config.reward_clip
        in_reward = config.kl_penalty == "reward"
        rewards_BT = fn.token_rewards(
            rollout.scores_B.clamp(-clip, clip),
            rollout.logprobs_BT,
            rollout.reference_logprobs_BT,
            mask_BT,
            self.kl.coef if in_reward else 0.0,
        )
        reward = float(rewards_BT.sum(-1).mean())
        divisor = 1.0
        if config.whiten_rewards:
            divisor = float(fn.standard_deviation(rewards_BT, mask_BT))
            rewards_BT = fn.whiten(rewards_BT, mask_BT, shift_mean=False)
        advantages_BT, returns_BT = fn.generalised_advantages(
            rewards_BT, rollout.values_BT, mask_BT, config.gamma, config.lam
        )
        k1_B = fn.kl_k1(rollout.logprobs_BT, rollout.sft_logprobs_BT, mask_BT)
        k3_B = fn.kl_k3(rollout.logprobs_BT, rollout.sft_logprobs_BT, mask_BT)
        lengths_B = mask_BT.sum(-1).float()
        metrics = {
            "score": float(rollout.scores_B.mean()),
            "score_std": float(rollout.scores_B.std(correction=0)),
            "score_clipped": float((rollout.scores_B.abs() > clip).float().mean()),
            "reward": reward,
            "kl_sft_k1": float(k1_B.mean()),
            "kl_sft_k3": float(k3_B.mean()),
            "kl_coef": self.kl.coef,
            "response_tokens": float(lengths_B.mean()),
            "has_eos": float(rollout.has_eos_B.float().mean()),
            "explained_variance": float(fn.explained_variance(rollout.values_BT, returns_BT, mask_BT)),
        }
        divisor *= float(fn.standard_deviation(advantages_BT, mask_BT))
        check_metrics({**metrics, "the standard deviation of the advantages": divisor}, BAD_FIGURES)
        # Whitening divides advantages by their standard deviation; a KL penalty in the loss is divided by it, too, so
        # that its weight relative to the reward stays the same.
        in_loss = 0.0 if in_reward else self.kl.coef / divisor
        return Targets(fn.whiten(advantages_BT, mask_BT), returns_BT, in_loss), metrics

    def update(self, rollout: Rollout, targets: Targets) -> dict[str, Any]:
        """All PPO epochs on one rollout batch; the metrics are means over all tokens of all epochs."""
        self._set_learning_rates()
        sums = torch.zeros(len(SUMS) + 1, dtype=torch.float64, device=self.accelerator.device)
        norms: list[list[float]] = []
        with self._recomputing():
            for rows in self._mini_batches(len(rollout.prompts)):
                found = self._accumulate(rollout, targets, rows)
                for name, value in zip(SUMS, found.tolist(), strict=False):
                    self._check_finite(name, value)
                if self._moved_too_far(found):
                    self.optimizer.zero_grad()
                    break
                sums += found
                norms.append(self._apply())
        if not norms:
            return {"updates": 0}
        means = (sums[:-1] / sums[-1]).tolist()
        policy_norms, critic_norms = zip(*norms, strict=True)
        return {
            **dict(zip(SUMS, means, strict=True)),
            "grad_norm_policy": sum(policy_norms) / len(norms),
            "grad_norm_critic": sum(critic_norms) / len(norms),
            "updates": len(norms),
        }

    def _mini_batches(self, count: int) -> Iterator[list[int]]:
        """Row indices of each mini-batch: a new permutation in every epoch."""
        generator = torch.Generator().manual_seed(seed_for(self.seed, "update", self.step_number))
        for _ in range(self.config.num_ppo_epochs):
            permutation = torch.randperm(count, generator=generator).tolist()
            for start in range(0, count, self.config.mini_batch_size):
                yield permutation[start : start + self.config.mini_batch_size]

    def _accumulate(self, rollout: Rollout, targets: Targets, rows: Sequence[int]) -> Tensor:
        """Accumulate the gradient of one mini-batch's mean loss per response token; returns sums (`SUMS`, token count).

        Each process works on its share; gradients and sums are reduced over all processes.
        """
        config, mask_BT, processes = self.config, rollout.mask_BT, self.accelerator.num_processes
        tokens = mask_BT[list(rows)].sum()
        sums = torch.zeros(len(SUMS) + 1, dtype=torch.float64, device=self.accelerator.device)
        batches = list(
            forward_batches(
                rollout.prompt_ids,
                rollout.tokens_BT,
                mask_BT,
                rows,
                config.forward_batch_tokens,
                self.tokenizer.pad_token_id,
                (self.accelerator.process_index, processes),
            )
        )
        for batch in batches:
            at = batch.rows, slice(batch.response_width)
            mask, old = mask_BT[at], rollout.logprobs_BT[at]
            last = batch is batches[-1]
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                with self.collector.autocast():
                    logprobs, entropy, values = self.model(batch, config.sampling.temperature)
                policy_loss, clipped = fn.policy_loss(logprobs, old, targets.advantages_BT[at], mask, config.cliprange)
                value_loss = fn.value_loss(
                    values, rollout.values_BT[at], targets.returns_BT[at], config.cliprange_value
                )
                loss = policy_loss + config.vf_coef * value_loss
                if targets.kl_coef:
                    loss = loss + targets.kl_coef * fn.kl_loss(logprobs, rollout.reference_logprobs_BT[at])
                # Accelerate averages gradients over processes; multiply to get the sum.
                self.accelerator.backward((loss * mask).sum() * processes / tokens)
            with torch.no_grad():
                log_ratio = (logprobs - old) * mask
                # k3 of the update itself (Schulman 2020): how far this pass is from the rollout's policy.
                approx_kl = torch.expm1(log_ratio) - log_ratio
                parts = (policy_loss, value_loss, entropy, approx_kl, clipped.float(), torch.ones_like(entropy))
                sums += torch.stack([(part * mask).sum() for part in parts])
        found: Tensor = self.accelerator.reduce(sums, "sum")
        return found

    def _apply(self) -> list[float]:
        """Clip the gradients of policy and critic separately, then step; returns the norms before clipping."""
        norms = []
        for name, group in zip(("policy", "critic"), self.optimizer.param_groups, strict=True):
            norm = float(self.accelerator.clip_grad_norm_(group["params"], self.config.max_grad_norm))
            self._check_finite(f"grad_norm_{name}", norm)
            norms.append(norm)
            self._check_finite(f"the learning rate of the {name}", group["lr"])
        self.optimizer.step()
        self.optimizer.zero_grad()
        return norms

    def _moved_too_far(self, sums: Tensor) -> bool:
        target = self.config.target_kl
        return target is not None and bool(sums[SUMS.index("approx_kl")] > STOP_AT * target * sums[-1])

    def _recomputing(self) -> AbstractContextManager[None]:
        return self.actor_critic.recomputing() if self.config.gradient_checkpointing else nullcontext()

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
        rates = self.config.learning_rate, self.config.critic_learning_rate
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * remaining

    def _frozen(self, model: PreTrainedModel | WithoutAdapters) -> PreTrainedModel | WithoutAdapters:
        if isinstance(model, WithoutAdapters):
            return model
        return model.to(self.accelerator.device).eval().requires_grad_(False)

    def save(self, path: Path, along: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Save all that the next step depends on; a resumed training gives the same result as one never stopped.

        A checksum covers all of it. Under several processes, every process must call it; the main one writes.

        Args:
            path: the folder.
            along: JSON-able values of the caller, which `restore` returns.
        """
        if self.accelerator.is_main_process:
            scalars = {"step": self.step_number, "kl_coef": self.kl.coef, "seed": self.seed}
            save_state(path, self.actor_critic, self.optimizer, scalars, along)
        self.accelerator.wait_for_everyone()

    def restore(self, path: Path) -> dict[str, Any]:
        """Resume from what `save` wrote: weights, optimizer, beta and step number, which seeds every random draw.

        Every byte is verified first. The reward, the KL anchor and the prompts are whatever this trainer was made with.

        Returns:
            The caller's values that were saved along with it.

        Raises:
            ArtifactError: the folder is damaged, or was saved from other models.
            UsageError: it was saved from a training with another seed.
        """
        state = load_state(path, self.actor_critic, self.optimizer)
        scalars = state.scalars
        if scalars["seed"] != self.seed:
            raise UsageError(f"{path} belongs to a training with seed {scalars['seed']}; this one has {self.seed}.")
        self.step_number, self.kl.coef = scalars["step"], scalars["kl_coef"]
        return dict(state.along)

    def reset_optimizer(self) -> None:
        """Clear the optimizer's moments; weights, beta, step number and the learning-rate schedule are kept."""
        self.optimizer.state.clear()

    def save_policy(self, path: Path) -> None:
        """Save the policy as a plain model folder; adapters are merged into the weights (in a copy)."""
        if self.accelerator.is_main_process:
            policy = self.actor_critic.policy
            merge = getattr(policy, "merge_and_unload", None)
            save_model(copy.deepcopy(policy).merge_and_unload() if merge else policy, self.tokenizer, path)
        self.accelerator.wait_for_everyone()


def _trained(module: torch.nn.Module) -> list[torch.nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]
