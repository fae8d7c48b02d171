"""Faster, and the same."""

from __future__ import annotations

import copy
import os

import pytest
import torch

from frft.config.sections import ScratchConfig
from frft.models import build_causal_lm, load_causal_lm
from frft.models.kernels import FastConv1D, FastLinear, prefers_onednn, with_fast_kernels

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")


def fast(module):
    """The module with its class exchanged, as is done to models on processors where that is faster."""
    other = copy.deepcopy(module)
    other.__class__ = FastLinear if isinstance(module, torch.nn.Linear) else FastConv1D
    return other


def modules():
    from transformers.pytorch_utils import Conv1D

    conv = Conv1D(7, 5)
    torch.nn.init.normal_(conv.bias)
    return {"linear": torch.nn.Linear(5, 7), "without bias": torch.nn.Linear(5, 7, bias=False), "conv1d": conv}


@needs_onednn
@pytest.mark.parametrize("kind", modules())
@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5), (1, 1, 5)])
def test_results_and_gradients_are_those_of_torch(kind, shape):
    torch.manual_seed(0)
    plain = modules()[kind]
    quick = fast(plain)
    found = []
    for module in (plain, quick):
        generator = torch.Generator().manual_seed(1)
        x = torch.randn(shape, generator=generator, requires_grad=True)
        y = module(x)
        (y * torch.randn(y.shape, generator=generator)).sum().backward()
        found.append([y.detach(), x.grad, *(p.grad for p in module.parameters())])
    for expected, result in zip(*found, strict=True):
        assert expected.shape == result.shape
        assert torch.allclose(expected, result, atol=1e-6)


@needs_onednn
def test_strided_inputs_and_frozen_weights_are_no_trouble():
    plain = torch.nn.Linear(5, 7).requires_grad_(False)
    quick = fast(plain)
    x = torch.randn(4, 10, 3, requires_grad=True)
    view = x[:, ::2].transpose(1, 2)
    expected = torch.autograd.grad(plain(view).pow(2).sum(), x)[0]
    assert torch.allclose(quick(view), plain(view), atol=1e-6)
    assert torch.allclose(torch.autograd.grad(quick(view).pow(2).sum(), x)[0], expected, atol=1e-5)


@needs_onednn
def test_what_it_is_not_made_for_goes_the_usual_way():
    plain = torch.nn.Linear(5, 7)
    for convert in (torch.Tensor.double, torch.Tensor.bfloat16):
        x = convert(torch.randn(3, 5))
        assert torch.equal(fast(plain).to(x.dtype)(x), plain.to(x.dtype)(x))
    plain = plain.float()
    with torch.autocast("cpu", torch.bfloat16):
        assert fast(plain)(torch.randn(3, 5)).dtype == torch.bfloat16
    assert fast(plain)(torch.empty(0, 5)).shape == (0, 7)


@needs_onednn
def test_a_whole_model_trains_alike_whichever_kernels_it_has(tiny_lm_folder, tiny_tokenizer, monkeypatch):
    from transformers import AutoModelForCausalLM

    monkeypatch.setattr("frft.models.kernels.prefers_onednn", lambda: True)
    monkeypatch.setenv("LRU_CACHE_CAPACITY", "7")
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    plain = AutoModelForCausalLM.from_pretrained(tiny_lm_folder).eval()
    quick = load_causal_lm(tiny_lm_folder, tiny_tokenizer).eval()
    assert os.environ["LRU_CACHE_CAPACITY"] == "7"  # what the user says stands
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "64"
    assert type(quick.transformer.h[0].attn.c_attn) is FastConv1D
    assert type(quick.lm_head) is FastLinear
    assert quick.lm_head.weight is quick.transformer.wte.weight
    ids = torch.arange(20).reshape(2, 10) + 4
    for model in (plain, quick):
        model(input_ids=ids, labels=ids).loss.backward()
    for (name, expected), found in zip(plain.named_parameters(), quick.parameters(), strict=True):
        assert torch.allclose(expected.grad, found.grad, atol=1e-5), name
    assert plain.state_dict().keys() == quick.state_dict().keys()
    assert copy.deepcopy(quick)(input_ids=ids).logits.equal(quick(input_ids=ids).logits)


def test_the_fused_activation_is_the_same_function(tiny_lm_folder, tiny_tokenizer):
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(tiny_lm_folder)
    act, fused = (model.transformer.h[1].mlp.act for model in (plain, load_causal_lm(tiny_lm_folder, tiny_tokenizer)))
    assert type(act) is not type(fused)
    x = torch.linspace(-8, 8, 1001, dtype=torch.float64)
    assert torch.allclose(act(x), fused(x), atol=1e-12)


def test_where_there_is_nothing_to_gain_nothing_is_exchanged(tiny_tokenizer, monkeypatch):
    monkeypatch.setattr("frft.models.kernels.prefers_onednn", lambda: False)
    config = ScratchConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=1, max_position_embeddings=8)
    model = build_causal_lm(config, tiny_tokenizer, seed=0)
    assert not any(isinstance(module, FastLinear | FastConv1D) for module in with_fast_kernels(model).modules())
    assert type(model.transformer.h[0].mlp.act).__name__ != "NewGELUActivation"


def test_the_choice_is_the_processor_s(monkeypatch):
    found = prefers_onednn()
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    prefers_onednn.cache_clear()
    assert not prefers_onednn()
    monkeypatch.undo()
    prefers_onednn.cache_clear()
    assert prefers_onednn() == found
