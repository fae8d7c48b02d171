"""Random draws of pairs: spread evenly, asked once, blind, with purposes by conversation and repetitions far away."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frft.errors import SelectionError, UsageError
from frft.labels import draw_questions, policy_candidates, pool_candidates
from frft.labels.draw import REPEAT_DISTANCE, DrawShares
from frft.preferences import load_pool


def written(sizes):
    texts = [(f"Prompt {n}", f"Answer {k}") for n, size in enumerate(sizes) for k in range(size)]
    return policy_candidates(*zip(*texts, strict=True), policy="p", step=7)


def pair_of(question):
    return question.prompt, frozenset((question.left, question.right))


def test_any_two_different_completions_of_a_prompt_are_a_pair():
    texts = [("a", "x"), ("a", " x\n"), ("a", "y"), ("b", "x"), ("a", "z"), ("c", " "), ("c", "u"), ("a", "v")]
    found = policy_candidates(*zip(*texts, strict=True))
    assert found.left_out == {"blank": 1, "repeated": 1, "alone": 2}
    (only,) = found.prompts
    pairs = [(only.pair(n).first, only.pair(n).second) for n in range(len(only))]
    assert sorted(map(sorted, pairs)) == [list(pair) for pair in combinations("vxyz", 2)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(2, 6), min_size=1, max_size=4), st.integers(0, 9), st.booleans())
def test_what_was_asked_before_is_gone_and_all_else_is_there(sizes, seed, of_pool):
    candidates = written(sizes)
    if of_pool:
        every = [each.pair(n) for each in candidates.prompts for n in range(len(each))]
        columns = {"id": [str(n) for n in range(len(every))], "prompt": [each.prompt for each in every]}
        sides = {"chosen": [each.first for each in every], "rejected": [each.second for each in every]}
        candidates = pool_candidates(pa.table({**columns, **sides}))
    drawn = draw_questions(candidates, max(1, candidates.pairs // 2), seed=seed).questions
    left = candidates.without(drawn)
    # Asked about twice, or of another prompt: nothing more is gone.
    assert left.without(drawn).pairs == left.pairs == candidates.pairs - len(drawn)
    remaining = {
        (each.prompt, frozenset((each.pair(n).first, each.pair(n).second)))
        for each in left.prompts
        for n in range(len(each))
    }
    assert len(remaining) == left.pairs
    assert not remaining & set(map(pair_of, drawn))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=12).filter(lambda sizes: max(sizes) > 1),
    st.integers(1, 60),
    st.integers(0, 5),
    st.sampled_from([(0.0, 0.0), (0.2, 0.0), (0.0, 0.2), (0.3, 0.3), (1.0, 0.0)]),
)
def test_a_draw_is_what_it_says(sizes, budget, seed, shares):
    candidates = written(sizes)
    drawn = draw_questions(candidates, budget, seed=seed, shares=DrawShares("train", *shares))
    once = [question for question in drawn.questions if question.purpose != "repeat"]
    assert len(drawn.questions) == drawn.counts["questions"] <= budget
    assert len({question.id for question in drawn.questions}) == len(drawn.questions)
    assert len(once) == len(set(map(pair_of, once))) == min(budget - round(budget * shares[1]), candidates.pairs)
    # As many of each prompt as of every other one that has so many.
    per_prompt = Counter(question.prompt for question in once)
    most = max(per_prompt.values())
    for each in candidates.prompts:
        assert per_prompt[each.prompt] >= min(len(each), most - 1)
    purposes = Counter(question.purpose for question in drawn.questions)
    assert purposes == +Counter({name: drawn.counts[name] for name in ("train", "test", "repeat")})
    assert not {q.prompt for q in once if q.purpose == "test"} & {q.prompt for q in once if q.purpose == "train"}
    assert purposes["test"] <= round(budget * shares[0])
    order = {question.id: place for place, question in enumerate(drawn.questions)}
    for question in drawn.questions:
        assert (question.policy, question.step, question.pick) == ("p", 7, "random")
        if question.repeats is not None:
            original = drawn.questions[order[question.repeats]]
            assert original.repeats is None
            assert order[question.id] - order[original.id] >= min(REPEAT_DISTANCE, len(once) // 2)
            sides = (original.left, original.right)
            assert (question.left, question.right) == (sides[::-1] if question.exchanged else sides)


def test_the_same_seed_draws_the_same_and_another_one_differs():
    candidates = written([4] * 50)
    one, same, other = (draw_questions(candidates, 40, seed=seed).questions for seed in (1, 1, 2))
    assert one == same
    assert len(set(map(pair_of, one)) & set(map(pair_of, other))) < 20


def test_coins_are_fair():
    """Sides, and the sides of repetitions: with 1000 tosses, 5 standard deviations are 79."""
    pool = load_pool_of(1000)
    drawn = draw_questions(pool_candidates(pool.table), 1400, seed=0, shares=DrawShares(repeat=2 / 7)).questions
    first = [question for question in drawn if question.repeats is None]
    again = [question for question in drawn if question.repeats is not None]
    assert (len(first), len(again)) == (1000, 400)
    assert abs(sum(question.pool_choice == "left" for question in first) - 500) < 79
    assert abs(sum(question.exchanged for question in again) - 200) < 50
    chosen = dict(zip(pool.table["id"].to_pylist(), pool.table["chosen"].to_pylist(), strict=True))
    for question in drawn:
        assert getattr(question, question.pool_choice) == chosen[question.pair]


def load_pool_of(n):
    import json
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.jsonl"
        rows = [{"prompt": f"p{k}", "chosen": f"good {k}", "rejected": f"bad {k}"} for k in range(n)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return load_pool(path)


def test_pairs_of_a_pool_are_asked_about_once_in_either_direction():
    rows = [
        ("1", "p", "a", "b"),
        ("2", "p", "b ", "a"),
        ("3", "p", "a", " a"),
        ("4", "p", "a", " "),
        ("5", "q", "a", "b"),
    ]
    table = pa.table(dict(zip(("id", "prompt", "chosen", "rejected"), map(list, zip(*rows, strict=True)), strict=True)))
    found = pool_candidates(table)
    assert (found.left_out, found.pairs, found.read) == ({"blank": 1, "repeated": 1, "same_sides": 1}, 2, 5)


def test_conversations_are_not_divided_between_training_and_test():
    turns = [(f"\n\nHuman: q{n}\n\nAssistant: a\n\nHuman: more {k}\n\nAssistant:", f" {side}")
             for n in range(20) for k in range(2) for side in "xy"]  # fmt: skip
    drawn = draw_questions(policy_candidates(*zip(*turns, strict=True)), 40, seed=0, shares=DrawShares(test=0.3))
    of = {purpose: {q.prompt.split("\n\n")[1] for q in drawn.questions if q.purpose == purpose} for purpose in
          ("train", "test")}  # fmt: skip
    assert drawn.counts["test"] == 12
    assert not of["train"] & of["test"]


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(UsageError, match="at least 1"):
        draw_questions(written([2]), 0, seed=0)
    with pytest.raises(SelectionError, match="1 alone"):
        draw_questions(written([1]), 1, seed=0)
    for wrong in ({"test": -0.1}, {"repeat": 0.5}, {"test": 0.9, "repeat": 0.2}, {"purpose": "gate", "test": 0.1},
                  {"purpose": "repeat"}):  # fmt: skip
        with pytest.raises(UsageError, match=r"share|divided"):
            DrawShares(**wrong)
