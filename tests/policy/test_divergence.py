"""KL between policies, against the exact divergence on a space small enough to sum over."""

from __future__ import annotations

import pytest
import torch

from frft.config.sections import SamplingConfig, ScratchConfig
from frft.errors import DataError
from frft.models import build_causal_lm, load_causal_lm
from frft.policy import generate, measure_divergence

PROMPTS = ["\n\nHuman: Why?\n\nAssistant:", "x"] * 1500
SAMPLING = SamplingConfig(max_new_tokens=1, max_prompt_tokens=32)


@pytest.fixture(scope="module")
def policy(tiny_lm_folder, tiny_tokenizer):
    return load_causal_lm(tiny_lm_folder, tiny_tokenizer)


def kl(policy, reference, tokenizer, written):
    return measure_divergence(
        policy, reference, tokenizer, written, temperature=1.0, max_prompt_tokens=SAMPLING.max_prompt_tokens
    )


def test_a_policy_has_not_moved_from_itself(policy, tiny_tokenizer):
    written = generate(policy, tiny_tokenizer, PROMPTS[:8], SAMPLING, seed=0)
    same = kl(policy, policy, tiny_tokenizer, written)
    assert (same.k1, same.k3) == (0.0, 0.0)


def test_nothing_written_has_no_divergence(policy, tiny_tokenizer):
    written = generate(policy, tiny_tokenizer, [], SAMPLING, seed=0)
    with pytest.raises(DataError, match="no completions"):
        kl(policy, policy, tiny_tokenizer, written)


def test_both_estimators_are_close_to_the_exact_divergence(policy, tiny_tokenizer):
    config = ScratchConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=128)
    other = build_causal_lm(config, tiny_tokenizer, seed=5).eval()
    with torch.no_grad():  # make them differ by more than the noise
        other.lm_head.weight += 0.15 * torch.randn(
            other.lm_head.weight.shape, generator=torch.Generator().manual_seed(1)
        )
    exact = 0.0
    for prompt in PROMPTS[:2]:
        ids = torch.tensor([tiny_tokenizer(prompt)["input_ids"]])
        with torch.no_grad():
            p, q = (model(input_ids=ids).logits[0, -1].log_softmax(-1) for model in (policy, other))
        exact += 0.5 * (p.exp() * (p - q)).sum().item()
    written = generate(policy, tiny_tokenizer, PROMPTS, SAMPLING, seed=0)
    measured = kl(policy, other, tiny_tokenizer, written)
    assert exact > 0.1
    assert measured.k1 == pytest.approx(exact, rel=0.15)
    assert measured.k3 == pytest.approx(exact, rel=0.15)
