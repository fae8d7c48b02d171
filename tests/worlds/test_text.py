"""Texts from pieces and into tokens, against Python's own regular expressions."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from frft.worlds.lexicon import TOKEN
from frft.worlds.text import Codes, Pieces, token_lengths

CODES = Codes(["apple", "an", ".", "!"])
ANY_TEXT = st.one_of(
    st.text(st.characters()),
    st.text(st.sampled_from("apple An.!'\x00\x1b\n\t\r\v\f\x7f\x85 \ud800\udc00é世🍎")),
)


@given(st.lists(ANY_TEXT, max_size=6))
def test_tokens_are_those_of_the_documented_expression(texts):
    tokens = CODES.tokens(texts)
    expected = [TOKEN.findall(text) for text in texts]
    assert tokens.length.tolist() == list(map(len, expected)) == token_lengths(texts).tolist()
    assert tokens.row.tolist() == [row for row, found in enumerate(expected) for _ in found]
    lower = [token.lower() if token.isascii() else token for found in expected for token in found]
    assert tokens.code.tolist() == [CODES.of.get(token, -1) for token in lower]


def test_arrow_columns_and_lists_are_the_same():
    texts = ["An apple.", "", "no!"]
    for given_as in (pa.array(texts), pa.chunked_array([texts[:1], texts[1:]])):
        assert (CODES.tokens(given_as).code == CODES.tokens(texts).code).all()


def test_pieces_are_joined_in_order_and_none_is_left_out():
    pieces = Pieces({"a": ["x", "y"], "b": ["z"]})
    assert dict(list(pieces.first.items())) == {"a": 0, "b": 2}
    assert pieces.join(np.array([[2, -1, 0], [-1, -1, -1], [1, 1, -1]])).to_pylist() == ["zx", "", "yy"]
