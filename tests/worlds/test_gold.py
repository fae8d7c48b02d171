"""The gold reward: by hand, against a plain reference, and what it must not depend on."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frft.worlds import World
from frft.worlds.gold import gold_rewards
from frft.worlds.lexicon import ITEMS, ON_TOPIC, TOKEN, VOCABULARY
from frft.worlds.requests import read_prompts

CATEGORY_OF = {item: category for category, items in ITEMS.items() for item in items.split()}
HOSTILE = st.text(st.characters(), max_size=60)
WORDS = st.lists(st.sampled_from([*CATEGORY_OF, "Perhaps", "zzz", "Yes", "!", ",", "\x1b[2J", "\ud800"]), max_size=40)


def gold(prompt, *completions):
    return gold_rewards(read_prompts([prompt] * len(completions)), completions).tolist()


def reference(asked: dict[str, int], forbidden: str | None, short: bool, completion: str) -> float:
    """The docstring's formula, word for word, for one text."""
    tokens = [token.lower() if token.isascii() else token for token in TOKEN.findall(completion)]
    items = {token for token in tokens if token in CATEGORY_OF}
    named = {category: sum(CATEGORY_OF[item] == category for item in items) for category in ITEMS}
    total = sum(asked.values())
    covered = sum(min(count, named[category]) for category, count in asked.items()) / total
    violations = named[forbidden] if forbidden else 0
    excess = max(0, len(tokens) - 3 * total - (8 if short else 20))
    off = sum(token not in CATEGORY_OF and token not in ON_TOPIC for token in tokens)
    off += sum(max(0, named[c] - asked.get(c, 0)) for c in ITEMS if c != forbidden)
    return 3 * covered - 2 * (1 - 2**-violations) - 2 * (1 - math.exp(-((excess / 12) ** 2))) - (1 - math.exp(-off / 6))


PROMPT = "Please name two fruits and a tool. Do not mention animals. Keep it short."


@pytest.mark.parametrize(
    ("completion", "reward"),
    [
        (" I suggest an apple, a pear and a hammer.", 3.0),
        (" I suggest a hammer, a pear and an apple.", 3.0),
        (" apple pear hammer", 3.0),
        (" APPLE, Pear! hammer?", 3.0),
        ("", 0.0),
        (" \n\t ", 0.0),
        (" Nothing comes to mind.", 0.0),
        (" Try an apple.", 1.0),
        (" Try an apple, an apple and an apple.", 1.0),
        (" Try an apple, a pear and a plum.", 2.0 - (1 - math.exp(-1 / 6))),
        (" Try an apple, a pear, a hammer and a dog.", 3.0 - 2 * 0.5),
        (" Try an apple, a pear, a hammer, a dog and a dog.", 3.0 - 2 * 0.5),
        (" Try a dog and a cat.", -2 * 0.75),
        (" Try an apple and a piano.", 1.0 - (1 - math.exp(-1 / 6))),
        # 17 tokens may be had; these are 17, and 29: 12 too many.
        (" apple pear hammer" + " ." * 14, 3.0),
        (" apple pear hammer" + " ." * 26, 3.0 - 2 * (1 - math.exp(-1))),
        # Half words and strange characters are off topic, each of them.
        (" app ham \x1b \ud800", -(1 - math.exp(-4 / 6))),
    ],
)
def test_by_hand(completion, reward):
    assert gold(PROMPT, completion) == [pytest.approx(reward, abs=1e-12)]


def test_the_budget_grows_with_what_is_asked_and_without_haste():
    filler = " ." * 22
    assert gold("Name a tool.", f" saw{filler}") == [3.0]
    assert gold("Name a tool. Be brief.", f" saw{filler}") == [pytest.approx(3 - 2 * (1 - math.exp(-1)))]
    assert gold("Name two jobs and two tools. Be brief.", f" saw axe baker pilot{' .' * 16}") == [3.0]


def test_against_the_reference_on_a_worlds_own_texts_and_on_ruined_ones():
    world = World()
    table = world.pairs(0, 300)
    rng = random.Random(0)
    prompts, texts = table["prompt"].to_pylist(), table["chosen"].to_pylist()
    ruined = ["".join(rng.sample(text, rng.randrange(len(text)))) for text in texts]
    salad = [" ".join(rng.choices(VOCABULARY, k=rng.randrange(60))) for _ in texts]
    requests = read_prompts(prompts)
    for completions in (texts, ruined, salad):
        expected = []
        for row, completion in enumerate(completions):
            counts = {name: int(n) for name, n in zip(ITEMS, requests.counts[row], strict=True) if n}
            forbidden = list(ITEMS)[requests.forbidden[row]] if requests.forbidden[row] >= 0 else None
            expected.append(reference(counts, forbidden, bool(requests.short[row]), completion))
        assert np.allclose(world.gold(prompts, completions), expected, atol=1e-12)


@given(st.one_of(HOSTILE, WORDS.map(" ".join)))
def test_any_text_has_a_finite_reward_within_the_stated_range(text):
    (alone,) = gold(PROMPT, text)
    assert -5 <= alone <= 3
    assert gold(PROMPT, "apple", text, "\0")[1] == alone
    assert alone == pytest.approx(reference({"fruit": 2, "tool": 1}, "animal", True, text), abs=1e-12)


@settings(max_examples=50)
@given(WORDS, st.randoms(use_true_random=False))
def test_the_order_of_words_changes_nothing(words, rng):
    shuffled = rng.sample(words, len(words))
    assert gold(PROMPT, " ".join(words)) == gold(PROMPT, " ".join(shuffled))


@settings(max_examples=50)
@given(WORDS)
def test_wording_and_order_of_asking_change_nothing(words):
    text = " ".join(words)
    other = "\n\nHuman: I need a tool and two fruits. I do not want any animals. Be brief.\n\nAssistant:"
    assert gold(PROMPT, text) == gold(other, text)


def test_the_ends_of_the_range():
    assert gold(PROMPT, "apple pear saw") == [3.0]
    (worst,) = gold(PROMPT, " ".join([*ITEMS["animal"].split(), *["zzz"] * 200]))
    assert worst == pytest.approx(-5, abs=0.01)


def test_batches_change_nothing(monkeypatch):
    table = World().pairs(0, 100)
    whole = World().gold(table["prompt"], table["chosen"])
    monkeypatch.setattr("frft.worlds.gold.ROWS_AT_ONCE", 7)
    assert (World().gold(table["prompt"], table["chosen"]) == whole).all()
