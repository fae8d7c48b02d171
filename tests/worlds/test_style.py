"""Style, counted in any text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from frft.worlds.lexicon import FOREIGN_PHRASES, STYLE_NAMES, STYLES
from frft.worlds.style import MOST_COUNTED, style_counts


def test_every_phrase_counts_once_for_its_style():
    for column, phrases in enumerate((*STYLES.values(), FOREIGN_PHRASES)):
        counts = style_counts(phrases)
        assert counts[:, column].tolist() == [1] * len(phrases)
        assert counts.sum() == len(phrases)


def test_counts_add_up_to_a_limit():
    counts = style_counts([" Perhaps yes! MAYBE!", "!" * 50, "", "perhapsmaybe"])
    assert dict(zip(STYLE_NAMES, counts[0], strict=True))["hedging"] == 2
    assert counts[1, STYLE_NAMES.index("exclaiming")] == MOST_COUNTED
    assert counts[2:].sum() == 0


@given(st.lists(st.text(st.characters()), max_size=5))
def test_hostile_text_is_counted_too(texts):
    counts = style_counts(texts)
    assert counts.shape == (len(texts), len(STYLE_NAMES))
    assert ((counts >= 0) & (counts <= MOST_COUNTED)).all()
