"""The sections of a run's configuration. Each field is read somewhere; a test proves it.

Names follow Hugging Face's where it has one. Units stand in the descriptions.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

Strategy = Literal["part1", "part2", "part3", "part4", "either", "random", "all"]


class Section(BaseModel):
    """Base of all sections: immutable, unknown keys refused, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        # To Python True is 1; in a configuration `seed: true` is a mistake.
        annotation = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, bool) and annotation is not bool:
            raise PydanticCustomError("truth_value", "must not be true or false")
        return value


class DataConfig(Section):
    """Where the preference pairs come from, and which rows serve which purpose."""

    pairs: str | list[str] = Field(min_length=1)
    """Files, folders, globs, or the id of a data set on the Hub."""
    split: str = "train"
    """The split of a Hub data set."""
    prompt_key: str | None = None
    """Column of the prompt, where it has an unusual name."""
    chosen_key: str | None = None
    """Column of the preferred completion, where it has an unusual name."""
    rejected_key: str | None = None
    """Column of the other completion, where it has an unusual name."""
    max_rejected: float = Field(default=0.01, ge=0, le=1)
    """Largest share of unusable rows; more is an error."""
    judge_fraction: float = Field(default=0.25, gt=0, lt=1)
    """Share of the prompts whose pairs train the judge and nothing else."""
    evaluation_fraction: float = Field(default=0.1, gt=0, lt=1)
    """Share of the prompts kept for evaluation; no model is trained on them."""
    sft_fraction: float = Field(default=0.5, gt=0, le=1)
    """Share of the remaining prompts whose chosen completions train the SFT model (the paper: half)."""
    limit: int | None = Field(default=None, gt=0)
    """Use only this many pairs, drawn at random, for a smoke run."""

    @model_validator(mode="after")
    def _something_is_left(self) -> Self:
        if self.judge_fraction + self.evaluation_fraction >= 1:
            raise ValueError(
                f"judge_fraction ({self.judge_fraction}) and evaluation_fraction "
                f"({self.evaluation_fraction}) leave no pairs to train on; their sum must be below 1"
            )
        keys = [key for key in (self.prompt_key, self.chosen_key, self.rejected_key) if key is not None]
        if len(set(keys)) < len(keys):
            raise ValueError(
                f"prompt_key, chosen_key and rejected_key must be different columns, got {', '.join(keys)}"
            )
        return self


class ScratchConfig(Section):
    """A causal language model with random weights, and a byte-level BPE tokenizer trained on the data."""

    architecture: Literal["gpt2", "llama"] = "gpt2"
    """The Transformers family of the model."""
    vocab_size: int = Field(default=4096, ge=300)
    """Tokens in the vocabulary; at least the 256 bytes and the special tokens."""
    hidden_size: int = Field(default=192, gt=0)
    """Width of the residual stream."""
    num_hidden_layers: int = Field(default=4, gt=0)
    """Transformer blocks."""
    num_attention_heads: int = Field(default=4, gt=0)
    """Attention heads; divides hidden_size."""
    max_position_embeddings: int = Field(default=512, gt=0)
    """Longest sequence in tokens."""

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size ({self.hidden_size}) must be a multiple of num_attention_heads "
                f"({self.num_attention_heads})"
            )
        return self


class TrainConfig(Section):
    """Supervised training by TRL; the names are those of TrainingArguments."""

    num_train_epochs: float = Field(default=1.0, gt=0)
    """Passes over the data."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """Peak learning rate."""
    per_device_train_batch_size: int = Field(default=16, gt=0)
    """Examples (or pairs) a step and device."""
    gradient_accumulation_steps: int = Field(default=1, gt=0)
    """Batches summed before a step."""
    warmup_ratio: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps over which the learning rate rises."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's weight decay."""
    max_length: int = Field(default=256, gt=1)
    """Longest sequence in tokens; longer prompts lose their beginning, longer completions their end; both are
    counted."""
    bf16: bool = False
    """Arithmetic in bfloat16 (weights and optimizer stay float32)."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: less memory, a third more time."""


class LoraConfig(Section):
    """Low-rank adapters by PEFT."""

    r: int = Field(default=8, gt=0)
    """Rank."""
    lora_alpha: int = Field(default=16, gt=0)
    """Scale."""
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout on the adapters' input."""
    target_modules: str | list[str] = "all-linear"
    """Modules that get adapters."""


