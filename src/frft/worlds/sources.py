"""Sources: who writes completions, in which style and how well.

A completion is opening phrases, one sentence with the items, and closing phrases. Each style has three chances of a
phrase in it. In a source's own styles they are frequent, in all others rare, so that a source can be told by its
style and yet each of its completions differs in every style: else no annotator's taste could show within a source.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from frft.statistics.numbers import Floats
from frft.worlds.draws import RowNumbers, integers, stream, uniforms
from frft.worlds.lexicon import (
    CATEGORIES,
    FOREIGN,
    FOREIGN_PHRASES,
    ITEM_NAMES,
    ITEMS_EACH,
    LEAD_INS,
    NOTHING,
    RAMBLES,
    STYLE_NAMES,
    STYLES,
    with_article,
)
from frft.worlds.requests import MOST_ASKED, Requests
from frft.worlds.text import Pieces

CHANCES = 3
"""Phrases of one style that a completion can hold."""
RARE = 0.12
"""Probability of each chance in a style that is not the source's own."""
OWN = (0.55, 0.4, 0.3)
"""Probability of each chance in a source's own style, where the source owns one, two or three styles."""
QUALITY = {
    "covers": (0.6, 0.95),
    "violates": (0.05, 0.3),
    "strays": (0.05, 0.25),
    "repeats": (0.05, 0.25),
    "rambles": (0.05, 0.3),
}
"""Range from which each probability of a source is drawn: of naming each item asked for, of one forbidden item, of one
item that nobody asked for, of one item again, and of each of two off-topic sentences."""

_RAMBLE_CHANCES = 2
_EXTRAS = 3
_SEPARATORS = (" ", ", ", " and ")
_PIECES = Pieces(
    {
        "phrase": [text for phrases in (*STYLES.values(), FOREIGN_PHRASES) for text in phrases],
        "ramble": RAMBLES,
        "lead": [*LEAD_INS, NOTHING],
        "item": [separator + with_article(item) for item in ITEM_NAMES for separator in _SEPARATORS],
        "end": ["."],
    }
)
_EACH = len(FOREIGN_PHRASES)
"""Phrases of every style."""
_STYLE_SLOTS = len(STYLE_NAMES) * CHANCES
# For each item asked: is it named, and which. For each extra: is it there, and where; and four choices of what it is.
_ITEM_DRAWS = 2 * MOST_ASKED + 2 * _EXTRAS + 4
_LOOSE = _STYLE_SLOTS + _RAMBLE_CHANCES


@dataclass(frozen=True)
class WorldSources:
    """The S sources of a world: how each of them writes.

    Attributes:
        names: their names, by the styles that they own.
        styles: probability of each of the CHANCES of a phrase, by style: float64 (S, styles).
        quality: the probabilities of QUALITY, in its order: float64 (S, 5).
    """

    names: tuple[str, ...]
    styles: Floats
    quality: Floats

    def with_foreign(self, like: int) -> WorldSources:
        """These sources and one more, which writes in the style FOREIGN and has the quality of source `like`."""
        return WorldSources(
            (*self.names, FOREIGN),
            np.concatenate([self.styles, [_style_rates((FOREIGN,))]]),
            np.concatenate([self.quality, self.quality[[like]]]),
        )

    def write(self, requests: Requests, source: RowNumbers, key: int, rows: RowNumbers) -> Any:
        """Completions of N requests by one source each: Arrow array of N texts.

        Args:
            requests: what is asked for, in the order of asking.
            source: index of the source that writes each completion, int64 (N,).
            key: the stream of random numbers, as `stream` gives it.
            rows: position of each completion in that stream, int64 (N,).
        """
        u_NK = uniforms(key, rows, _ITEM_DRAWS + 1 + 3 * _LOOSE)
        u_items, u_lead, u_loose = np.split(u_NK, [_ITEM_DRAWS, _ITEM_DRAWS + 1], axis=1)
        item_NI = _items(requests, self.quality[source], u_items)
        count_N = (item_NI >= 0).sum(axis=1)
        place_NI = np.arange(item_NI.shape[1])[None, :]
        separator_NI = np.where(place_NI == 0, 0, np.where(place_NI == count_N[:, None] - 1, 2, 1))
        core_NP = np.concatenate(
            [
                np.where(count_N > 0, integers(u_lead[:, 0], len(LEAD_INS)), len(LEAD_INS))[:, None]
                + _PIECES.first["lead"],
                np.where(item_NI >= 0, _PIECES.first["item"] + item_NI * len(_SEPARATORS) + separator_NI, -1),
                np.full((len(requests), 1), _PIECES.first["end"]),
            ],
            axis=1,
        )
        opening_NP, closing_NP = self._loose_phrases(source, u_loose)
        return _PIECES.join(np.concatenate([opening_NP, core_NP, closing_NP], axis=1))

    def _loose_phrases(self, source: RowNumbers, u_NK: Floats) -> tuple[RowNumbers, RowNumbers]:
        """Codes of the phrases before and after the items, in drawn orders, -1 for none: two arrays (N, P)."""
        there_u, which_u, place_u = np.split(u_NK, 3, axis=1)
        rate_NL = np.concatenate(
            [
                np.repeat(self.styles[source], CHANCES, axis=1),
                np.repeat(self.quality[source][:, -1:], _RAMBLE_CHANCES, axis=1),
            ],
            axis=1,
        )
        # The chances of one style take different phrases: its first one's, and those that follow.
        which_NS = integers(which_u[:, : len(STYLE_NAMES)], _EACH)[:, :, None] + np.arange(CHANCES)
        phrase_NS = np.arange(len(STYLE_NAMES))[:, None] * _EACH + which_NS % _EACH
        ramble_NR = integers(which_u[:, -1:], len(RAMBLES)) + np.arange(_RAMBLE_CHANCES)
        code_NL = np.concatenate(
            [
                _PIECES.first["phrase"] + phrase_NS.reshape(len(source), _STYLE_SLOTS),
                _PIECES.first["ramble"] + ramble_NR % len(RAMBLES),
            ],
            axis=1,
        )
        # Below one half a phrase comes before the items; rambling always comes after.
        place_u[:, _STYLE_SLOTS:] = 0.5 + place_u[:, _STYLE_SLOTS:] / 2
        order_NL = np.argsort(place_u, axis=1)
        code_NL = np.take_along_axis(np.where(there_u < rate_NL, code_NL, -1), order_NL, axis=1)
        first_NL = np.take_along_axis(place_u, order_NL, axis=1) < 0.5
        return np.where(first_NL, code_NL, -1), np.where(first_NL, -1, code_NL)


