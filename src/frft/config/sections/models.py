"""The models: the policy, the reward models, the embedder, and supervised training."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from frft.config.sections.base import Section


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
    max_steps: int | None = Field(default=None, gt=0)
    """Optimizer steps, over as many passes as they take; none: as num_train_epochs says."""
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
    chat_template: str = "auto"
    """How the policy reads conversations: auto (the tokenizer's own chat template, else plain HH-RLHF text), plain,
    none (contents alone), or the path of a file with a template."""
    sft: TrainConfig = TrainConfig(num_train_epochs=3, learning_rate=5e-4)
    """Supervised fine-tuning on the chosen completions."""
    lora: LoraConfig | None = None
    """In reinforcement learning, train adapters instead of all weights; the SFT model under them is the KL reference,
    without a second copy."""

    @model_validator(mode="after")
    def _has_a_template(self) -> Self:
        if self.chat_template != "auto" and self.model_name_or_path is None:
            raise ValueError(
                f"chat_template is {self.chat_template!r}, but a policy from scratch reads plain text; name a model by "
                "model_name_or_path, or leave chat_template out"
            )
        return self

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

    newer = frozenset({"freeze_backbone", "reads"})

    model_name_or_path: str | None = None
    """A sequence-classification model or a backbone by name or folder; none: the SFT model with a fresh
    head."""
    chat_template: str = "auto"
    """How it reads conversations: auto (what it was trained with, or its tokenizer's own chat template, else plain
    HH-RLHF text), plain, none (contents alone), or the path of a file with a template."""
    reads: Literal["conversation", "completion"] = "conversation"
    """What it is given of a text: conversation (prompt and completion), or completion, the completion without its
    prompt, in training and in scoring."""
    train: TrainConfig = TrainConfig()
    """Bradley-Terry training."""
    center_rewards_coefficient: float | None = Field(default=None, ge=0)
    """Weight of the auxiliary loss that pulls scores to mean 0 (Eisenstein et al. 2312.09244, eq. 2)."""
    use_margin: bool = False
    """Pass the data's margin column into the loss."""
    lora: LoraConfig | None = None
    """Train adapters instead of all weights."""
    freeze_backbone: bool = False
    """Train the head alone: where that is one linear layer, a model that is linear in what it reads of the backbone."""
    normalise_samples: int = Field(default=256, ge=0)
    """Shift and scale scores to mean 0, variance 1 on this many samples of the SFT model, also after every
    refresh; 0: leave them as they are."""

    @model_validator(mode="after")
    def _one_part_is_trained(self) -> Self:
        if self.freeze_backbone and self.lora is not None:
            raise ValueError(
                "freeze_backbone trains the head alone, and lora adapters in the backbone, too; set one of them"
            )
        return self


class EmbedderConfig(Section):
    """The Sentence-BERT model that says what is close to what."""

    model_name_or_path: str = "sentence-transformers/all-MiniLM-L6-v2"
    """A sentence-transformers model by name or folder."""
    trust_remote_code: bool = False
    """Run code that comes with the model."""
    batch_size: int = Field(default=64, gt=0)
    """Texts a batch."""