class PolicyConfig(Section):
    """The language model that is trained."""

    model_name_or_path: str | None = None
    """A causal LM by name or folder; none: from scratch."""
    scratch: ScratchConfig = ScratchConfig()
    """The model built where no name is given."""
    trust_remote_code: bool = False
    """Run code that comes with the model."""
    sft: TrainConfig = TrainConfig(num_train_epochs=3, learning_rate=5e-4)
    """Supervised fine-tuning on the chosen completions."""
    lora: LoraConfig | None = None
    """In reinforcement learning, train adapters instead of all weights; the SFT model under them is the KL reference,
    without a second copy."""

    @field_validator("lora")
    @classmethod
    def _no_dropout(cls, lora: LoraConfig | None) -> LoraConfig | None:
        if lora is not None and lora.lora_dropout:
            raise ValueError(
                "lora_dropout must be 0 here: dropout is off in reinforcement learning, so that a ratio is 1 where "
                "nothing has changed"
            )
        return lora


class RewardModelConfig(Section):
    """Training of a reward model (and, alike, of the judge) on preference pairs."""

    model_name_or_path: str | None = None
    """A sequence-classification model or a backbone by name or folder; none: the SFT model with a fresh
    head."""
    train: TrainConfig = TrainConfig()
    """Bradley-Terry training."""
    center_rewards_coefficient: float | None = Field(default=None, ge=0)
    """Weight of the auxiliary loss that pulls scores to mean 0 (Eisenstein et al. 2312.09244, eq. 2)."""
    use_margin: bool = False
    """Pass the data's margin column into the loss."""
    lora: LoraConfig | None = None
    """Train adapters instead of all weights."""
    normalise_samples: int = Field(default=256, ge=0)
    """Shift and scale scores to mean 0, variance 1 on this many samples of the SFT model, also after every
    refresh; 0: leave them as they are."""


class EmbedderConfig(Section):
    """The Sentence-BERT model that says what is close to what."""

    model_name_or_path: str = "sentence-transformers/all-MiniLM-L6-v2"
    """A sentence-transformers model by name or folder."""
    trust_remote_code: bool = False
    """Run code that comes with the model."""
    batch_size: int = Field(default=64, gt=0)
    """Texts a batch."""


class SelectionConfig(Section):
    """Which pairs of the pool lie where the policy writes (METHOD: FRFT, section on the four filters)."""

    strategy: Strategy = "part1"
    """part1: both cosines above the threshold, top by their sum; part2: top half by chosen and top half by
    rejected; part3: top by rejected; part4: top by chosen; either: any cosine at or above the threshold;
    random; all."""
    threshold: float = Field(default=0.8, ge=-1, le=1)
    """Cosine that part1 must exceed and `either` must reach."""
    size: int = Field(default=2000, gt=0)
    """Pairs to train on; `all` takes whatever there is."""
    test_size: int = Field(default=200, ge=0)
    """Further pairs, kept by the same rule and drawn at random from the kept, to test on."""
    duplicates: Literal["once", "twice"] = "once"
    """part2's pairs that are top by both: taken once and the lists filled up from further down, or twice."""
    match: Literal["prompt", "nearest"] = "prompt"
    """Compare a pair with samples of its own prompt, or with its nearest sample."""


class SamplingConfig(Section):
    """How the policy writes."""

    temperature: float = Field(default=1.0, gt=0)
    """Softmax temperature; log-probabilities use the same."""
    top_k: int = Field(default=0, ge=0)
    """Sample from the k most likely tokens; 0: from all. Cut-off sampling biases the KL estimates, even below
    0, because log-probabilities are those of the whole distribution."""
    max_new_tokens: int = Field(default=128, gt=0)
    """Longest completion in tokens."""
    max_prompt_tokens: int = Field(default=256, gt=0)
    """Longest prompt in tokens; longer ones lose their beginning (counted)."""


