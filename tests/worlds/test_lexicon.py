"""The words: every style can be counted, and no word is two things."""

from __future__ import annotations

import pytest

from frft.worlds.lexicon import (
    FOREIGN,
    FOREIGN_PHRASES,
    ITEM_NAMES,
    ITEMS,
    ITEMS_EACH,
    LEAD_INS,
    MARKERS,
    NOTHING,
    ON_TOPIC,
    RAMBLES,
    STYLES,
    TOKEN,
    with_article,
)


def words(text):
    return [token.lower() for token in TOKEN.findall(text)]


@pytest.mark.parametrize("style", [*STYLES, FOREIGN])
def test_a_phrase_has_one_marker_of_its_style_and_none_of_another(style):
    phrases = {**STYLES, FOREIGN: FOREIGN_PHRASES}[style]
    assert len(set(phrases)) == len(FOREIGN_PHRASES)
    for phrase in phrases:
        found = [name for name, markers in MARKERS.items() for word in words(phrase) if word in markers.split()]
        assert found == [style], phrase


def test_what_is_no_styles_phrase_has_no_marker():
    markers = {marker for each in MARKERS.values() for marker in each.split()}
    for text in (*LEAD_INS, NOTHING, *RAMBLES, *ITEM_NAMES):
        assert not markers & set(words(text))


def test_items_are_one_word_of_one_category_and_nothing_else():
    assert all(len(items.split()) == ITEMS_EACH for items in ITEMS.values())
    assert len(set(ITEM_NAMES)) == len(ITEM_NAMES)
    phrases = (*LEAD_INS, NOTHING, *RAMBLES, *FOREIGN_PHRASES, *sum(STYLES.values(), ()))
    assert not set(ITEM_NAMES) & {word for text in phrases for word in words(text)}


def test_rambling_is_off_topic():
    for text in RAMBLES:
        assert sum(word not in ON_TOPIC for word in words(text)) >= 3, text


def test_articles():
    assert [with_article(noun) for noun in ("apple", "pear", "owl")] == ["an apple", "a pear", "an owl"]
