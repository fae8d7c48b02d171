"""Requests: what a prompt asks for, written as a prompt's text and read back from any.

A request asks for 2 to 4 items of 1 to 3 categories (at most two of each), may forbid another category, and may ask for
a short answer. There are 23,696 requests about 12 categories (1,312 about 6), and with the wordings and the orders of
what is asked millions of prompts.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from frft.conversation import ASSISTANT_MARK, MARKS
from frft.errors import RewardError, printable
from frft.worlds.draws import RowNumbers, integers, stream, uniforms
from frft.worlds.lexicon import (
    ASK_ENDS,
    ASK_STARTS,
    CATEGORIES,
    COUNT_WORDS,
    FORBID_WORDS,
    FORBIDDING,
    SHORT_WORDS,
    SHORTENING,
    plural,
    with_article,
)
from frft.worlds.text import Codes, Pieces

MOST_ASKED = 4
"""Items that a request can ask for."""
SHARES = {"pool": 0.7, "demonstrations": 0.1, "train": 0.1, "evaluation": 0.1}
"""Share of all requests that each purpose gets: no two purposes share a request, in whatever wording."""

_SEPARATORS = (" ", ", ", " and ")
_ASKED = [(with_article(name), f"two {plural(name)}") for name in CATEGORIES]
_PIECES = Pieces(
    {
        "start": [f"{MARKS['user']} {text}" for text in ASK_STARTS],
        "ask": [separator + text for both in _ASKED for text in both for separator in _SEPARATORS],
        "end": ASK_ENDS,
        "forbid": [f" {text.format(plural(name))}" for name in CATEGORIES for text in FORBIDDING],
        "shorten": [f" {text}" for text in SHORTENING],
        "assistant": [ASSISTANT_MARK],
    }
)


@dataclass(frozen=True)
class Requests:
    """What N prompts ask for.

    Attributes:
        asked: the category of each item asked for, in the order of asking, then -1: int64 (N, MOST_ASKED).
        forbidden: the category that is forbidden, or -1: int64 (N,).
        short: whether a short answer is asked for: bool (N,).
    """

    asked: RowNumbers
    forbidden: RowNumbers
    short: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.forbidden)

    @property
    def counts(self) -> RowNumbers:
        """Items asked for of each category: int64 (N, categories)."""
        return np.asarray((self.asked[:, :, None] == np.arange(len(CATEGORIES))).sum(axis=1))

    @property
    def total(self) -> RowNumbers:
        """Items asked for: int64 (N,)."""
        return np.asarray((self.asked >= 0).sum(axis=1))

    def take(self, rows: Any) -> Requests:
        """The requests at the positions `rows`, or where a mask is true."""
        return Requests(self.asked[rows], self.forbidden[rows], self.short[rows])


def requests_for(purpose: str, seed: int, categories: int = len(CATEGORIES), first: int = 0) -> Requests:
    """The requests about `categories` categories, from number `first`, that serve one purpose (a key of SHARES), in an
    order that the seed decides."""
    every = _every_request(first, categories)
    # The numbers of a world with one domain are those of the first domain of any other.
    key = stream(seed, "requests", first) if first else stream(seed, "requests")
    order = np.argsort(uniforms(key, np.arange(len(every)), 1)[:, 0])
    ends = np.round(np.cumsum([0.0, *SHARES.values()]) * len(every)).astype(np.int64)
    place = list(SHARES).index(purpose)
    return every.take(order[ends[place] : ends[place + 1]])


def write_prompts(requests: Requests, key: int, rows: RowNumbers) -> tuple[Any, Requests]:
    """Prompts in drawn wordings: (Arrow array of N texts, the requests with their items in the order of asking)."""
    u_NK = uniforms(key, rows, 3 + MOST_ASKED)
    count_NC = requests.counts
    # The places of the first items of each category, in a drawn order.
    first_NS = (requests.asked >= 0) & (np.roll(requests.asked, 1, axis=1) != requests.asked)
    first_NS[:, 0] = True
    # 2 is above every uniform number, so places without a first item are sorted to the end.
    order_NS = np.argsort(np.where(first_NS, u_NK[:, 3:], 2.0), axis=1)
    category_NS = np.take_along_axis(np.where(first_NS, requests.asked, -1), order_NS, axis=1)
    count_NS = np.where(category_NS >= 0, np.take_along_axis(count_NC, np.maximum(category_NS, 0), axis=1), 0)
    last_N = (category_NS >= 0).sum(axis=1) - 1
    place_NS = np.arange(MOST_ASKED)[None, :]
    separator_NS = np.where(place_NS == 0, 0, np.where(place_NS == last_N[:, None], 2, 1))
    # The pieces of "ask" go by category, then one or two of it, then separator.
    ask_NS = (category_NS * 2 + count_NS - 1) * len(_SEPARATORS) + separator_NS
    wording_N = integers(u_NK[:, 0], len(ASK_STARTS))
    forbid_N = requests.forbidden * len(FORBIDDING) + integers(u_NK[:, 1], len(FORBIDDING))
    shorten_N = integers(u_NK[:, 2], len(SHORTENING))
    first = _PIECES.first
    codes = [
        first["start"] + wording_N,
        *np.where(category_NS >= 0, first["ask"] + ask_NS, -1).T,
        first["end"] + wording_N,
        np.where(requests.forbidden >= 0, first["forbid"] + forbid_N, -1),
        np.where(requests.short, first["shorten"] + shorten_N, -1),
        np.full(len(requests), first["assistant"]),
    ]
    asked = _laid_out(np.repeat(category_NS.ravel(), count_NS.ravel()), count_NS.sum(axis=1))
    return _PIECES.join(np.stack(codes, axis=1)), Requests(asked, requests.forbidden, requests.short)


_CODES = Codes([*CATEGORIES, *map(plural, CATEGORIES), *COUNT_WORDS, *FORBID_WORDS, *SHORT_WORDS])
_NAMES = 2 * len(CATEGORIES)
_FIRST_SHORT = _CODES.of[SHORT_WORDS[0]]
# By the code of the word before a category: how many are asked for, 0 where it is forbidden. The last is also that of
# code -1, of all other words.
_COUNT_OF = np.array([0 if word in FORBID_WORDS else COUNT_WORDS.get(word, -1) for word in _CODES.words])


def read_prompts(prompts: Sequence[str]) -> Requests:
    """What N prompts ask for, from their text alone.

    A category after a, an, one or two is asked for, one after mention, out or any is forbidden, and "short" or "brief"
    asks for a short answer. Words that are none of these mean nothing.

    Raises:
        RewardError: a prompt asks for nothing or for more than MOST_ASKED items, forbids two categories or one that it
            asks for, or names a category in another way.
    """
    tokens = _CODES.tokens(prompts)
    before = np.where(np.roll(tokens.row, 1) == tokens.row, np.roll(tokens.code, 1), -1)
    before[:1] = -1
    # Codes go by singulars, plurals, and then the other words, so the category is the code modulo their number.
    named = (tokens.code >= 0) & (tokens.code < _NAMES)
    row, category = tokens.row[named], tokens.code[named] % len(CATEGORIES)
    count = _COUNT_OF[before[named]]
    refuse(
        prompts,
        np.bincount(row[count < 0], minlength=len(prompts)) > 0,
        "names a category neither to have nor to avoid",
    )
    total = np.bincount(row, weights=count, minlength=len(prompts)).astype(np.int64)
    refuse(prompts, total == 0, "asks for nothing that this world knows")
    refuse(prompts, total > MOST_ASKED, f"asks for more than {MOST_ASKED} items")
    asked = _laid_out(np.repeat(category, count), total)
    forbidden_NC = np.zeros((len(prompts), len(CATEGORIES)), bool)
    forbidden_NC[row[count == 0], category[count == 0]] = True
    refuse(prompts, forbidden_NC.sum(axis=1) > 1, "forbids more than one category")
    forbidden = np.where(forbidden_NC.any(axis=1), forbidden_NC.argmax(axis=1), -1)
    refuse(prompts, ((asked == forbidden[:, None]) & (asked >= 0)).any(axis=1), "forbids what it asks for")
    short = np.bincount(tokens.row[tokens.code >= _FIRST_SHORT], minlength=len(prompts)) > 0
    return Requests(asked, forbidden, short)


def refuse(prompts: Sequence[str], wrong_N: npt.NDArray[np.bool_], why: str) -> None:
    """Raise `RewardError` for the first of N prompts that is wrong, where one is.

    Args:
        prompts: the prompts.
        wrong_N: which are wrong: bool (N,).
        why: what is wrong with them, a verb first.
    """
    if wrong_N.any():
        place = int(wrong_N.argmax())
        text = str(prompts[place])
        raise RewardError(
            f"Prompt {place + 1} of {len(prompts)} {why}: '{printable(text[:200])}'. "
            "The gold reward of a world is defined for that world's prompts only."
        )


def _laid_out(category: RowNumbers, total_N: RowNumbers) -> RowNumbers:
    """Categories of all rows one after another -> one row of MOST_ASKED places each, filled up with -1."""
    asked = np.full((len(total_N), MOST_ASKED), -1, np.int64)
    asked[np.arange(MOST_ASKED) < total_N[:, None]] = category
    return asked


@cache
def _every_request(first: int, number: int) -> Requests:
    categories = range(first, first + number)
    asked = [
        [category for category, count in zip(chosen, counts, strict=True) for _ in range(count)]
        for kinds in (1, 2, 3)
        for chosen in itertools.combinations(categories, kinds)
        for counts in itertools.product((1, 2), repeat=kinds)
        if 2 <= sum(counts) <= MOST_ASKED
    ]
    rows = [
        ([*items, *[-1] * (MOST_ASKED - len(items))], forbidden, short)
        for items in asked
        for forbidden in (-1, *categories)
        if forbidden not in items
        for short in (False, True)
    ]
    columns = zip(*rows, strict=True)
    return Requests(*(np.array(column) for column in columns))
