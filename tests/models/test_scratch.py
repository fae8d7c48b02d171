"""Models and tokenizers from nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frft.config.sections import ScratchConfig
from frft.models import build_causal_lm, load_tokenizer, train_tokenizer


@settings(deadline=None, max_examples=100)
@given(text=st.text(max_size=60))
def test_any_text_survives_the_tokenizer(tiny_tokenizer, text):
    ids = tiny_tokenizer(text, split_special_tokens=True)["input_ids"]
    assert tiny_tokenizer.decode(ids) == text


def test_a_tokenizer_has_the_size_asked_for_and_learns_from_its_text(tiny_tokenizer):
    assert len(tiny_tokenizer) == 320
    assert tiny_tokenizer.model_max_length == 128
    assert len(tiny_tokenizer(" colors")["input_ids"]) < len(tiny_tokenizer(" xqzvwj")["input_ids"]) == 7
    assert tiny_tokenizer.pad_token_id != tiny_tokenizer.eos_token_id


def test_a_tokenizer_of_little_text_still_knows_every_byte():
    tokenizer = train_tokenizer(["ab"], ScratchConfig(vocab_size=4096))
    assert tokenizer.decode(tokenizer("日本 \x00 é")["input_ids"]) == "日本 \x00 é"
    assert 258 <= len(tokenizer) < 270


def test_a_saved_tokenizer_is_the_same(tiny_tokenizer, tiny_lm_folder):
    again = load_tokenizer(tiny_lm_folder)
    text = "\n\nHuman: Hi  there <|endoftext|>\n\nAssistant: é"
    assert again(text)["input_ids"] == tiny_tokenizer(text)["input_ids"]
    assert (again.pad_token_id, again.eos_token_id) == (
        tiny_tokenizer.pad_token_id,
        tiny_tokenizer.eos_token_id,
    )


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_a_model_has_the_shape_asked_for_and_the_seed_decides_its_weights(architecture, tiny_tokenizer):
    import torch

    config = ScratchConfig(
        architecture=architecture,
        vocab_size=320,
        hidden_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=64,
    )
    one, same, other = (build_causal_lm(config, tiny_tokenizer, seed) for seed in (0, 0, 1))
    shape = one.config
    assert (shape.hidden_size, shape.num_hidden_layers, shape.num_attention_heads) == (48, 3, 4)
    assert (shape.max_position_embeddings, shape.vocab_size) == (64, 320)
    assert (shape.pad_token_id, shape.eos_token_id) == (
        tiny_tokenizer.pad_token_id,
        tiny_tokenizer.eos_token_id,
    )
    vectors = [torch.nn.utils.parameters_to_vector(model.parameters()) for model in (one, same, other)]
    assert vectors[0].equal(vectors[1])
    assert not vectors[0].equal(vectors[2])
    # tied embeddings: one matrix of the vocabulary's size
    assert sum(320 in parameter.shape for parameter in one.parameters()) == 1


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_a_model_has_no_dropout(architecture, tiny_tokenizer):
    import torch

    config = ScratchConfig(architecture=architecture, vocab_size=320, hidden_size=32, num_hidden_layers=2)
    model = build_causal_lm(config, tiny_tokenizer, 0).train()
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        assert model(ids).logits.equal(model(ids).logits)
