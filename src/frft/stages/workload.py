"""Sizes of a run's models and texts, from which each stage predicts its FLOPs and its peak memory.

FLOPs: 2 per weight and token for a forward pass, and 4 more for the backward pass. Memory: weights, gradients and
Adam's two moments of what is trained, and the larger of the activations that the largest micro-batch saves for its
backward pass and the key-value cache of the largest sampled batch. For memory, all sequences are as long as the
settings allow.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from frft.config.sections import PolicyConfig, RewardModelConfig, SamplingConfig, TrainConfig
from frft.models.heads import frozen_backbone
from frft.models.loading import load_model_config
from frft.stages.memory import (
    FLOAT,
    adapted_on_meta,
    classifier_on_meta,
    kept_for_backward,
    policy_on_meta,
    weight_bytes,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel

EMBEDDER_PARAMETERS = 10_600_000
"""Parameters of the embedder all-MiniLM-L6-v2 without its token embeddings, whose look-up costs no FLOPs. Other
embedders are counted like it; their true cost is in proportion to their parameters."""

EMBEDDING = 300 * 2**20
"""Bytes that the embedder takes for a full batch of 64 texts of 256 tokens, measured."""

EMBEDDED_AT_ONCE, EMBEDDING_TOKENS, EMBEDDING_WIDTH = 64, 256, 384
"""The embedder's batch size, its longest text in tokens (longer ones are cut), and the dimension of its vectors."""

LOGIT_COPIES = 5
"""Number of tensors of the size of the logits that exist at once in a backward pass: logits, log-probabilities,
probabilities, and the gradients of the first two."""

MEASURED_TOKENS = 4096
"""Tokens per batch in `frft.policy.divergence` and `frft.policy.likelihood`."""

SAMPLED_AT_ONCE = 64
"""Prompts per batch in `frft.policy.generation`."""


