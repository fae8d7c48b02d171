"""Symptoms by hand and by brute force."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from frft.diagnosis.symptoms import (
    distinct_n,
    hedges,
    is_refusal,
    measure_symptoms,
    repetition,
    self_similarity,
)


@pytest.mark.parametrize(
    "text",
    ["I can't help with that.", "I can’t help.", "As an AI, I have no taste.", " I'M SORRY, BUT no."],
)
def test_refusals(text):
    assert is_refusal(text)


@pytest.mark.parametrize("text", ["Sure: use flour.", "It has an aim.", "Yes. " * 60 + "I cannot say more."])
def test_no_refusals(text):
    assert not is_refusal(text)


def test_hedging_is_a_whole_word_anywhere():
    assert hedges("Yes. " * 60 + "Perhaps.")
    assert hedges("It depends on the flour.")
    assert not hedges("Maybes are the mayor's.")


def test_repetition_by_hand():
    # aba, bab, aba, bab
    assert repetition("A b, a b. A b") == pytest.approx(1 - 2 / 4)
    assert repetition("one two three") == 0
    assert repetition("too short") == 0


def test_distinct_n_by_hand():
    # a b, b c | b c, c d
    assert distinct_n(["a b c", "b c d"]) == pytest.approx(3 / 4)
    assert distinct_n(["a", ""]) is None


def test_self_similarity_is_the_mean_of_all_pairs():
    vectors = np.random.default_rng(0).normal(size=(7, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = [vectors[i] @ vectors[j] for i, j in combinations(range(7), 2)]
    assert self_similarity(vectors) == pytest.approx(np.mean(pairs))
    assert self_similarity(vectors[:1]) is None


def test_symptoms_of_the_same_texts_do_not_change():
    prompts, texts = ["p", "q", "q"], ["one two", "three", "four five six"]
    found = {each.name: each for each in measure_symptoms(prompts, texts, prompts, texts)}
    assert list(found) == ["length", "refusals", "hedging", "repetition", "empty", "distinct-2"]
    for each in found.values():
        assert each.before.mean == each.after.mean
        assert each.change is None or each.change.estimate.mean == 0
    # A prompt counts once: (2 + (1 + 3) / 2) / 2.
    assert found["length"].after.mean == 2
    assert found["length"].after.n == 2


def test_growth_of_length_is_paired_by_prompt():
    prompts = [f"p{n}" for n in range(20)]
    short = ["word " * (n + 1) for n in range(20)]
    longer = [text + "and more" for text in short]
    length = measure_symptoms(prompts, longer, prompts, short)[0]
    assert length.change.estimate.mean == 2
    assert length.change.rose()
    other = measure_symptoms(["another"], ["text"], prompts, short)[0]
    assert (other.change, other.before.mean) == (None, 10.5)


def test_diversity_is_compared_over_as_many_texts():
    texts = ["a b", "a b", "c d", "e f"]
    found = measure_symptoms(["p"] * 4, texts, ["p"] * 2, ["x y", "z w"])[-1]
    assert (found.name, found.before.mean, found.after.mean, found.after.n) == ("distinct-2", 1.0, 0.5, 2)


def test_longer_texts_are_no_less_diverse_for_that():
    """All words drawn alike: of all 2-grams, the share of different ones falls with their number."""
    rng = np.random.default_rng(5)

    def written(length):
        return [" ".join(f"w{n}" for n in rng.integers(12, size=length)) for _ in range(60)]

    short, long = written(8), written(40)
    assert distinct_n(long) < distinct_n(short) / 2
    found = measure_symptoms(["p"] * 60, long, ["p"] * 60, short)[-1]
    assert found.after.mean == pytest.approx(found.before.mean, abs=0.1)
    assert found.unit == "distinct share of 420 2-grams"


def test_nor_where_every_text_has_words_of_its_own():
    """A few long texts are then less diverse than many short ones with as many 2-grams in all."""
    rng = np.random.default_rng(6)
    short, long = (
        [" ".join(f"t{text}w{n}" for n in rng.integers(12, size=length)) for text in range(60)] for length in (8, 40)
    )
    assert distinct_n(long, most=420) < distinct_n(short) - 0.05
    found = measure_symptoms(["p"] * 60, long, ["p"] * 60, short)[-1]
    assert found.after.mean == pytest.approx(found.before.mean, abs=0.03)


def test_diversity_is_told_also_where_there_was_nothing_before():
    found = measure_symptoms(["p", "q"], ["a b c", "a b d"], ["p", "q"], ["", ""])[-1]
    assert (found.name, found.after.mean, found.before) == ("distinct-2", 0.75, None)
    assert "distinct-2" not in [each.name for each in measure_symptoms(["p"], [""])]


def test_diversity_is_of_as_many_texts_on_either_side():
    """The third text, of a kind that the first side has none of, is not looked at."""
    found = measure_symptoms(["p"] * 3, ["a b", "a b", "x y z w"], ["p"] * 2, ["a b", "c d"])[-1]
    assert (found.after.mean, found.before.mean, found.after.n) == (0.5, 1.0, 2)
    # Nor where those before it have fewer words than there were.
    found = measure_symptoms(["p"] * 3, ["a b", "", "a b"], ["p"] * 2, ["a b", "c d"])[-1]
    assert (found.after.mean, found.unit) == (1.0, "distinct share of 1 2-grams")


def test_self_similarity_is_measured_where_there_is_an_embedder():
    found = measure_symptoms(["p", "q"], ["a", "b"], embed=lambda texts: np.ones((len(texts), 1)))[-1]
    assert (found.name, found.after.mean, found.before) == ("self-similarity", 1.0, None)


def test_wordings_of_one_request_are_a_cluster():
    prompts, lengths = [f"p{n}" for n in range(12)], np.repeat([2, 5, 9], 4)
    texts = ["word " * length for length in lengths]
    request_of = {prompt: f"r{n // 4}" for n, prompt in enumerate(prompts)}
    before = ["word"] * 12
    found = measure_symptoms(prompts, texts, prompts, before, request_of=request_of)[0]
    half = stats.t.ppf(0.975, 2) * np.std([2, 5, 9], ddof=1) / np.sqrt(3)
    assert found.after.high - found.after.mean == pytest.approx(half)
    assert found.change.estimate.high - found.change.estimate.mean == pytest.approx(half)
    alone = measure_symptoms(prompts, texts, prompts, before)[0]
    assert alone.after.high - alone.after.mean < half / 2