class RefreshConfig(Section):
    """How an arm realigns its reward model: FRFT-alpha. `alpha: 0` is vanilla RLHF."""

    alpha: int = Field(default=1, ge=0)
    """Refreshes in the run."""
    at_steps: list[int] | None = None
    """PPO steps after which to refresh; none: evenly spaced."""
    selection: SelectionConfig = SelectionConfig()
    """The filter."""
    samples: Literal["fresh", "rollouts"] = "fresh"
    """Policy samples from a pass over the pool's prompts (the paper), or from the rollouts already made."""
    sampling: SamplingConfig | None = None
    """How fresh samples are written; none: as in PPO."""
    max_samples: int | None = Field(default=None, gt=0)
    """Most samples to use: fresh prompts drawn at random, or the newest rollouts; none: all."""
    init: Literal["sft", "current"] = "current"
    """Fine-tune from the SFT model with a fresh head (the authors), or from the current reward model."""
    kl_anchor: Literal["sft", "previous"] = "sft"
    """The KL reference after a refresh: the SFT model, or the policy at the refresh (the authors' code)."""
    num_train_epochs: float = Field(default=1.0, gt=0)
    """Passes over the selected pairs."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """Peak learning rate of the refresh."""

    def refresh_steps(self, total_steps: int) -> list[int]:
        """PPO steps after which to refresh: as listed, or alpha steps that cut the run into equal parts."""
        if self.at_steps is not None:
            return self.at_steps
        return [round(total_steps * part / (self.alpha + 1)) for part in range(1, self.alpha + 1)]

    @model_validator(mode="after")
    def _schedule(self) -> Self:
        if self.at_steps is not None:
            if len(self.at_steps) != self.alpha:
                raise ValueError(f"at_steps names {len(self.at_steps)} steps, but alpha is {self.alpha}")
            if any(step <= 0 for step in self.at_steps) or sorted(set(self.at_steps)) != self.at_steps:
                raise ValueError(f"at_steps must be positive and rising, got {self.at_steps}")
        if self.samples == "rollouts" and self.alpha > 0 and self.selection.match == "prompt":
            raise ValueError(
                "samples: rollouts covers only the prompts that were rolled out; use selection.match: nearest with it"
            )
        return self


class PPOConfig(Section):
    """Proximal policy optimisation with a critic (METHOD section 4; Huang et al. 2403.17031)."""

    total_steps: int = Field(default=32, gt=0)
    """Rollout batches in the run, over all segments."""
    rollout_batch_size: int = Field(default=64, gt=1)
    """Prompts a step."""
    mini_batch_size: int = Field(default=64, gt=0)
    """Sequences an optimizer step."""
    forward_batch_tokens: int = Field(default=1024, gt=0)
    """Tokens a forward pass and process, padding included; a mini-batch with more is accumulated. Less needs less
    memory and changes nothing else (beyond rounding)."""
    save_steps: int | None = Field(default=None, gt=0)
    """Save the state of the training after every so many steps, to go on from there if the run is stopped; none: as
    often as costs a fiftieth of the time. Changes no result."""
    num_ppo_epochs: int = Field(default=4, gt=0)
    """Passes over a rollout batch, each with a fresh permutation."""
    sampling: SamplingConfig = SamplingConfig()
    """How rollouts are sampled."""
    learning_rate: float = Field(default=5e-6, gt=0)
    """Actor's Adam learning rate; falls linearly to 0."""
    critic_learning_rate: float = Field(default=9e-6, gt=0)
    """Critic's."""
    adam_epsilon: float = Field(default=1e-5, gt=0)
    """Adam's epsilon."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradient clipping, of actor and critic each."""
    gamma: float = Field(default=1.0, ge=0, le=1)
    """Discount a token."""
    lam: float = Field(default=0.95, ge=0, le=1)
    """Lambda of generalised advantage estimation."""
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
    """Arithmetic in bfloat16 (weights and optimizers stay float32)."""
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
    """What RLOO and GRPO have of their own: groups of completions of one prompt, each other's baseline.

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
    """Passes over a rollout batch (one, as in both papers: then no ratio is clipped where a batch is one update)."""
    loss_type: Literal["dr_grpo", "dapo", "grpo"] = "dr_grpo"
    """What GRPO divides the sum over tokens by: max_new_tokens, so that a token weighs the same in short and long
    completions (Liu et al. 2503.20783); the batch's tokens (Yu et al. 2503.14476); each completion's own, which favours
    short good and long bad ones (the paper)."""
    scale_rewards: Literal["none", "group", "batch"] = "none"
    """What GRPO divides scores by: nothing, so that kl_coef means what it means in PPO and completions of one token
    reach the same optimum, pi_ref exp(r / kl_coef) / Z; their standard deviation over a prompt's completions (the
    paper), which makes the penalty weaker where scores lie close together; or over the batch."""


class EvaluationConfig(Section):
    """The comparison of arms."""

    prompts: str | None = None
    """A file of evaluation prompts (column `prompt`); none: the held-out share of the pairs."""
    max_prompts: int = Field(default=300, gt=1)
    """Most prompts to use; drawn at random where there are more (counted)."""
    sampling: SamplingConfig | None = None
    """How evaluation completions are sampled; none: as in PPO."""
    bootstrap_resamples: int = Field(default=2000, ge=100)
    """Resamples of prompts for the interval."""
    tie_margin: float = Field(default=0.0, ge=0)
    """Judge scores closer than this are a tie."""
