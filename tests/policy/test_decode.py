"""Sampling with one uniform number a token: against brute force, exact probabilities and Transformers' generate."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    Phi3Config,
    Qwen2Config,
    Qwen3Config,
)

from frft.config.sections import SamplingConfig
from frft.errors import ModelError
from frft.policy.decode import can_decode, decode_tokens, draw_tokens
from frft.policy.generation import _sample_by_transformers, left_padded, row_uniforms

PAD, EOS, NEVER = 0, 1, -1
SMALL = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": PAD,
    # Tied, a random model likes best to repeat its last token.
    "tie_word_embeddings": False,
}
GROUPED = {**SMALL, "num_key_value_heads": 2}
GPT2 = {"n_embd": 32, "n_layer": 3, "n_head": 4, "vocab_size": 97, "n_positions": 64, "tie_word_embeddings": False}
SHAPES = {
    "gpt2": GPT2Config(**GPT2),
    "gpt2-eager": GPT2Config(**GPT2, attn_implementation="eager"),
    "llama": LlamaConfig(**GROUPED),
    "qwen2": Qwen2Config(**GROUPED),
    "qwen3": Qwen3Config(**GROUPED, head_dim=8),
    "gemma": GemmaConfig(**GROUPED, head_dim=8),
    "gemma2": Gemma2Config(**GROUPED, head_dim=8, sliding_window=5, attn_implementation="eager"),
    "gemma3": Gemma3TextConfig(
        **GROUPED, head_dim=8, sliding_window=5, layer_types=["sliding_attention", "full_attention"] * 2
    ),
    "mistral": MistralConfig(**GROUPED, sliding_window=5),
    "gpt-neox": GPTNeoXConfig(**SMALL),
}


def a_model(config, seed=0, scale=8.0):
    """Random weights, large enough for the most likely token to be clear."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(scale)
    return model


def prompts(count=9, longest=17):
    generator = torch.Generator().manual_seed(7)
    lengths = [longest, *torch.randint(1, longest, (count - 1,), generator=generator).tolist()]
    return left_padded([torch.randint(2, 97, (n,), generator=generator).tolist() for n in lengths], PAD)


def decoded(model, ids_BP, mask_BP, sampling, eos=NEVER, uniforms_BT=None):
    if uniforms_BT is None:
        uniforms_BT = row_uniforms(0, len(ids_BP), sampling.max_new_tokens)
    with torch.no_grad():
        return decode_tokens(model, ids_BP, mask_BP, sampling, [eos], PAD, uniforms_BT)


def brute_force(probabilities, number):
    """The first token whose cumulative probability exceeds the number."""
    total = 0.0
    for token, probability in enumerate(probabilities):
        total += probability
        if total > number:
            return token
    return max(token for token, probability in enumerate(probabilities) if probability > 0)


@pytest.mark.parametrize("vocabulary", [5, 63, 64, 65, 640, 1000])
@pytest.mark.parametrize("top_k", [0, 3, 70])
def test_the_first_token_whose_cumulative_probability_exceeds_the_number_is_drawn(vocabulary, top_k):
    generator = torch.Generator().manual_seed(vocabulary)
    logits = 3 * torch.randn((200, vocabulary), generator=generator)
    logits[:, ::3] = -torch.inf
    numbers = torch.rand(200, dtype=torch.float64, generator=generator)
    found = draw_tokens(logits, numbers, SamplingConfig(temperature=0.7, top_k=top_k))
    for row in range(200):
        order = torch.arange(vocabulary)
        if 0 < top_k < vocabulary:
            order = (-logits[row]).argsort(stable=True)[:top_k]
        weights = np.exp(logits[row, order].double().numpy() / 0.7)
        assert found[row] == order[brute_force(weights / weights.sum(), float(numbers[row]))]


@pytest.mark.parametrize("number", [0.0, 5e-324, 1 - 2**-53])
@pytest.mark.parametrize("possible", [[64], [0], [199], [3, 130], [128, 199], [63, 64]])
def test_what_has_no_probability_is_not_drawn_at_either_end(number, possible):
    logits = torch.full((1, 200), -torch.inf)
    logits[:, possible] = torch.tensor([0.3, -20.0])[: len(possible)]
    for top_k in (0, 100):
        drawn = int(draw_tokens(logits, torch.tensor([number], dtype=torch.float64), SamplingConfig(top_k=top_k)))
        assert drawn in possible