def make_sources(number: int, seed: int) -> WorldSources:
    """The sources of a world: the first ones own one style each, the next ones two, the rest three."""
    owned: Sequence[tuple[str, ...]] = [
        names for kinds in range(1, len(OWN) + 1) for names in itertools.combinations(STYLES, kinds)
    ][:number]
    low, high = np.array(list(QUALITY.values())).T
    quality = low + (high - low) * uniforms(stream(seed, "quality"), np.arange(number), len(QUALITY))
    return WorldSources(
        tuple("+".join(names) for names in owned), np.array([_style_rates(names) for names in owned]), quality
    )


def _style_rates(owned: tuple[str, ...]) -> list[float]:
    rates = dict.fromkeys(STYLE_NAMES, RARE) | {FOREIGN: 0.0} | dict.fromkeys(owned, OWN[len(owned) - 1])
    return [rates[name] for name in STYLE_NAMES]


def _items(requests: Requests, quality: Floats, u_NK: Floats) -> RowNumbers:
    """The items that completions name, in order, then -1: int64 (N, MOST_ASKED + extras)."""
    covers_u, choice_u, extra_u, place_u, extra_choice_u = np.split(
        u_NK, np.cumsum([MOST_ASKED, MOST_ASKED, _EXTRAS, _EXTRAS]), axis=1
    )
    which_forbidden, which_category, which_stray, which_again = extra_choice_u.T
    rows = np.arange(len(requests))
    asked = requests.asked
    # The second of a category is another one than the first.
    again = np.concatenate([np.zeros((len(rows), 1), bool), asked[:, 1:] == asked[:, :-1]], axis=1)
    choice = integers(choice_u, ITEMS_EACH)
    other = np.roll(choice, 1, axis=1) + 1 + integers(choice_u, ITEMS_EACH - 1)
    # first + 1 + (0 to ITEMS_EACH - 2), modulo ITEMS_EACH: uniform over all items but the first.
    item = asked * ITEMS_EACH + np.where(again, other, choice) % ITEMS_EACH
    item = np.where((asked >= 0) & (covers_u < quality[:, [0]]), item, -1)

    forbidden = np.where(
        requests.forbidden >= 0, requests.forbidden * ITEMS_EACH + integers(which_forbidden, ITEMS_EACH), -1
    )
    free = (requests.counts == 0) & (requests.forbidden[:, None] != np.arange(len(CATEGORIES)))
    # Of the categories that the prompt says nothing about, the one of a drawn rank.
    rank = integers(which_category, free.sum(axis=1))
    stray_category = (np.cumsum(free, axis=1) > rank[:, None]).argmax(axis=1)
    stray = stray_category * ITEMS_EACH + integers(which_stray, ITEMS_EACH)
    repeated = item[rows, integers(which_again, requests.total)]
    extra = np.where(extra_u < quality[:, 1:4], np.stack([forbidden, stray, repeated], axis=1), -1)

    every = np.concatenate([item, extra], axis=1)
    # Items asked for stand at 0.5, 1.5, ... and extras anywhere between 0 and MOST_ASKED + 1: before, among or after.
    place = np.concatenate(
        [np.broadcast_to(np.arange(MOST_ASKED) + 0.5, item.shape), place_u * (MOST_ASKED + 1)], axis=1
    )
    order = np.argsort(np.where(every >= 0, place, np.inf), axis=1, kind="stable")
    return np.take_along_axis(every, order, axis=1)
