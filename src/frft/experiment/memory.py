"""The most memory that a stage will hold, predicted from the shapes of its models before anything is loaded.

A stage holds the process itself, weights, gradients and Adam's two moments of what it trains, and the larger of: what
the largest micro-batch keeps for its backward pass, or the cache of the largest batch that is sampled. What is kept for
the backward pass is not guessed from a formula: models run on torch's `meta` device, where tensors have shapes and no
contents, and what they would keep is added up. Text does not enter: sequences are taken as long as the settings allow.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from frft.config import RunConfig
from frft.config.sections import PolicyConfig, RewardModelConfig, SamplingConfig, TrainConfig
from frft.models import add_adapters, build_causal_lm, train_tokenizer
from frft.models.loading import load_model_config

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

FLOAT = 4
"""Bytes of a float32, of which weights, gradients and moments are; arithmetic in bfloat16 takes half."""

LIBRARIES_BYTES = 350 * 2**20
"""What TRL, PEFT, datasets and sentence-transformers, imported when they are first needed, and the caches of the
arithmetic add to the process: 90 MiB after a first stage, 380 after many, measured with 2.7 million parameters."""

EMBEDDER = 300 * 2**20
"""all-MiniLM-L6-v2, which stays loaded after a first selection; a larger embedder takes more."""

EMBEDDING = 300 * 2**20
"""Its batches of 64 texts of 256 tokens, beyond which it reads no further."""

EMBEDDED_AT_ONCE, EMBEDDING_TOKENS, EMBEDDING_WIDTH = 64, 256, 384

LOGIT_COPIES = 5
"""Tensors as large as the logits that are there at once in a backward pass: logits, log-probabilities, probabilities,
and the gradients of the first two."""

MEASURED_TOKENS = 4096
"""Tokens a batch of `frft.policy.divergence`."""

SAMPLED_AT_ONCE = 64
"""Prompts a batch of `frft.policy.generation`."""


def machine_memory() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def policy_on_meta(config: PolicyConfig) -> PreTrainedModel:
    """The policy without its weights."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        if config.model_name_or_path is None:
            model = build_causal_lm(config.scratch, train_tokenizer(["a"], config.scratch), 0)
            # The tokenizer is not trained yet; a full vocabulary is the likely outcome.
            model.resize_token_embeddings(config.scratch.vocab_size, mean_resizing=False)
            return model
        trust = config.trust_remote_code
        model_config = load_model_config(config.model_name_or_path, trust_remote_code=trust)
        return AutoModelForCausalLM.from_config(model_config, trust_remote_code=trust)


def classifier_on_meta(config: PretrainedConfig, *, trust_remote_code: bool) -> PreTrainedModel:
    """A reward model on the backbone of this configuration, without its weights."""
    import copy

    import torch
    from transformers import AutoModelForSequenceClassification

    own = copy.deepcopy(config)
    own.num_labels = 1
    own.get_text_config().pad_token_id = 0
    with torch.device("meta"):
        return AutoModelForSequenceClassification.from_config(own, trust_remote_code=trust_remote_code)


def weights(model: Any, *, trained: bool = False) -> int:
    """Bytes of a model's weights, or of those of them that are trained."""
    return FLOAT * sum(int(each.numel()) for each in model.parameters() if each.requires_grad or not trained)