@dataclass(frozen=True, eq=False)
class Workload:
    """Shapes of a run's models and lengths of its texts, from which cost and memory are predicted.

    Attributes:
        policy_config: settings of the policy.
        sequence: mean number of tokens of a prompt with its completion.
        completion: largest number of tokens of a completion.
        texts: largest number of texts that a selection embeds.
        longest_text: estimated number of tokens of the longest of them.
    """

    policy_config: PolicyConfig
    sequence: float
    completion: int
    texts: int
    longest_text: float
    _reckoned: dict[Hashable, float] = field(default_factory=dict, repr=False)

    def once(self, key: Hashable, reckon: Callable[[], float]) -> float:
        """The value of `reckon()`, computed once for each key: a large model takes seconds even on the meta device."""
        if key not in self._reckoned:
            self._reckoned[key] = reckon()
        return self._reckoned[key]

    @cached_property
    def policy(self) -> PreTrainedModel:
        """The policy on the meta device: shapes without weights."""
        return policy_on_meta(self.policy_config)

    @cached_property
    def parameters(self) -> int:
        """Number of the policy's parameters; a reward model is assumed to have as many."""
        return int(self.policy.num_parameters())

    def flops(self, tokens: float) -> float:
        """FLOPs of a forward pass of the policy or a reward model over `tokens` tokens; training takes 3 times that."""
        # One multiplication and one addition per weight and token; attention over the context is left out.
        return 2 * self.parameters * tokens

    def read_tokens(self, config: RewardModelConfig) -> float:
        """Number of tokens of a text as a reward model reads it: with its prompt, or without."""
        return self.completion if config.reads == "completion" else self.sequence

    def embedding_flops(self, tokens: float) -> float:
        """FLOPs of embedding `tokens` tokens."""
        return 2 * EMBEDDER_PARAMETERS * tokens

    @cached_property
    def policy_bytes(self) -> int:
        """Bytes of the policy's weights."""
        return weight_bytes(self.policy)

    def classifier_bytes(self, config: RewardModelConfig) -> float:
        """Bytes of a reward model's weights."""
        return self.once(("classifier", config.model_name_or_path), lambda: weight_bytes(self.classifier(config)))

    def classifier(self, config: RewardModelConfig) -> PreTrainedModel:
        """A new reward model on the meta device: shapes without weights. New at every call: adapters change a model."""
        trust, name = self.policy_config.trust_remote_code, config.model_name_or_path
        return classifier_on_meta(
            self.policy.config if name is None else load_model_config(name, trust_remote_code=trust),
            trust_remote_code=trust,
        )

    def classifier_training_bytes(self, config: RewardModelConfig) -> float:
        """Bytes that training a reward model takes: its weights, gradients, moments and saved activations."""

        def reckon() -> float:
            model = self.classifier(config)
            frozen = weight_bytes(model)
            if config.lora is not None:
                model = adapted_on_meta(model, config.lora, "SEQ_CLS")
            # Both completions of a pair go through the model in one batch.
            pairs = 2 * config.train.per_device_train_batch_size
            if config.freeze_backbone:
                return frozen + self._head_training_bytes(model, config.train, pairs)
            kept = self.backward_bytes(model, config.train, pairs, use_cache=False)
            return frozen + 3 * weight_bytes(model, trained=True) + kept

        return self.once(("classifier training", config.model_dump_json()), reckon)

    def _head_training_bytes(self, model: PreTrainedModel, train: TrainConfig, rows: int) -> float:
        """Bytes that training a head takes beside the model: gradients, moments, and activations.

        Of a frozen backbone nothing is kept for the backward pass, and gradient checkpointing saves nothing: while it
        runs, it holds the activations of one block after another.
        """
        at_once = train.model_copy(update={"gradient_checkpointing": False})
        blocks: int = model.config.get_text_config().num_hidden_layers
        block = self.backward_bytes(model, at_once, rows, use_cache=False) / blocks
        with frozen_backbone(model):
            kept = self.backward_bytes(model, at_once, rows, use_cache=False)
            return 3 * weight_bytes(model, trained=True) + kept + block

    def backward_bytes(self, model: Any, train: TrainConfig, rows: int, **inputs: Any) -> float:
        """Bytes of the activations that a forward pass over `rows` sequences saves for its backward pass."""
        kept = kept_for_backward(model, rows, train.max_length, **inputs) * (0.5 if train.bf16 else 1.0)
        return self.checkpointed_bytes(kept, rows * train.max_length) if train.gradient_checkpointing else kept

    def checkpointed_bytes(self, kept: float, tokens: int) -> float:
        """Bytes of saved activations with gradient checkpointing: every block's input, and one block's activations.

        Args:
            kept: bytes that are saved without checkpointing.
            tokens: number of tokens in the batch.
        """
        text = self.policy.config.get_text_config()
        layers: int = text.num_hidden_layers
        return kept / layers + FLOAT * tokens * int(text.hidden_size) * layers

    def sampling_bytes(self, sampling: SamplingConfig, rows: int) -> int:
        """Bytes that sampling `rows` completions takes: the key-value cache, and the next token's probabilities."""
        text = self.policy.config.get_text_config()
        heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
        width = heads * (getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads)
        length = sampling.max_prompt_tokens + sampling.max_new_tokens
        # 2: keys and values. 6: tensors of the vocabulary's size, in float32 or, counted twice, in float64.
        return FLOAT * rows * int(2 * text.num_hidden_layers * width * length + 6 * self._vocabulary)

    def logit_bytes(self, positions: int) -> int:
        """Bytes of the logits of `positions` tokens, and of what is computed from them in a backward pass."""
        return LOGIT_COPIES * FLOAT * positions * self._vocabulary

    def measuring_bytes(self, sampling: SamplingConfig) -> int:
        """Bytes of the logits of one batch of texts whose likelihoods are measured; only completions have logits."""
        share = sampling.max_new_tokens / (sampling.max_prompt_tokens + sampling.max_new_tokens)
        return self.logit_bytes(int(MEASURED_TOKENS * share))

    def embedding_bytes(self) -> float:
        """Bytes of the embedder's largest batch and of the vectors of all texts, which exist in up to three copies."""
        fullness = min(1.0, self.longest_text / EMBEDDING_TOKENS) * min(1.0, self.texts / EMBEDDED_AT_ONCE)
        return EMBEDDING * fullness + 3 * FLOAT * EMBEDDING_WIDTH * self.texts

    @property
    def _vocabulary(self) -> int:
        return int(self.policy.config.get_text_config().vocab_size)


def training_passes(config: RewardModelConfig) -> int:
    """Cost of training on a text, in forward passes: with gradients, three; over a frozen backbone, one."""
    # The gradients of a linear head cost nothing beside the backbone.
    return 1 if config.freeze_backbone else 3


def trained_pairs(train: TrainConfig, pairs: float) -> float:
    """Number of pairs that a training processes over all its epochs, or in `max_steps` steps; `pairs`: its pairs."""
    batch = train.per_device_train_batch_size * train.gradient_accumulation_steps
    return float(train.max_steps * batch if train.max_steps else pairs * train.num_train_epochs)
