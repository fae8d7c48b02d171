"""Adapters start as nothing, and can be looked under."""

from __future__ import annotations

import pytest
import torch

from frft.config.sections import LoraConfig
from frft.errors import ModelError
from frft.models import WithoutAdapters, add_adapters, load_causal_lm

IDS = torch.tensor([[4, 8, 15, 16]])


def adapted(folder, tokenizer, seed=0, **lora):
    return add_adapters(load_causal_lm(folder, tokenizer), LoraConfig(**lora), "CAUSAL_LM", seed=seed).eval()


def test_fresh_adapters_change_nothing_and_only_they_are_trained(tiny_lm_folder, tiny_tokenizer):
    plain = load_causal_lm(tiny_lm_folder, tiny_tokenizer).eval()
    policy = adapted(tiny_lm_folder, tiny_tokenizer)
    assert torch.allclose(policy(input_ids=IDS).logits, plain(input_ids=IDS).logits, atol=1e-6)
    trained = {name for name, p in policy.named_parameters() if p.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)


def test_the_seed_decides_and_the_global_generator_is_left_alone(tiny_lm_folder, tiny_tokenizer):
    def weights(seed):
        policy = adapted(tiny_lm_folder, tiny_tokenizer, seed)
        return torch.cat([p.flatten() for name, p in policy.named_parameters() if "lora_A" in name])

    state = torch.get_rng_state()
    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
    assert torch.equal(torch.get_rng_state(), state)


def test_under_the_adapters_is_the_model_as_it_was(tiny_lm_folder, tiny_tokenizer):
    plain = load_causal_lm(tiny_lm_folder, tiny_tokenizer).eval()
    policy = adapted(tiny_lm_folder, tiny_tokenizer)
    with torch.no_grad():
        for name, p in policy.named_parameters():
            if "lora_B" in name:
                p.normal_(generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(policy(input_ids=IDS).logits, plain(input_ids=IDS).logits, atol=0.1)
    under = WithoutAdapters(policy)
    assert torch.equal(under(input_ids=IDS).logits, plain(input_ids=IDS).logits)
    assert not torch.allclose(policy(input_ids=IDS).logits, plain(input_ids=IDS).logits, atol=0.1)
    assert under.config.n_positions == plain.config.n_positions


def test_modules_that_are_not_there_are_refused(tiny_lm_folder, tiny_tokenizer):
    with pytest.raises(ModelError, match=r"lora\.target_modules \['q_proj'\].*all-linear.*c_attn"):
        adapted(tiny_lm_folder, tiny_tokenizer, target_modules=["q_proj"])