@pytest.mark.parametrize("vocabulary", [100, 128])
def test_rounding_at_the_end_of_a_block_leads_to_no_impossible_token(vocabulary):
    logits = torch.randn((2000, vocabulary), generator=torch.Generator().manual_seed(0))
    last = torch.full((2000,), 1 - 2**-53, dtype=torch.float64)
    assert (draw_tokens(logits, last, SamplingConfig()) < vocabulary).all()
    logits[:, 64:80] = -torch.inf
    probabilities = logits.softmax(-1)
    # Just below where the first block ends, if it is summed in float32.
    blocks = torch.stack([probabilities[:, :64].sum(-1), probabilities[:, 64:].sum(-1)], dim=1).double()
    numbers = (blocks[:, 0] / blocks.sum(-1)) * (1 - 2**-52)
    drawn = draw_tokens(logits, numbers, SamplingConfig())
    assert ((drawn < 64) | (drawn >= 80)).all()
    assert (drawn == 63).any()


def test_tokens_are_drawn_as_often_as_they_are_probable():
    torch.manual_seed(0)
    logits = torch.randn(1, 150)
    numbers = row_uniforms(3, 60_000, 1)[:, 0]
    drawn = draw_tokens(logits.expand(60_000, -1), numbers, SamplingConfig(temperature=2.0))
    expected = np.exp(logits[0].double().numpy() / 2)
    expected *= 60_000 / expected.sum()
    assert chisquare(drawn.bincount(minlength=150).numpy(), expected).pvalue > 1e-3


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_probabilities_that_are_no_numbers_are_an_error(bad):
    logits = torch.zeros(3, 70)
    logits[1, 4] = bad
    with pytest.raises(ModelError, match=r"no probabilities for the next token of 1 of 3 rows"):
        draw_tokens(logits, torch.zeros(3, dtype=torch.float64), SamplingConfig())


@pytest.mark.parametrize("shape", SHAPES)
def test_the_most_likely_tokens_are_those_of_generate(shape):
    model = a_model(SHAPES[shape])
    assert can_decode(model)
    ids, mask = prompts()
    greedy = SamplingConfig(top_k=1, max_new_tokens=20)
    uniforms = row_uniforms(0, len(ids), 20)
    expected = _sample_by_transformers(model, ids, mask, greedy, [NEVER], PAD, uniforms)
    found = decoded(model, ids, mask, greedy)
    assert torch.equal(found, expected)
    assert len(found.unique()) > 20
    ends = int(expected[0, 5])
    expected = _sample_by_transformers(model, ids, mask, greedy, [ends], PAD, uniforms)
    assert torch.equal(decoded(model, ids, mask, greedy, ends), expected)
    assert (expected == PAD).any()


@pytest.mark.parametrize("shape", ["gpt2", "llama", "gemma3"])
def test_a_row_gets_the_same_tokens_alone_in_another_order_and_with_other_padding(shape):
    model = a_model(SHAPES[shape])
    ids, mask = prompts()
    sampling = SamplingConfig(temperature=3.0, max_new_tokens=12)
    uniforms = row_uniforms(1, len(ids), 12)
    together = decoded(model, ids, mask, sampling, uniforms_BT=uniforms)
    order = torch.randperm(len(ids), generator=torch.Generator().manual_seed(0))
    assert torch.equal(decoded(model, ids[order], mask[order], sampling, uniforms_BT=uniforms[order]), together[order])
    wider = (torch.nn.functional.pad(tensor, (5, 0)) for tensor in (ids, mask))
    assert torch.equal(decoded(model, *wider, sampling, uniforms_BT=uniforms), together)
    for row in range(len(ids)):
        own = mask[row].bool()
        alone = decoded(model, ids[row : row + 1, own], mask[row : row + 1, own], sampling, uniforms_BT=uniforms[[row]])
        assert torch.equal(alone[0], together[row])


@pytest.mark.parametrize("shape", ["gpt2", "qwen3"])
def test_finished_rows_are_dropped_and_change_nothing_for_the_others(shape):
    model = a_model(SHAPES[shape])
    ids, mask = prompts(count=16)
    sampling = SamplingConfig(temperature=20.0, max_new_tokens=40)
    endless = decoded(model, ids, mask, sampling)
    eos = int(endless.flatten().mode().values)
    widths = []
    model.get_input_embeddings().register_forward_pre_hook(lambda _, inputs: widths.append(len(inputs[0])))
    found = decoded(model, ids, mask, sampling, eos)
    for row, tokens in enumerate(endless.tolist()):
        written = tokens[: tokens.index(eos) + 1] if eos in tokens else tokens
        assert found[row].tolist() == (written + [PAD] * 40)[: found.shape[1]]
    steps = widths[-(found.shape[1] - 1) :]
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] < 12 <= steps[0]


