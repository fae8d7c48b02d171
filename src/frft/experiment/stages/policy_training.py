"""Train a policy for one segment of an arm (from one cut to the next), by PPO, RLOO or GRPO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frft.experiment.checkpoints import PATTERN as CHECKPOINTS
from frft.experiment.policies import policy_folder
from frft.experiment.segment import LOGS, train_segment
from frft.experiment.stages.context import RunContext
from frft.experiment.stages.references import shaped
from frft.experiment.stages.scoring import scored_by
from frft.experiment.trainers import make_policy_trainer
from frft.reward import AlignedReward, FrozenEnsembleReward
from frft.stages import Stage, Workload
from frft.stages.memory import adapted_on_meta, kept_for_backward, policy_on_meta, weight_bytes
from frft.store import Artifact, Peers, digest_of


@dataclass(frozen=True)
class PolicyTrainingStage(Stage):
    """The files of `frft.experiment.segment`, and the metrics of the last step.

    Processes that were launched together train it together. A build that was stopped resumes from its last checkpoint.

    Attributes:
        context: the run.
        policy: where the training starts: the SFT model (also after a refresh, with `restart_policy`), or the segment
            before.
        reward: the reward that the policy is trained with.
        anchor: the reference of the KL penalty: the SFT model, or the segment at the last refresh (`kl_anchor`).
        sft: the SFT model.
        base_reward: the reward model that the critic starts from.
        until_step: number of steps completed at the end of the segment, counted from the start of the arm.
        reset_optimizer: whether the training starts with new optimizer moments instead of those of the segment before.
        references: completions of the SFT model that a shaped reward compares with; none: the reward is not shaped.
    """

    context: RunContext
    policy: Artifact
    reward: AlignedReward | FrozenEnsembleReward
    anchor: Artifact
    sft: Artifact
    base_reward: Artifact
    until_step: int
    reset_optimizer: bool = False
    references: tuple[Artifact, ...] = ()

    scratch = CHECKPOINTS

    @property
    def kind(self) -> str:
        return self.context.config.algorithm

    @property
    def peers(self) -> Peers:
        return self.context.peers

    @property
    def _from_step(self) -> int:
        """Number of steps completed before the segment: all arms are cut at the same steps."""
        return max((step for step in self.context.cuts if step < self.until_step), default=0)

    @property
    def _restarts(self) -> bool:
        """Whether it trains the SFT model anew, though steps were completed before it."""
        return self.policy.digest == self.sft.digest and self._from_step > 0

    def inputs(self) -> Mapping[str, Any]:
        context, config = self.context, self.context.config
        return {
            "policy": self.policy,
            **scored_by(self.reward),
            "critic": self.base_reward,
            "anchor": self.anchor,
            "sft": self.sft,
            "lora": config.policy.model_dump()["lora"],
            # A resumed training has the outcome of an uninterrupted one: how often it is saved is no input.
            "ppo": config.ppo.model_dump(exclude={"save_steps"}),
            "group": None if config.trained_by.has_critic else config.group.model_dump(),
            "prompts": digest_of(context.splits.prompts),
            "until_step": self.until_step,
            "reset_optimizer": self.reset_optimizer,
            "seed": context.seed("ppo"),
            **({"from_step": self._from_step} if self._restarts else {}),
            **({"references": list(self.references)} if self.references else {}),
        }

    def build(self, folder: Path) -> Mapping[str, Any]:
        context, reward = self.context, self.reward
        trainer = make_policy_trainer(
            context.config,
            self.sft.path,
            None if self.anchor.digest == self.sft.digest else policy_folder(self.anchor),
            self.base_reward.path,
            shaped(reward, self.references),
            context.splits.prompts,
            seed=context.seed("ppo"),
            logs=folder / LOGS,
        )
        found = train_segment(
            folder,
            trainer,
            None if self.policy.digest == self.sft.digest else self.policy.path,
            self.until_step,
            from_step=self._from_step if self._restarts else 0,
            reset_optimizer=self.reset_optimizer,
            scored=lambda: reward.model.truncated,
            save_steps=context.config.ppo.save_steps,
            peers=context.peers,
            progress=context.progress,
        )
        # Accelerate's `end_training` would also destroy the process group, which later stages need.
        for tracker in trainer.accelerator.trackers:
            tracker.finish()
        return found.as_dict()

    def flops(self, workload: Workload) -> float:
        config = self.context.config
        # In forward passes over the sequences: sampling (1), log-probabilities of policy and reference (2), values by a
        # separate critic (1), and in every epoch 3 (forward 1, backward 2) for the policy and for a separate critic.
        has_critic = config.trained_by.has_critic
        separate = has_critic and config.ppo.critic == "separate"
        epochs = config.ppo.num_ppo_epochs if has_critic else config.group.num_iterations
        passes = 1 + 2 + separate + epochs * (1 + separate) * 3
        sequences = (self.until_step - self._from_step) * config.ppo.rollout_batch_size
        return workload.flops(passes * sequences * workload.sequence)

    def memory(self, workload: Workload) -> float:
        # All segments of all arms hold the same models, so this is computed once a plan.
        return workload.once("policy training", lambda: self._bytes(workload))

    def _bytes(self, workload: Workload) -> float:
        """Peak memory in bytes: what is held throughout, and the largest of an update, a save and a sampled batch."""
        run, ppo, lora = self.context.config, self.context.config.ppo, self.context.config.policy.lora
        policy, critic = policy_on_meta(run.policy), workload.classifier(run.reward)
        shared = ppo.critic == "shared" or not run.trained_by.has_critic
        held = weight_bytes(policy) + self.context.scoring_bytes(workload) + (0 if shared else weight_bytes(critic))
        if lora is None:
            held += weight_bytes(policy)  # the SFT model, the KL reference
        else:
            policy = adapted_on_meta(policy, lora, "CAUSAL_LM")
            critic = adapted_on_meta(critic, lora, "SEQ_CLS")
        if any(run.arm(name).kl_anchor == "previous" for name in run.arms):
            held += workload.policy_bytes
        # Per trained weight: its gradient and Adam's two moments.
        held += 3 * (weight_bytes(policy, trained=True) + (0 if shared else weight_bytes(critic, trained=True)))
        length = ppo.sampling.max_prompt_tokens + ppo.sampling.max_new_tokens
        rows = max(1, min(ppo.forward_batch_tokens // length, ppo.mini_batch_size))
        half = 0.5 if ppo.bf16 else 1.0
        kept = 0.0
        for model, more in ((policy, {"logits_to_keep": ppo.sampling.max_new_tokens + 1}), (critic, {})):
            if model is critic and shared:
                continue
            each = half * kept_for_backward(model, rows, length, use_cache=False, **more)
            kept += workload.checkpointed_bytes(each, rows * length) if ppo.gradient_checkpointing else each
        update = kept + workload.logit_bytes(rows * ppo.sampling.max_new_tokens)
        # Saving serialises the policy (one copy of its bytes); with LoRA, adapters are merged into a second copy first.
        saving = (1 if lora is None else 2) * workload.policy_bytes
        return held + max(update, saving, workload.sampling_bytes(ppo.sampling, ppo.rollout_batch_size))
