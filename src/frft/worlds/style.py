"""The style of a text: how many markers of each style it holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from frft.worlds.draws import RowNumbers
from frft.worlds.lexicon import MARKERS, STYLE_NAMES
from frft.worlds.text import Codes

MOST_COUNTED = 4
"""The largest count of a style: further markers of it do not raise it."""

_CODES = Codes([marker for name in STYLE_NAMES for marker in MARKERS[name].split()])
_STYLE_OF = np.repeat(np.arange(len(STYLE_NAMES)), [len(MARKERS[name].split()) for name in STYLE_NAMES])


def style_counts(completions: Sequence[str]) -> RowNumbers:
    """Markers of each style in N texts, up to MOST_COUNTED: int64 (N, styles), in the order of STYLE_NAMES."""
    tokens = _CODES.tokens(completions)
    marked = tokens.code >= 0
    cell = tokens.row[marked] * len(STYLE_NAMES) + _STYLE_OF[tokens.code[marked]]
    counts = np.bincount(cell, minlength=len(completions) * len(STYLE_NAMES))
    return np.minimum(counts, MOST_COUNTED).reshape(len(completions), len(STYLE_NAMES))
