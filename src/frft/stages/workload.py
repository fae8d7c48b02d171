"""What the stages of a run work on, by size: from it, each stage reckons what it costs and what it holds.

Costs count 2 operations a weight and token forward, and 4 more backward. Memory counts weights, gradients and Adam's
two moments of what is trained, and the larger of: what the largest micro-batch keeps for its backward pass, or the
cache of the largest batch that is sampled. For memory, sequences are taken as long as the settings allow.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from frft.config.sections import PolicyConfig, RewardModelConfig, SamplingConfig, TrainConfig
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
"""Parameters of all-MiniLM-L6-v2 without the token table, which costs no FLOPs; the cost of others is proportional."""

EMBEDDING = 300 * 2**20
"""Its batches of 64 texts of 256 tokens, beyond which it reads no further."""

EMBEDDED_AT_ONCE, EMBEDDING_TOKENS, EMBEDDING_WIDTH = 64, 256, 384

LOGIT_COPIES = 5
"""Tensors as large as the logits that are there at once in a backward pass: logits, log-probabilities, probabilities,
and the gradients of the first two."""

MEASURED_TOKENS = 4096
"""Tokens per batch in `frft.policy.divergence` and `frft.policy.likelihood`."""

SAMPLED_AT_ONCE = 64
"""Prompts per batch in `frft.policy.generation`."""


@dataclass(frozen=True, eq=False)
class Workload:
    """Shapes of a run's models and lengths of its texts, from which cost and memory are predicted.

    Attributes:
        policy_config: the policy.
        sequence: tokens of a prompt with its completion, the mean.
        completion: tokens of a completion at most.
        texts: how many texts a selection embeds at most.
        longest_text: tokens of the longest of them, about.
    """

    policy_config: PolicyConfig
    sequence: float
    completion: int
    texts: int
    longest_text: float
    _reckoned: dict[Hashable, float] = field(default_factory=dict, repr=False)

    def once(self, key: Hashable, reckon: Callable[[], float]) -> float:
        """What `reckon` returns, called once for each key: shapes of large models take a while to run through."""
        if key not in self._reckoned:
            self._reckoned[key] = reckon()
        return self._reckoned[key]

    @cached_property
    def policy(self) -> PreTrainedModel:
        """The policy without its weights."""
        return policy_on_meta(self.policy_config)

    @cached_property
    def parameters(self) -> int:
        """Weights of the policy; a reward model is taken to have as many."""
        return int(self.policy.num_parameters())

    def flops(self, tokens: float) -> float:
        """FLOPs of a forward pass of the policy or a reward model over so many tokens; training takes 3 times that."""
        # One multiplication and one addition per weight and token; attention over the context is left out.
        return 2 * self.parameters * tokens

    def embedding_flops(self, tokens: float) -> float:
        """FLOPs of embedding so many tokens."""
        return 2 * EMBEDDER_PARAMETERS * tokens

    @cached_property
    def policy_bytes(self) -> int:
        """Memory of the policy's weights."""
        return weight_bytes(self.policy)

    def classifier_bytes(self, config: RewardModelConfig) -> float:
        """Memory of a reward model's weights."""
        return self.once(("classifier", config.model_name_or_path), lambda: weight_bytes(self.classifier(config)))

    def classifier(self, config: RewardModelConfig) -> PreTrainedModel:
        """A new reward model on the meta device: shapes without weights. New at every call: adapters change a model."""
        trust, name = self.policy_config.trust_remote_code, config.model_name_or_path
        return classifier_on_meta(
            self.policy.config if name is None else load_model_config(name, trust_remote_code=trust),
            trust_remote_code=trust,
        )

    def classifier_training_bytes(self, config: RewardModelConfig) -> float:
        """Memory that training a reward model takes."""

        def reckon() -> float:
            model = self.classifier(config)
            frozen = weight_bytes(model)
            if config.lora is not None:
                model = adapted_on_meta(model, config.lora, "SEQ_CLS")
            pairs = 2 * config.train.per_device_train_batch_size
            kept = self.backward_bytes(model, config.train, pairs, use_cache=False)
            return frozen + 3 * weight_bytes(model, trained=True) + kept

        return self.once(("classifier training", config.model_dump_json()), reckon)

    def backward_bytes(self, model: Any, train: TrainConfig, rows: int, **inputs: Any) -> float:
        """Memory that a forward pass over so many sequences keeps for its backward pass."""
        kept = kept_for_backward(model, rows, train.max_length, **inputs) * (0.5 if train.bf16 else 1.0)
        return self.checkpointed_bytes(kept, rows * train.max_length) if train.gradient_checkpointing else kept

    def checkpointed_bytes(self, kept: float, tokens: int) -> float:
        """Memory of that pass with gradient checkpointing: the input of every block, and one block's activations."""
        text = self.policy.config.get_text_config()
        layers: int = text.num_hidden_layers
        return kept / layers + FLOAT * tokens * int(text.hidden_size) * layers

    def sampling_bytes(self, sampling: SamplingConfig, rows: int) -> int:
        """The cache of keys and values, and the probabilities of the next token, in float32 and float64."""
        text = self.policy.config.get_text_config()
        heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
        width = heads * (getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads)
        length = sampling.max_prompt_tokens + sampling.max_new_tokens
        return FLOAT * rows * int(2 * text.num_hidden_layers * width * length + 6 * self._vocabulary)

    def logit_bytes(self, positions: int) -> int:
        """The logits of so many positions, and what is computed from them."""
        return LOGIT_COPIES * FLOAT * positions * self._vocabulary

    def measuring_bytes(self, sampling: SamplingConfig) -> int:
        """The logits of a batch of texts whose likelihoods are measured."""
        share = sampling.max_new_tokens / (sampling.max_prompt_tokens + sampling.max_new_tokens)
        return self.logit_bytes(int(MEASURED_TOKENS * share))

    def embedding_bytes(self) -> float:
        """The vectors of all texts, and the embedder's largest batch."""
        fullness = min(1.0, self.longest_text / EMBEDDING_TOKENS) * min(1.0, self.texts / EMBEDDED_AT_ONCE)
        return EMBEDDING * fullness + 3 * FLOAT * EMBEDDING_WIDTH * self.texts

    @property
    def _vocabulary(self) -> int:
        return int(self.policy.config.get_text_config().vocab_size)


def trained_pairs(train: TrainConfig, pairs: float) -> float:
    """Number of pairs processed by a training, over all its epochs."""
    batch = train.per_device_train_batch_size * train.gradient_accumulation_steps
    return float(train.max_steps * batch if train.max_steps else pairs * train.num_train_epochs)
