"""Many texts at once: put together from numbered pieces, and taken apart into numbered tokens."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from frft.worlds.draws import RowNumbers

# Must say what frft.worlds.lexicon.TOKEN says: every character but letters, digits and blanks stands alone.
_ALONE = r"([^0-9A-Za-z \t-\r])"


@dataclass(frozen=True)
class Tokens:
    """The tokens of N texts, T in all.

    Attributes:
        code: the code of each token, or -1 where it has none: int64 (T,).
        row: the text that each token stands in, ascending: int64 (T,).
        length: tokens of each text: int64 (N,).
    """

    code: RowNumbers
    row: RowNumbers
    length: RowNumbers


class Codes:
    """Codes of lower-case tokens: 0, 1, ... in the order given.

    Attributes:
        words: the tokens, by code.
        of: the code of each token.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self.of: Mapping[str, int] = {word: number for number, word in enumerate(words)}
        self._known = pa.array(self.words)

    def __len__(self) -> int:
        return len(self.words)

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """The tokens of N texts, whatever is in them; see `frft.worlds.lexicon.TOKEN`."""
        array = texts if isinstance(texts, pa.ChunkedArray | pa.Array) else _texts(texts)
        array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
        parted = pc.replace_substring_regex(pc.ascii_lower(array), _ALONE, r" \1 ")
        lists = pc.ascii_split_whitespace(parted)
        flat = lists.flatten()
        # Splitting gives an empty string where a text begins or ends in a blank.
        filled = np.asarray(pc.binary_length(flat)) > 0
        code = np.asarray(pc.fill_null(pc.index_in(flat, self._known), -1)).astype(np.int64)
        row = np.repeat(np.arange(len(array)), np.asarray(pc.list_value_length(lists)))
        return Tokens(code[filled], row[filled], np.bincount(row[filled], minlength=len(array)))


def token_lengths(texts: Sequence[str]) -> RowNumbers:
    """Tokens of N texts: int64 (N,)."""
    # Every token counts, with or without a code, so any vocabulary will do.
    return Codes(["."]).tokens(texts).length


class Pieces:
    """What texts are put together from: texts of several kinds, numbered one kind after the other.

    Attributes:
        first: the code of the first piece of each kind.
    """

    def __init__(self, kinds: Mapping[str, Sequence[str]]) -> None:
        starts = itertools.accumulate(map(len, kinds.values()), initial=0)
        self.first: Mapping[str, int] = dict(zip(kinds, starts, strict=False))
        self._table = pa.array(list(itertools.chain(*kinds.values())), pa.string())

    def join(self, code_NP: RowNumbers) -> Any:
        """N texts, an Arrow array: in each the pieces that its row of P codes names, -1 being none."""
        there_NP = code_NP >= 0
        offsets = np.concatenate([[0], np.cumsum(there_NP.sum(axis=1))])
        pieces = self._table.take(pa.array(code_NP[there_NP]))
        return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pieces), "")


def _texts(texts: Sequence[str]) -> Any:
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:
        # Half of a surrogate pair has no UTF-8. It is a token of its own and in no vocabulary, as is U+FFFD.
        return pa.array([_repaired(text) for text in texts], pa.string())


def _repaired(text: str) -> str:
    return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)
