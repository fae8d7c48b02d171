"""The memory that supervised fine-tuning is planned to hold."""

from __future__ import annotations

from frft.config.sections import PolicyConfig, ScratchConfig
from frft.stages.memory import FLOAT, kept_for_backward, policy_on_meta, weight_bytes

SCRATCH = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 500}


def test_training_holds_weights_gradients_moments_and_activations(held):
    config = PolicyConfig(scratch=ScratchConfig(**SCRATCH))
    policy, rows, length = policy_on_meta(config), config.sft.per_device_train_batch_size, config.sft.max_length
    activations = kept_for_backward(policy, rows, length, use_cache=False)
    logits = FLOAT * rows * length * 500
    found = held(policy={"scratch": SCRATCH})["sft"]
    assert found >= 4 * weight_bytes(policy) + activations + 2 * logits
    assert found <= 4 * weight_bytes(policy) + activations + 6 * logits
