"""Models as people have them, tiny and with random weights: what frft reads and writes is what Transformers does.

The reference never sees frft's encoding: it is the model's own tokenizer and forward pass, one text at a time. The
whole product of architectures, templates, tokenizers and padding is `python -m benchmarks.chat_templates`.
"""

from __future__ import annotations

import itertools

import pytest

from frft.errors import ChatTemplateError, DataError

from ..zoo.architectures import ARCHITECTURES, write_model
from ..zoo.conversations import KINDS, conversations
from ..zoo.generation import GREEDY, written
from ..zoo.matrix import FACTORS, Zoo, covering_cells, pairwise, possible, product_cells, sequences_of
from ..zoo.reference import Reference
from ..zoo.templates import TEMPLATES
from ..zoo.tokenizers import FAMILIES, Recipe

PRECISION = 1e-5
"""Largest difference of two scores in float32."""
CELLS = covering_cells()
CONVERSATIONS = 2_000
"""Of all kinds of tokenizers together; the benchmark compares 100,000."""


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return Zoo(tmp_path_factory.mktemp("zoo"))


def test_few_cells_hold_every_possible_pair():
    factors = {"a": [1, 2, 3], "b": [1, 2, 3], "c": [1, 2, 3], "d": [1, 2]}

    def allowed(row):
        return not (row.get("a") == 3 and row.get("b") == 1) and not (row.get("c") == 2 and row.get("d") == 1)

    rows = pairwise(factors, allowed)
    assert all(allowed(row) for row in rows)
    found = {pair for row in rows for pair in itertools.combinations(sorted(row.items()), 2)}
    whole = [dict(zip(factors, row, strict=True)) for row in itertools.product(*factors.values())]
    assert found == {pair for row in whole if allowed(row) for pair in itertools.combinations(sorted(row.items()), 2)}
    assert len(rows) <= 14 < len(whole) == 54


def test_the_cells_hold_every_value():
    for name, values in FACTORS.items():
        assert {getattr(cell, name) for cell in CELLS} == set(values)
    assert len(ARCHITECTURES) == 12
    assert len(TEMPLATES) == 8
    assert all(possible(vars(cell)) for cell in CELLS)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_scores_are_those_of_the_models_own_tokenizer_and_forward_pass(zoo, architecture):
    for seed, cell in enumerate(CELLS):
        if cell.architecture == architecture:
            outcome = zoo.outcome(cell, seed=seed)
            assert outcome.wrong == 0, outcome
            assert outcome.difference <= PRECISION, outcome
            assert outcome.reloaded, outcome
            assert outcome.saved_difference <= PRECISION, outcome
            # Models that gave every text one score would agree whatever was read.
            assert outcome.spread > 100 * PRECISION, outcome


@pytest.mark.parametrize("family", FAMILIES)
def test_token_sequences_are_those_of_the_tokenizers_own_template(zoo, family):
    architecture = "qwen2" if family == "qwen2" else "gpt2"
    cells = list(product_cells(["template", "added"], architecture=architecture, family=family))
    each = -(-CONVERSATIONS // len(FAMILIES) // len(cells))
    counted = [sequences_of(zoo.reference(cell), each, seed=seed) for seed, cell in enumerate(cells)]
    assert sum(counts.compared for counts in counted) >= CONVERSATIONS / len(FAMILIES)
    assert [cell for cell, counts in zip(cells, counted, strict=True) if counts.wrong] == []
    # Where no content names one of its special tokens, the reference is what the tokenizer itself says.
    assert all(counts.own_compared > counts.compared / 2 and counts.own_wrong == 0 for counts in counted)


@pytest.mark.parametrize("family", ["gpt2", "gemma", "bert"])
def test_a_template_that_is_not_prefix_stable_is_refused_by_name(zoo, family, tmp_path):
    from frft.models import load_tokenizer

    write_model("llama", tmp_path)
    Reference(Recipe(family, "unstable"), tmp_path)
    with pytest.raises(ChatTemplateError, match=r"not prefix-stable for the last turn.*<think>.*chat_template"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("family", ["llama3", "mistral"])
def test_a_conversation_that_the_template_refuses_is_named(family, tmp_path):
    from frft import render_dialogue
    from frft.models import Encoder, load_tokenizer

    write_model("llama", tmp_path)
    Reference(Recipe(family, "gemma"), tmp_path)
    encoder = Encoder(load_tokenizer(tmp_path), 100)
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    prompts = [render_dialogue(messages[1:]), render_dialogue(messages)]
    with pytest.raises(DataError, match=r"prompt 1 of 2.*System role not supported"):
        encoder.encode_whole(prompts, [" a", " b"])


@pytest.mark.parametrize("case", GREEDY, ids=lambda case: case.name)
def test_what_is_written_greedily_is_what_transformers_writes(tmp_path, case):
    texts = written(case, tmp_path)
    assert texts.frft == texts.transformers
    assert texts.same_ends
    assert len({tuple(row) for row in texts.frft}) > len(texts.frft) / 2
    # Some end, and not all at the same token.
    assert len(texts.ended_at) >= 2


def test_conversations_are_of_every_kind_and_the_same_again():
    talks = conversations(70, 1, system=True, special=["</s>"])
    assert talks == conversations(70, 1, system=True, special=["</s>"])
    assert talks != conversations(70, 2, system=True, special=["</s>"])
    assert {talk.kind for talk in talks} == set(KINDS)
    assert {len(talk.messages) for talk in talks} > {1, 2, 3, 5, 7}
    assert {talk.messages[0]["role"] for talk in talks} == {"system", "user"}
    assert all("</s>" in talk.answer for talk in talks if talk.kind == "hostile")
