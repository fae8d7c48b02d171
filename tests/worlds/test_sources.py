"""Sources: each writes in its style and as well as its probabilities say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from frft.worlds.lexicon import (
    CATEGORIES,
    FOREIGN,
    ITEM_NAMES,
    ITEMS_EACH,
    RAMBLES,
    STYLE_NAMES,
    STYLES,
    TOKEN,
    VOCABULARY,
)
from frft.worlds.requests import requests_for
from frft.worlds.sources import CHANCES, QUALITY, make_sources
from frft.worlds.style import style_counts

NUMBER = 8000
ITEM_CODE = {item: code for code, item in enumerate(ITEM_NAMES)}


@pytest.fixture(scope="module")
def requests():
    every = requests_for("pool", 0)
    return every.take(np.arange(NUMBER) % len(every))


@pytest.fixture(scope="module")
def sources():
    return make_sources(8, 0).with_foreign(2)


def written(sources, requests, source):
    return sources.write(requests, np.full(NUMBER, source), 0, np.arange(NUMBER)).to_pylist()


def near(share, probability, number=NUMBER):
    return abs(share - probability) <= 5 * np.sqrt(probability * (1 - probability) / number)


@pytest.mark.parametrize("source", [0, 7, 8])
def test_items_and_rambles_are_as_frequent_as_the_quality_says(sources, requests, source):
    covers, violates, strays, repeats, rambles = sources.quality[source]
    lists = [
        [ITEM_CODE[word] for word in TOKEN.findall(text) if word in ITEM_CODE]
        for text in written(sources, requests, source)
    ]
    forbidden, asked = requests.forbidden, requests.counts
    named = np.zeros((NUMBER, len(CATEGORIES)), int)
    for row, items in enumerate(lists):
        np.add.at(named[row], [item // ITEMS_EACH for item in set(items)], 1)
    has = forbidden >= 0
    violated = named[np.arange(NUMBER), forbidden] > 0
    assert near(violated[has].mean(), violates, has.sum())
    strayed = ((asked == 0) & (named > 0) & (np.arange(len(CATEGORIES)) != forbidden[:, None])).sum(axis=1)
    assert near(strayed.mean(), strays)
    assert strayed.max() == 1
    covered = np.minimum(named, asked).sum()
    assert (named <= np.maximum(asked, 1)).all()
    assert near(covered / asked.sum(), covers, asked.sum())
    # What is repeated was named, which the item that is drawn for it may not have been.
    again = np.mean([len(items) > len(set(items)) for items in lists])
    assert near(again, repeats * covers)
    rambling = sum(text.count(phrase) for text in written(sources, requests, source) for phrase in RAMBLES)
    assert near(rambling / (2 * NUMBER), rambles, 2 * NUMBER)


def test_styles_are_as_frequent_as_the_source_says(sources, requests):
    for source in range(len(sources.names)):
        counts = style_counts(written(sources, requests, source)).mean(axis=0) / CHANCES
        assert all(near(*pair, NUMBER * CHANCES) for pair in zip(counts, sources.styles[source], strict=True))


def test_no_source_but_the_foreign_one_has_its_style(sources):
    assert sources.names == (*STYLES, "hedging+exclaiming", "hedging+formal", FOREIGN)
    column = STYLE_NAMES.index(FOREIGN)
    assert (sources.styles[:-1, column] == 0).all()
    assert sources.styles[-1].argmax() == column
    assert (sources.quality[-1] == sources.quality[2]).all()


def test_the_most_sources_have_different_styles_and_qualities_in_their_range():
    many = make_sources(41, 3)
    assert len(set(many.names)) == 41
    assert len(np.unique(many.styles, axis=0)) == 41
    low, high = np.array(list(QUALITY.values())).T
    assert ((many.quality >= low) & (many.quality <= high)).all()
    assert not (make_sources(41, 4).quality == many.quality).any()


def test_texts_are_sentences_of_the_vocabulary(sources, requests):
    for source in range(len(sources.names)):
        for text in written(sources, requests, source)[:500]:
            assert set(TOKEN.findall(text)) <= set(VOCABULARY)
            assert text.startswith(" ")
            assert "  " not in text
            assert text[-1] in ".!"


def test_a_text_depends_on_its_own_row_alone(sources, requests):
    whole = written(sources, requests, 1)
    some = np.array([5, 4000, 17])
    assert sources.write(requests.take(some), np.full(3, 1), 0, some).to_pylist() == [whole[row] for row in some]


def test_nothing_to_say_is_said(sources, requests):
    silent = replace(sources, styles=sources.styles * 0, quality=sources.quality * 0)
    assert set(written(silent, requests, 0)) == {" Nothing comes to mind."}
    perfect = replace(sources, styles=sources.styles * 0, quality=sources.quality * 0 + [1, 0, 0, 0, 0])
    assert not any("Nothing" in text for text in written(perfect, requests, 0))
