"""The gold reward r*(x, y) of a completion, from the two texts alone.

    r* = 3 C - 2 V - 2 T - O,    between -5 and 3, about 1 in standard deviation over a world's completions

    C  covered: sum over categories of min(asked, different items named), over the number of items asked
    V  violation: 1 - 2^-v, with v the different forbidden items named
    T  too long: 1 - exp(-(e / 12)^2), with e = max(0, tokens - budget); the budget is 3 tokens for every item asked,
       and 8 more where the prompt asks for a short answer, else 20
    O  off topic: 1 - exp(-o / 6), with o the tokens that no answer needs, the different items of categories that
       nobody asked for, and the different items of a category beyond as many as were asked

A token is a run of ASCII letters and digits, or any other single character but a blank; letters count as lower case.
An item named again gives nothing and costs its length. Neither grammar nor style is looked at. The weights are
constants: the same text has the same reward in every world.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from frft.statistics.numbers import Floats
from frft.worlds.draws import RowNumbers
from frft.worlds.lexicon import CATEGORIES, ITEM_NAMES, ITEMS_EACH, ON_TOPIC
from frft.worlds.requests import Requests
from frft.worlds.text import Codes, Tokens

COVERED, VIOLATION, TOO_LONG, OFF_TOPIC = 3.0, 2.0, 2.0, 1.0
TOKENS_PER_ITEM, SPARE_TOKENS, SPARE_TOKENS_SHORT = 3, 20, 8
LENGTH_SCALE, OFF_TOPIC_SCALE = 12.0, 6.0
ROWS_AT_ONCE = 8192
"""Texts that are scored at a time, which bounds memory."""

_CODES = Codes([*ITEM_NAMES, *sorted(ON_TOPIC)])


def gold_rewards(requests: Requests, completions: Sequence[str]) -> Floats:
    """The gold reward of a completion, whatever is in it, to each of N requests (see `read_prompts`): float64 (N,)."""
    parts = [
        _rewards(
            requests.take(slice(start, start + ROWS_AT_ONCE)), _CODES.tokens(completions[start : start + ROWS_AT_ONCE])
        )
        for start in range(0, len(requests), ROWS_AT_ONCE)
    ]
    return np.concatenate(parts) if parts else np.empty(0)


def budget(requests: Requests) -> RowNumbers:
    """Tokens that an answer may have at no cost: int64 (N,)."""
    return TOKENS_PER_ITEM * requests.total + np.where(requests.short, SPARE_TOKENS_SHORT, SPARE_TOKENS)


def _rewards(requests: Requests, tokens: Tokens) -> Floats:
    is_item = (tokens.code >= 0) & (tokens.code < len(ITEM_NAMES))
    named = np.zeros((len(requests), len(ITEM_NAMES)), bool)
    named[tokens.row[is_item], tokens.code[is_item]] = True
    named_NC = named.reshape(len(requests), len(CATEGORIES), ITEMS_EACH).sum(axis=2)
    asked_NC = requests.counts
    forbidden_NC = requests.forbidden[:, None] == np.arange(len(CATEGORIES))

    # `requests.total` is never 0: a prompt that asks for nothing is refused when it is read.
    covered_N = np.minimum(asked_NC, named_NC).sum(axis=1) / requests.total
    violations_N = (named_NC * forbidden_NC).sum(axis=1)
    excess_N = np.maximum(0, tokens.length - budget(requests))
    # Forbidden items are charged as violations alone, not as off topic as well.
    beyond_N = (np.maximum(named_NC - asked_NC, 0) * ~forbidden_NC).sum(axis=1)
    strange_N = np.bincount(tokens.row[tokens.code < 0], minlength=len(requests))
    return np.asarray(
        COVERED * covered_N
        - VIOLATION * (1 - 0.5**violations_N)
        - TOO_LONG * (1 - np.exp(-((excess_N / LENGTH_SCALE) ** 2)))
        - OFF_TOPIC * (1 - np.exp(-(beyond_N + strange_N) / OFF_TOPIC_SCALE))
    )
