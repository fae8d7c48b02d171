"""Predict the memory of models without loading their weights.

What a backward pass keeps is not estimated by a formula: the model runs on torch's `meta` device, where tensors have
shapes and no contents, and the sizes of all tensors that it would save are added up.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from frft.config.sections import LoraConfig, PolicyConfig
from frft.models import add_adapters, build_causal_lm, train_tokenizer
from frft.models.loading import load_model_config

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

FLOAT = 4
"""Bytes of a float32, the type of weights, gradients and moments; activations in bfloat16 take half."""


def machine_memory() -> int:
    """Physical memory of this machine in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def policy_on_meta(config: PolicyConfig) -> PreTrainedModel:
    """The policy on the meta device: shapes without weights."""
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
    """A reward model with the backbone of this configuration on the meta device: shapes without weights."""
    import copy

    import torch
    from transformers import AutoModelForSequenceClassification

    own = copy.deepcopy(config)
    own.num_labels = 1
    # Classifiers refuse batches without a padding token; which one it is does not change any size.
    own.get_text_config().pad_token_id = 0
    with torch.device("meta"):
        return AutoModelForSequenceClassification.from_config(own, trust_remote_code=trust_remote_code)


def weight_bytes(model: Any, *, trained: bool = False) -> int:
    """Bytes of a model's weights in float32; `trained`: only of those with a gradient."""
    return FLOAT * sum(int(each.numel()) for each in model.parameters() if each.requires_grad or not trained)


def kept_for_backward(model: Any, rows: int, length: int, **inputs: Any) -> int:
    """Bytes of the activations that a forward pass over (rows, length) tokens saves for its backward pass."""
    import torch

    own = {each.untyped_storage()._cdata for each in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        # Attention on `meta` saves (rows, heads, length, length) matrices, which the fused kernels of real devices do
        # not: they are left out.
        of_pairs = tensor.shape[-2:] == (length, length) and (tensor.ndim == 4 or tensor.shape[0] != rows)
        if storage._cdata not in own and not of_pairs:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    ids = torch.zeros(rows, length, dtype=torch.long, device="meta")
    # A 4-dimensional mask is used as it is. Of one of (rows, length), models read the values (is it all ones?), and
    # meta tensors have none.
    mask = torch.ones(rows, 1, length, length, dtype=torch.bool, device="meta")
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(input_ids=ids, attention_mask=mask, **inputs)
        found = sum(kept.values())
        del output
    return found


def adapted_on_meta(model: Any, lora: LoraConfig, task: Any) -> Any:
    """Add LoRA adapters to a model on the meta device; `model` itself is changed."""
    import torch

    with torch.device("meta"):
        return add_adapters(model, lora, task, seed=0)
