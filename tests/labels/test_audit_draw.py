"""Pairs drawn for an audit: as many of each source, one of a conversation, at random, shared where sources overlap."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frft.conversation import opening
from frft.errors import DataError
from frft.labels import DrawShares, draw_questions, pool_candidates

AUDIT = DrawShares("audit")


def pool_of(rows):
    """Rows of prompt, number of the pair, source, and whether the source prefers the better text."""
    return pa.table(
        {
            "id": [str(n) for n in range(len(rows))],
            "prompt": [prompt for prompt, *_ in rows],
            "chosen": [f"good {k}" if right else f"bad {k}" for _, k, _, right in rows],
            "rejected": [f"bad {k}" if right else f"good {k}" for _, k, _, right in rows],
            "source": pa.array([source for _, _, source, _ in rows], pa.string()),
        }
    )


ROWS = st.lists(
    st.tuples(st.sampled_from("pqrstuv"), st.integers(0, 2), st.sampled_from(["a", "b", None]), st.booleans()),
    min_size=1,
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(ROWS, st.integers(1, 12), st.integers(0, 3))
def test_sources_have_equal_parts_of_the_budget(rows, budget, seed):
    candidates = pool_candidates(pool_of(rows), audit=True, by="source")
    left_out = sum(candidates.left_out.values())
    assert candidates.pairs + left_out == candidates.read == len(rows)
    drawn = draw_questions(candidates, budget, seed=seed, shares=AUDIT).questions
    assert len(drawn) <= budget
    supply = {}
    first = {}
    for prompt, k, source, right in rows:
        name = "null" if source is None else source
        supply.setdefault(name, set()).add(prompt)
        # A source's first label of a pair counts.
        first.setdefault((name, prompt, k), right)
    about = {name: [each for each in drawn if name in each.sources] for name in supply}
    for name, questions in about.items():
        assert len({opening(each.prompt) for each in questions}) == len(questions)
        most = max(map(len, about.values()))
        assert len(questions) >= min(len(supply[name]), most - 1)
        for each in questions:
            chosen = getattr(each, each.sources[name])
            assert chosen.startswith("good") == first[name, each.prompt, int(chosen.split()[1])]
    assert all(each.sources for each in drawn)


def test_sources_that_labelled_the_same_pairs_share_the_labels():
    rows = [(f"p{n}", 0, source, n % 2 == 0 or source == "a") for n in range(50) for source in "abc"]
    candidates = pool_candidates(pool_of(rows), audit=True, by="source")
    assert (candidates.pairs, candidates.left_out["other_source"]) == (50, 100)
    drawn = draw_questions(candidates, 20, seed=0, shares=AUDIT).questions
    assert Counter(name for each in drawn for name in each.sources) == {"a": 20, "b": 20, "c": 20}
    assert {each.sources["a"] == each.sources["b"] for each in drawn} == {True, False}


def test_the_pairs_of_a_source_are_a_random_sample_of_its_own():
    """Source b has half of its conversations in common with a: these are no likelier than the others."""
    rows = [(f"p{n}", k, "a", True) for n in range(20) for k in range(2)]
    rows += [(f"p{n}", k, "b", True) for n in range(10, 30) for k in (1, 2)]
    candidates = pool_candidates(pool_of(rows), audit=True, by="source")
    prompts, pairs = Counter(), Counter()
    for seed in range(600):
        for each in draw_questions(candidates, 10, seed=seed, shares=AUDIT).questions:
            if "b" in each.sources:
                prompts[int(each.prompt[1:]) >= 20] += 1
                pairs[each.left.split()[1]] += 1
    total = sum(prompts.values())
    # Standard error of each share: sqrt(0.25 / 3,000) or so, below 0.01.
    assert prompts[True] / total == pytest.approx(0.5, abs=0.04)
    assert pairs["1"] / total == pytest.approx(0.5, abs=0.04)


def test_a_pool_without_a_column_is_one_source():
    rows = [(f"p{n}", 0, "a", True) for n in range(9)]
    drawn = draw_questions(pool_candidates(pool_of(rows), audit=True), 20, seed=0, shares=AUDIT).questions
    assert [set(each.sources) for each in drawn] == [{"all"}] * 9
    with pytest.raises(DataError, match="no column 'annotator'"):
        pool_candidates(pool_of(rows), audit=True, by="annotator")
    # Without an audit nothing is said of sources.
    plain = draw_questions(pool_candidates(pool_of(rows)), 20, seed=0).questions
    assert not any(each.sources for each in plain)
