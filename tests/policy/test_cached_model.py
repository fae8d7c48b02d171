"""Reading prompts in parts, and tokens one by one."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, T5Config, T5ForConditionalGeneration, XLNetConfig

from frft.policy import cached_model
from frft.policy.cached_model import CachedModel, can_cache
from frft.policy.generation import left_padded

LLAMA = LlamaConfig(vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2)


@pytest.mark.parametrize(("at_once", "parts"), [(1, [1, 1, 1, 1]), (7, [1, 1, 2]), (12, [2, 2]), (100, [4])])
def test_prompts_are_read_in_parts_without_padding_where_possible(monkeypatch, at_once, parts):
    monkeypatch.setattr(cached_model, "PROMPT_TOKENS", at_once)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(LLAMA).eval()
    prompts = [[5, 9, 3, 7, 11, 2], [8, 4, 6, 10, 1], [12, 13, 4], [7]]
    read = []
    model.get_input_embeddings().register_forward_pre_hook(lambda _, inputs: read.append(tuple(inputs[0].shape)))
    with torch.no_grad():
        reader = CachedModel(model, left_padded(prompts, 0)[1], 3)
        logits = reader.read_prompts(left_padded(prompts, 0)[0])
        assert [rows for rows, _ in read] == parts
        starts = [sum(parts[:n]) for n in range(len(parts))]
        assert [width for _, width in read] == [len(prompts[start]) for start in starts]
        for token in (20, 21):
            step = reader.read_tokens(torch.full((4,), token))
        for row, prompt in enumerate(prompts):
            whole = model(input_ids=torch.tensor([[*prompt, 20, 21]])).logits[0]
            assert torch.allclose(logits[row], whole[len(prompt) - 1], atol=1e-5)
            assert torch.allclose(step[row], whole[-1], atol=1e-5)


def test_an_encoder_decoder_and_a_model_without_keys_and_values_cannot_be_cached():
    t5 = T5Config(vocab_size=9, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, decoder_start_token_id=0)
    xlnet = XLNetConfig(vocab_size=9, d_model=8, n_layer=1, n_head=2, d_inner=8)
    assert not can_cache(T5ForConditionalGeneration(t5))
    assert not can_cache(AutoModelForCausalLM.from_config(xlnet))
    assert not can_cache(torch.nn.Linear(2, 2))
    assert can_cache(AutoModelForCausalLM.from_config(LLAMA))