def kept_for_backward(model: Any, rows: int, length: int, **inputs: Any) -> int:
    """Bytes of what a forward pass over `rows` sequences of `length` tokens keeps until its backward pass."""
    import torch

    own = {each.untyped_storage()._cdata for each in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        # Fused attention, which `meta` does not have, keeps no matrices of all pairs of positions for every head.
        of_pairs = tensor.shape[-2:] == (length, length) and (tensor.ndim == 4 or tensor.shape[0] != rows)
        if storage._cdata not in own and not of_pairs:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    ids = torch.zeros(rows, length, dtype=torch.long, device="meta")
    # A mask of all pairs of positions, because models look into one of positions.
    mask = torch.ones(rows, 1, length, length, dtype=torch.bool, device="meta")
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(input_ids=ids, attention_mask=mask, **inputs)
        found = sum(kept.values())
        del output
    return found


@dataclass(frozen=True)
class MemoryModel:
    """Predicts for one run.

    Attributes:
        config: the run.
        policy: its policy without weights.
        texts: how many texts a selection looks at, at most.
        longest_text: tokens of the longest of them, about.
        process: bytes that the process holds before its first stage.
    """

    config: RunConfig
    policy: PreTrainedModel
    texts: int
    longest_text: float
    process: int

    def peak(self, kind: str, *, embedder: bool = False) -> int:
        """Bytes that the process holds at most in a stage of this kind; `embedder`: one was loaded before, or is now.

        A selection without an embedder looks at nothing.
        """
        held = self.process + LIBRARIES_BYTES + (EMBEDDER if embedder else 0)
        return held if kind == "selection" and not embedder else held + int(getattr(self, f"_{kind}")())

    def _sft(self) -> float:
        train = self.config.policy.sft
        logits = self._logits(train.per_device_train_batch_size * train.max_length)
        kept = self._kept(self.policy, train, train.per_device_train_batch_size, use_cache=False)
        return 4 * weights(self.policy) + kept + logits

    def _reward(self) -> float:
        return self._classifier_training(self.config.reward)

    def _judge(self) -> float:
        return self._classifier_training(self.config.judge_model)

    def _refresh(self) -> float:
        # The model before it is loaded, too, where it has a scale to keep or test pairs to be compared on.
        return self._classifier_training(self.config.reward) + weights(self._classifier(self.config.reward))

    def _classifier_training(self, config: RewardModelConfig) -> float:
        model = self._classifier(config)
        frozen = weights(model)
        if config.lora is not None:
            model = _adapted(model, config.lora, "SEQ_CLS")
        pairs = 2 * config.train.per_device_train_batch_size
        return frozen + 3 * weights(model, trained=True) + self._kept(model, config.train, pairs, use_cache=False)

    def _completions(self) -> int:
        # What the arm scores with stays loaded after its training.
        scoring = self._members * weights(self._classifier(self.config.reward))
        return scoring + weights(self.policy) + self._sampling(self.config.ppo.sampling, SAMPLED_AT_ONCE)

    def _evaluation(self) -> int:
        # The base reward model and the arm's, and, where gold does not judge, the judge.
        judges = (1 + self._members) * weights(self._classifier(self.config.reward))
        if self.config.data.world is None:
            judges += weights(self._classifier(self.config.judge_model))
        sampling = self.config.evaluation.sampling or self.config.ppo.sampling
        share = sampling.max_new_tokens / (sampling.max_prompt_tokens + sampling.max_new_tokens)
        return judges + 2 * weights(self.policy) + self._logits(int(MEASURED_TOKENS * share))

    def _likelihoods(self) -> int:
        sampling = self.config.ppo.sampling
        share = sampling.max_new_tokens / (sampling.max_prompt_tokens + sampling.max_new_tokens)
        return weights(self.policy) + self._logits(int(MEASURED_TOKENS * share))

    def _labelled(self) -> int:
        return 0  # beside the process, a table of texts

    _log_ratios = _labelled

    def _on_policy(self) -> int:
        return weights(self._classifier(self.config.reward))

    def _look(self) -> float:
        judge, reward = (weights(self._classifier(each)) for each in (self.config.judge_model, self.config.reward))
        return judge + (1 + self._members) * reward

    def _judged(self) -> int:
        return weights(self._classifier(self.config.judge_model))

    def _agreement(self) -> int:
        return self._judged() + self._members * weights(self._classifier(self.config.reward))

    def _gate(self) -> float:
        return max(2 * weights(self._classifier(self.config.reward)), self._selection())

    def _selection(self) -> float:
        fullness = min(1.0, self.longest_text / EMBEDDING_TOKENS) * min(1.0, self.texts / EMBEDDED_AT_ONCE)
        return EMBEDDING * fullness + 3 * FLOAT * EMBEDDING_WIDTH * self.texts

    _embedded = _selection

    def _ppo(self) -> int:
        config, lora = self.config.ppo, self.config.policy.lora
        policy, critic = policy_on_meta(self.config.policy), self._classifier(self.config.reward)
        shared = config.critic == "shared" or self.config.algorithm != "ppo"
        held = weights(policy) + self._members * weights(critic) + (0 if shared else weights(critic))
        if lora is None:
            held += weights(policy)  # the SFT model, the KL reference
        else:
            policy = _adapted(policy, lora, "CAUSAL_LM")
            critic = _adapted(critic, lora, "SEQ_CLS")
        if any(self.config.arm(name).kl_anchor == "previous" for name in self.config.arms):
            held += weights(self.policy)
        held += 3 * (weights(policy, trained=True) + (0 if shared else weights(critic, trained=True)))
        length = config.sampling.max_prompt_tokens + config.sampling.max_new_tokens
        rows = max(1, min(config.forward_batch_tokens // length, config.mini_batch_size))
        half = 0.5 if config.bf16 else 1.0
        kept = 0.0
        for model, more in ((policy, {"logits_to_keep": config.sampling.max_new_tokens + 1}), (critic, {})):
            if model is critic and shared:
                continue
            each = half * kept_for_backward(model, rows, length, use_cache=False, **more)
            kept += self._recomputed(each, rows * length) if config.gradient_checkpointing else each
        update = kept + self._logits(rows * config.sampling.max_new_tokens)
        # The policy as it is saved: with adapters merged into a copy, and as bytes.
        saving = (1 if lora is None else 2) * weights(self.policy)
        return held + int(max(update, saving, self._sampling(config.sampling, config.rollout_batch_size)))

    _rloo = _grpo = _ppo

    def _kept(self, model: Any, train: TrainConfig, rows: int, **inputs: Any) -> float:
        kept = kept_for_backward(model, rows, train.max_length, **inputs) * (0.5 if train.bf16 else 1.0)
        return self._recomputed(kept, rows * train.max_length) if train.gradient_checkpointing else kept

    def _recomputed(self, kept: float, tokens: int) -> float:
        """With gradient checkpointing: the input of every block, and all of one block."""
        text = self.policy.config.get_text_config()
        layers: int = text.num_hidden_layers
        return kept / layers + FLOAT * tokens * int(text.hidden_size) * layers

    def _sampling(self, sampling: SamplingConfig, rows: int) -> int:
        """The cache of keys and values, and the probabilities of the next token, in float32 and float64."""
        text = self.policy.config.get_text_config()
        heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
        width = heads * (getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads)
        length = sampling.max_prompt_tokens + sampling.max_new_tokens
        return FLOAT * rows * int(2 * text.num_hidden_layers * width * length + 6 * self._vocabulary)

    def _logits(self, positions: int) -> int:
        return LOGIT_COPIES * FLOAT * positions * self._vocabulary

    @property
    def _members(self) -> int:
        """The most reward models that an arm scores with: those of its ensemble."""
        return max(self.config.arm(name).ensemble for name in self.config.arms)

    @property
    def _vocabulary(self) -> int:
        return int(self.policy.config.get_text_config().vocab_size)

    def _classifier(self, config: RewardModelConfig) -> PreTrainedModel:
        trust = self.config.policy.trust_remote_code
        name = config.model_name_or_path
        return classifier_on_meta(
            self.policy.config if name is None else load_model_config(name, trust_remote_code=trust),
            trust_remote_code=trust,
        )


def _adapted(model: Any, lora: Any, task: Any) -> Any:
    import torch

    with torch.device("meta"):
        return add_adapters(model, lora, task, seed=0)
