"""GPT-2 as it is sampled from, against Transformers' own forward pass."""

from __future__ import annotations

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from frft.policy.cached_model import CachedModel
from frft.policy.generation import left_padded
from frft.policy.gpt2 import CachedGPT2, is_plain_gpt2

IDS, MASK = left_padded([[5, 9, 3, 7, 11, 2], [8, 4, 6, 10], [12]], 0)


def a_gpt2(**settings):
    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(n_embd=32, n_layer=3, n_head=4, vocab_size=50, n_positions=32, **settings)
    ).eval()
    for parameter in model.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"activation_function": "gelu_pytorch_tanh"},
        {"activation_function": "gelu"},
        {"scale_attn_by_inverse_layer_idx": True},
        {"scale_attn_weights": False, "tie_word_embeddings": False},
        {"attn_implementation": "eager", "n_inner": 40},
    ],
)
def test_logits_are_those_of_the_whole_text_read_at_once(settings):
    model = a_gpt2(**settings)
    assert is_plain_gpt2(model)
    text = torch.randint(1, 50, (3, 5), generator=torch.Generator().manual_seed(1))
    seen = torch.nn.functional.pad(MASK, (0, 5), value=1)
    with torch.no_grad():
        expected = model(
            input_ids=torch.cat([IDS, text], 1),
            attention_mask=seen,
            position_ids=(seen.cumsum(-1) - 1).clamp_min(0),
        ).logits[:, 5:]
        reader = CachedGPT2(model, MASK, 5)
        found = [reader.read_prompts(IDS)]
        found += [reader.read_tokens(text[:, t]) for t in range(3)]
        reader.keep(torch.tensor([0, 2]))
        found += [reader.read_tokens(text[[0, 2], t]) for t in range(3, 5)]
    for t, logits in enumerate(found):
        assert torch.allclose(logits, expected[:, t] if t < 4 else expected[[0, 2], t], atol=2e-5)


def test_in_half_precision_logits_are_the_models_within_rounding():
    model = a_gpt2().bfloat16()
    with torch.no_grad():
        expected, found = (kind(model, MASK, 1).read_prompts(IDS) for kind in (CachedModel, CachedGPT2))
    assert found.dtype == torch.bfloat16
    assert torch.allclose(found.float(), expected.float(), atol=0.05)


def test_a_model_that_does_something_else_is_not_plain():
    class Other(GPT2LMHeadModel):
        pass

    assert not is_plain_gpt2(Other(a_gpt2().config))
    assert not is_plain_gpt2(torch.nn.Linear(2, 2))
    assert not is_plain_gpt2(a_gpt2(add_cross_attention=True))
    assert not is_plain_gpt2(a_gpt2(reorder_and_upcast_attn=True))
    model = a_gpt2()
    handle = model.transformer.h[1].attn.register_forward_hook(lambda *_: None)
    assert not is_plain_gpt2(model)
    handle.remove()
    assert is_plain_gpt2(model)
    model.forward = model.forward  # as Accelerate does for mixed precision
    assert not is_plain_gpt2(model)
