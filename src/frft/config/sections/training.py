"""Training of the policy: what all algorithms have, and what some have of their own."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from frft.config.sections.base import Section
from frft.config.sections.refresh import SamplingConfig


class PPOConfig(Section):
    """Proximal policy optimisation with a critic (METHOD section 4; Huang et al. 2403.17031)."""

    total_steps: int = Field(default=32, gt=0)
    """Number of PPO steps (rollout batches) in the run."""
    rollout_batch_size: int = Field(default=64, gt=1)
    """Completions per step; in PPO, one for each prompt."""
    mini_batch_size: int = Field(default=64, gt=0)
    """Sequences per optimizer step."""
    forward_batch_tokens: int = Field(default=1024, gt=0)
    """Tokens per forward pass and process, padding included; gradients of larger mini-batches are accumulated. A
    smaller value needs less memory and changes nothing else (beyond rounding)."""
    save_steps: int | None = Field(default=None, gt=0)
    """PPO steps between two checkpoints, from which a stopped run is resumed; none: as often as costs 2 % of the
    training time. Changes no result."""
    num_ppo_epochs: int = Field(default=4, gt=0)
    """Epochs over a rollout batch, each with a fresh permutation."""
    sampling: SamplingConfig = SamplingConfig()
    """How rollouts are sampled."""
    learning_rate: float = Field(default=5e-6, gt=0)
    """Adam learning rate of the policy; decays linearly to 0."""
    critic_learning_rate: float = Field(default=9e-6, gt=0)
    """Adam learning rate of the critic; decays linearly to 0."""
    adam_epsilon: float = Field(default=1e-5, gt=0)
    """Adam's epsilon."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Maximum gradient norm, for policy and critic separately."""
    gamma: float = Field(default=1.0, ge=0, le=1)
    """Discount factor per token."""
    lam: float = Field(default=0.95, ge=0, le=1)
    """Lambda of generalised advantage estimation (GAE)."""
    cliprange: float = Field(default=0.2, gt=0)
    """Clip range of the probability ratio."""
    cliprange_value: float = Field(default=0.2, gt=0)
    """Clip range of value updates."""
    vf_coef: float = Field(default=0.1, ge=0)
    """Weight of the value loss."""
    critic: Literal["separate", "shared"] = "separate"
    """A model of its own, started from the reward model; or a value head on the policy's own backbone, which takes
    half the time and memory, but the value loss then moves the policy, too."""
    kl_coef: float = Field(default=0.02, ge=0)
    """beta: weight of the KL penalty (its first value, where the controller is adaptive); its unit is reward a nat."""
    kl_penalty: Literal["reward", "loss"] = "reward"
    """Where the penalty is: in the reward of each token, -beta (logp - ref_logp), so that a token answers for the KL
    of all that follow (Ziegler et al. 1909.08593); or in the loss of each token, beta/2 (logp - ref_logp)^2, whose
    gradient on fresh samples is that of the token's own KL (Liu et al. 2510.01555)."""
    kl_target: float | None = Field(default=None, gt=0)
    """Target of the adaptive controller, in nats a sequence; none: beta is fixed."""
    kl_horizon: int = Field(default=10000, gt=0)
    """Sequences over which the adaptive controller reacts (Ziegler et al. 1909.08593)."""
    target_kl: float | None = Field(default=None, gt=0)
    """End the passes over a rollout batch before the first mini-batch on which the policy is more than 1.5 times this
    from the one that wrote it, in nats a token (k3); none: always all passes. The rule of OpenAI's Spinning Up."""
    missing_eos_penalty: float | None = None
    """Score that *replaces* the reward of a completion without EOS; none: such completions are scored as they
    are."""
    reward_clip: float | None = Field(default=None, gt=0)
    """Clip scores to at most this far from 0 (DeepSpeed-Chat, 2308.01320, takes 5); none: no clipping. The share that
    was clipped is a metric."""
    whiten_rewards: bool = False
    """Scale token rewards to variance 1, without shifting their mean."""
    bf16: bool = False
    """Compute in bfloat16 (weights and optimizer states stay float32)."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: less memory, a third more time."""

    @model_validator(mode="after")
    def _controller_keeps_its_sign(self) -> Self:
        if self.kl_target is not None and self.rollout_batch_size >= 5 * self.kl_horizon:
            raise ValueError(
                f"kl_horizon ({self.kl_horizon}) is too short for rollout_batch_size ({self.rollout_batch_size}): one "
                "step could turn the KL penalty negative. Set it above a fifth of the batch, better to many batches"
            )
        return self


class GroupConfig(Section):
    """Settings of RLOO and GRPO only: groups of completions of one prompt, each other's baseline.

    All else, from steps and batch sizes to the learning rate and the KL penalty, they have in common with PPO and read
    from there, so that `algorithm` changes the algorithm alone. They have no use for PPO's critic and its settings,
    `lam` and `num_ppo_epochs`, GRPO (whose penalty is in the loss) none for `kl_penalty`, RLOO none for `loss_type` and
    `scale_rewards`, PPO none for this section; a run says at its start which of these are set. What would change the
    objective is refused: `gamma`, `whiten_rewards`, `kl_target`, `target_kl`, and for RLOO `kl_penalty: loss`.
    """

    num_generations: int = Field(default=4, gt=1)
    """Completions a prompt; a step rolls out rollout_batch_size / num_generations prompts. RLOO's authors take 2 and
    4 (2402.14740)."""
    num_iterations: int = Field(default=1, gt=0)
    """Epochs over a rollout batch (one, as in both papers: then no ratio is clipped where a batch is one update)."""
    loss_type: Literal["dr_grpo", "dapo", "grpo"] = "dr_grpo"
    """What GRPO divides the sum over tokens by: max_new_tokens, so that a token weighs the same in short and long
    completions (Liu et al. 2503.20783); the batch's tokens (Yu et al. 2503.14476); each completion's own, which favours
    short good and long bad ones (the paper)."""
    scale_rewards: Literal["none", "group", "batch"] = "none"
    """What GRPO divides scores by: nothing, so that kl_coef means what it means in PPO and completions of one token
    reach the same optimum, pi_ref exp(r / kl_coef) / Z; their standard deviation over a prompt's completions (the
    paper), which makes the penalty weaker where scores lie close together; or over the batch."""