def test_when_all_end_at_once_there_is_one_token():
    model = a_model(SHAPES["gpt2"])
    ids, mask = prompts(count=3)
    first = decoded(model, ids, mask, SamplingConfig(top_k=1, max_new_tokens=1))
    for row in range(3):
        ended = decoded(
            model, ids[[row]], mask[[row]], SamplingConfig(top_k=1, max_new_tokens=8), eos=int(first[row, 0])
        )
        assert torch.equal(ended, first[[row]])


@pytest.mark.parametrize("shape", ["gpt2", "llama"])
def test_sequences_occur_as_often_as_the_model_says(shape):
    config = type(SHAPES[shape]).from_dict({**SHAPES[shape].to_dict(), "vocab_size": 6})
    model = a_model(config, scale=3.0)
    ids, mask = torch.tensor([[PAD, 3, 4]]), torch.tensor([[0, 1, 1]])
    sampling = SamplingConfig(temperature=1.5, max_new_tokens=3)
    found = decoded(
        model, ids.expand(20_000, -1), mask.expand(20_000, -1), sampling, uniforms_BT=row_uniforms(5, 20_000, 3)
    )
    codes = (found * torch.tensor([36, 6, 1])).sum(-1)
    every = torch.tensor(list(itertools.product(range(6), repeat=3)))
    with torch.no_grad():
        logits = model(input_ids=torch.cat([torch.tensor([[3, 4]]).expand(216, -1), every], dim=1)).logits.double()
    logprobs = (logits / 1.5).log_softmax(-1)[:, 1:4].gather(-1, every[..., None])[..., 0].sum(-1)
    assert logprobs.exp().sum() == pytest.approx(1.0)
    assert chisquare(codes.bincount(minlength=216).numpy(), 20_000 * logprobs.exp().numpy()).pvalue > 1e-3


def test_half_precision_weights_sample_what_their_own_logits_say():
    for shape in ("gpt2", "llama"):
        model = a_model(SHAPES[shape]).bfloat16()
        ids, mask = prompts()
        found = decoded(model, ids, mask, SamplingConfig(top_k=1, max_new_tokens=8))
        whole = torch.cat([ids, found], dim=1)
        seen = torch.nn.functional.pad(mask, (0, 8), value=1)
        with torch.no_grad():
            logits = model(
                input_ids=whole, attention_mask=seen, position_ids=(seen.cumsum(-1) - 1).clamp_min(0)
            ).logits[:, -9:-1]
        chosen = logits.gather(-1, found[..., None])[..., 0]
        # bfloat16 has 8 bits: what was chosen is the best but for rounding.
        assert ((logits.amax(-1) - chosen) <= 0.02 * logits.abs().amax(-1)).all()


@pytest.mark.parametrize("shape", ["gpt2", "llama"])
def test_lora_adapters_take_part(shape):
    from peft import LoraConfig, get_peft_model

    model = a_model(SHAPES[shape])
    ids, mask = prompts()
    greedy = SamplingConfig(top_k=1, max_new_tokens=12)
    without = decoded(model, ids, mask, greedy)
    torch.manual_seed(0)
    targets = ["c_attn", "c_proj", "c_fc"] if shape == "gpt2" else ["q_proj", "v_proj", "up_proj"]
    adapted = get_peft_model(
        model, LoraConfig(target_modules=targets, init_lora_weights=False, fan_in_fan_out=shape == "gpt2")
    ).eval()
    assert can_decode(adapted)
    found = decoded(adapted, ids, mask, greedy)
    assert torch.equal(found, _sample_by_transformers(adapted, ids, mask, greedy, [NEVER], PAD, row_uniforms(0, 9, 12)))
    assert not torch.equal(found, without)
    with adapted.disable_adapter():
        assert torch.equal(decoded(adapted, ids, mask, greedy), without)


def test_models_that_remember_otherwise_are_left_to_generate():
    from peft import PromptTuningConfig, get_peft_model

    shared = {"vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 2, "pad_token_id": PAD}
    refused = [
        a_model(MambaConfig(**shared)),
        a_model(BloomConfig(vocab_size=97, hidden_size=32, n_layer=2, n_head=4)),
        a_model(Phi3Config(**GROUPED)),
        get_peft_model(a_model(SHAPES["llama"]), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)),
    ]
    for model in refused:
        assert not can_decode(model), type(model).__name__
