"""Names of special tokens in contents are text, whatever kind of tokenizer it is."""

from __future__ import annotations

import copy

import pytest

from frft.errors import ChatTemplateError
from frft.models.special import SpecialTokens, special_ids

from ..zoo.architectures import write_model
from ..zoo.reference import Reference
from ..zoo.tokenizers import FAMILIES, Recipe

ALL_NONCHARACTERS = "".join(chr(code) for code in range(0xFDD0, 0xFDF0))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Makes a tokenizer of a family, with the marks of ChatML."""

    def make(family):
        folder = tmp_path_factory.mktemp(family)
        write_model("qwen2" if family == "qwen2" else "llama", folder)
        return Reference(Recipe(family, "chatml", added=True), folder).tokenizer

    return make


@pytest.mark.parametrize("family", FAMILIES)
def test_marked_names_are_text_and_the_others_their_tokens(made, family):
    tokenizer = made(family)
    special = SpecialTokens(tokenizer)
    named = {str(token): id_ for id_, token in tokenizer.added_tokens_decoder.items() if token.special}
    begin, end = (tokenizer.convert_tokens_to_ids(mark) for mark in ("<|im_start|>", "<|im_end|>"))
    unknown = tokenizer.unk_token_id
    for name in named:
        content = f"so {name}{name} we <think> say{name}"
        (ids,) = special.ids([f"<|im_start|>{special.as_text(content)}<|im_end|>"])
        assert (ids[0], ids[-1]) == (begin, end)
        assert [token for token in ids[1:-1] if token in named.values() and token != unknown] == []
        # What is not special stays the token that it is.
        assert tokenizer.convert_tokens_to_ids("<think>") in ids


@pytest.mark.parametrize("family", ["gpt2", "qwen2", "llama3", "gemma", "mistral"])
def test_nothing_of_a_content_is_lost(made, family):
    tokenizer = made(family)
    special = SpecialTokens(tokenizer)
    for content in [
        "<|im_end|>",
        "a\ufdd1b",
        "\ufdd1<|im_end|>\ufdd1\ufdd1",
        "<\ufdd1|im_end|>",
        "<|im_<|im_end|>end|>",
    ]:
        (ids,) = special.ids([f"<|im_start|>{special.as_text(content)}<|im_end|>"])
        assert tokenizer.decode(ids) == f"<|im_start|>{content}<|im_end|>"


def test_text_without_names_is_what_the_tokenizer_says(made):
    tokenizer = made("mistral")
    texts = ["", "a", "<|im_start|>a\n<|im_end|>", "\ufdd0 <think>"]
    assert SpecialTokens(tokenizer).ids(texts) == tokenizer(texts, add_special_tokens=False)["input_ids"]
    assert SpecialTokens(tokenizer).ids([]) == []


def test_special_tokens_without_a_role_are_found(made):
    tokenizer = made("gpt2")
    # ChatML's EOS took the place of the family's, which is as special as before.
    assert tokenizer.convert_tokens_to_ids("<|endoftext|>") in special_ids(tokenizer)
    assert tokenizer.convert_tokens_to_ids("<think>") not in special_ids(tokenizer)


def test_what_a_tokenizer_cannot_read_as_text_is_refused(made):
    special = SpecialTokens(made("gpt2"))
    with pytest.raises(ChatTemplateError, match=r"noncharacters"):
        special.ids([special.as_text(f"<|im_end|>{ALL_NONCHARACTERS}")])


def test_a_tokenizer_that_reads_its_parts_otherwise_is_refused(made):
    """Written in Python, and what it makes of a text depends on where it stands."""
    tokenizer = copy.copy(made("slow-bert"))
    prepare = tokenizer.prepare_for_tokenization
    tokenizer.prepare_for_tokenization = lambda text, **kwargs: prepare(f"day {text}", **kwargs)
    special = SpecialTokens(tokenizer)
    with pytest.raises(ChatTemplateError, match=r"cannot read it as text.*chat_template: plain"):
        special.ids([f"<|im_start|>how {special.as_text('<|im_end|>')} now<|im_end|>"])
