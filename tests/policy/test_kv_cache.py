"""Buffers against Transformers' growing cache."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    DynamicCache,
    Gemma3TextConfig,
    GPT2Config,
    Llama4TextConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    Qwen3NextConfig,
)

from frft.policy.kv_cache import BufferCache, can_buffer

SMALL = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
LLAMA = LlamaConfig(**SMALL, intermediate_size=16, num_key_value_heads=1, max_position_embeddings=32)


def test_what_is_kept_is_what_a_growing_cache_keeps():
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(LLAMA).eval()
    ids = torch.randint(0, 50, (3, 7))
    growing, cache = DynamicCache(config=LLAMA), BufferCache(LLAMA, 3, 9)
    with torch.no_grad():
        model(input_ids=ids, past_key_values=growing)
        cache.cursor.to_prompts(slice(0, 2), 1, 6)
        model(input_ids=ids[:2, :5], past_key_values=cache)
        cache.cursor.to_prompts(slice(2, 3), 1, 6)
        model(input_ids=ids[2:, :5], past_key_values=cache)
        for t in (5, 6):
            cache.cursor.to_next_slot()
            seen = torch.tensor([[0] + [1] * (t + 1)] * 3)
            logits = model(
                input_ids=ids[:, [t]], attention_mask=seen, position_ids=torch.full((3, 1), t), past_key_values=cache
            ).logits
            assert cache.get_seq_length() == t + 1
        whole = model(input_ids=ids).logits[:, -1:]
    assert torch.allclose(logits, whole, atol=1e-5)
    for layer, reference in zip(cache.layers, growing.layers, strict=True):
        assert layer.keys.shape == (3, 1, 9, 8)
        for buffer, states in ((layer.keys, reference.keys), (layer.values, reference.values)):
            assert torch.allclose(buffer[:, :, 1:8], states, atol=1e-6)
            assert not buffer[:, :, 0].any()
    cache.keep(torch.tensor([2, 0]))
    for layer, reference in zip(cache.layers, growing.layers, strict=True):
        assert layer.keys.shape == (2, 1, 9, 8)
        assert torch.allclose(layer.values[:, :, 1:8], reference.values[[2, 0]], atol=1e-6)
    assert cache.cursor.batch == 2


def test_steps_write_where_they_are_and_copy_nothing():
    cache = BufferCache(LLAMA, 2, 6)
    prompt, token = torch.ones(2, 1, 4, 8), torch.full((2, 1, 1, 8), 2.0)
    cache.cursor.to_prompts(slice(2), 0, 4)
    assert cache.update(prompt, prompt, 0)[0] is prompt
    cache.cursor.to_next_slot()
    keys, _ = cache.update(token, token, 0)
    assert keys.data_ptr() == cache.layers[0].keys.data_ptr()
    assert keys[0, 0, :, 0].tolist() == [1, 1, 1, 1, 2]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (LLAMA, True),
        (GPT2Config(n_layer=2), True),
        (MistralConfig(**SMALL, sliding_window=4), True),
        (Gemma3TextConfig(**SMALL, sliding_window=4), True),
        (MambaConfig(num_hidden_layers=2), False),
        (Qwen3NextConfig(num_hidden_layers=4), False),
        (Llama4TextConfig(num_hidden_layers=4), False),
    ],
)
def test_models_that_remember_something_else_are_told_apart(config, expected):
    assert can_buffer(config) is expected


def test_sliding_layers_are_known_as_such():
    config = Gemma3TextConfig(**SMALL, sliding_window=4, layer_types=["sliding_attention", "full_attention"])
    assert BufferCache(config, 1, 1).is_sliding == [True, False]
