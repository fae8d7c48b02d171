"""Random draws of pairs: spread evenly, asked once, blind, with purposes by conversation and repetitions far away."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frft.config.sections import PickConfig
from frft.errors import SelectionError, UsageError
from frft.labels import CandidateEvidence, draw_questions, policy_candidates, pool_candidates
from frft.labels.draw import REPEAT_DISTANCE, DrawShares
from frft.preferences import load_pool


def written(sizes):
    texts = [(f"Prompt {n}", f"Answer {k}") for n, size in enumerate(sizes) for k in range(size)]
    return policy_candidates(*zip(*texts, strict=True), policy="p", step=7)


def pair_of(question):
    return question.prompt, frozenset((question.left, question.right))


def test_any_two_different_completions_of_a_prompt_are_a_pair():
    texts = [("a", "x"), ("a", " x\n"), ("a", "y"), ("b", "x"), ("a", "z"), ("c", " "), ("c", "u"), ("a", "v"),
             ("a", "\0 w")]  # fmt: skip
    found = policy_candidates(*zip(*texts, strict=True), for_pools=True)
    assert found.left_out == {"blank": 1, "nul": 1, "repeated": 1, "alone": 2}
    # A run, which needs no file of pairs, has it labelled.
    assert policy_candidates(*zip(*texts, strict=True)).pairs == found.pairs + 4
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


def test_each_pair_of_a_prompt_is_as_likely():
    candidates = written([3] * 200)
    drawn = [question for seed in range(25) for question in draw_questions(candidates, 200, seed=seed).questions]
    chosen = Counter(frozenset((question.left, question.right)) for question in drawn)
    # 5,000 draws of 3 pairs: standard error 33.
    assert sorted(chosen.values()) == pytest.approx([5000 / 3] * 3, abs=120)


def by_last_letters(pairs):
    """As a reward model whose margin is the difference of the completions' last numbers."""
    margins = [float(pair.second.split()[-1]) - float(pair.first.split()[-1]) for pair in pairs]
    return CandidateEvidence(margins_KN=np.array([margins]), cut={"completions_truncated": 3})


LARGEST_GAP = PickConfig(pick="gap", quantile=1.0)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(2, 5), min_size=2, max_size=12),
    st.integers(1, 40),
    st.integers(0, 5),
    st.sampled_from([(0.0, 0.0), (0.3, 0.0), (0.2, 0.2), (1.0, 0.0)]),
)
def test_a_rule_chooses_among_what_is_not_tested_on(sizes, budget, seed, shares):
    candidates = written(sizes)
    drawn = draw_questions(
        candidates, budget, seed=seed, shares=DrawShares("train", *shares), rule=LARGEST_GAP, look=by_last_letters
    )
    of = {purpose: [q for q in drawn.questions if q.purpose == purpose] for purpose in ("train", "test", "repeat")}
    assert {question.pick for question in of["test"]} <= {"random"}
    assert {question.pick for question in of["train"]} <= {"gap"}
    assert not {q.prompt for q in of["test"]} & {q.prompt for q in of["train"]}
    assert len(set(map(pair_of, of["train"] + of["test"]))) == len(of["train"] + of["test"])
    counts = drawn.counts
    assert counts["looked_at"] + counts["not_looked_at"] + counts["test_conversations"] == counts["candidates"]
    assert counts.get("completions_truncated", 0) == (3 if of["train"] else 0)
    assert counts["questions"] == len(drawn.questions) <= budget
    # The first pair of each prompt is that with the largest gap, and no prompt has many more than others need.
    largest = {each.prompt: len(each_texts(each)) - 1 for each in candidates.prompts}
    first = {question.prompt: question for question in reversed(of["train"])}
    for prompt, question in first.items():
        assert abs(int(question.left.split()[-1]) - int(question.right.split()[-1])) == largest[prompt]


def each_texts(candidates):
    pairs = [candidates.pair(number) for number in range(len(candidates))]
    return {text for pair in pairs for text in (pair.first, pair.second)}


def test_a_rule_looks_at_so_many_pairs_and_the_rest_are_counted():
    candidates = written([5] * 30)
    looked = []

    def look(pairs):
        looked.extend(pairs)
        return by_last_letters(pairs)

    rule = PickConfig(pick="gap", max_candidates=60)
    drawn = draw_questions(candidates, 20, seed=0, rule=rule, look=look)
    assert len(looked) == len({(pair.prompt, pair.first, pair.second) for pair in looked}) == 60
    assert set(Counter(pair.prompt for pair in looked).values()) == {2}, "spread over the prompts"
    assert (drawn.counts["looked_at"], drawn.counts["not_looked_at"], drawn.counts["candidates"]) == (60, 240, 300)
    assert len({question.prompt for question in drawn.questions}) == 20, "of a prompt no more than needed"
    with pytest.raises(UsageError, match="choose 70 pairs, but may look at 60"):
        draw_questions(candidates, 70, seed=0, rule=rule, look=look)
    with pytest.raises(UsageError, match="give `look`"):
        draw_questions(candidates, 20, seed=0, rule=rule)
    for purpose in ("audit", "gate", "test"):
        with pytest.raises(UsageError, match="drawn at random"):
            draw_questions(candidates, 20, seed=0, shares=DrawShares(purpose), rule=rule, look=look)


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


def test_pairs_without_labels_have_no_side_that_the_pool_calls_chosen():
    pool = load_pool_of(20).table
    labelled, unlabelled = (
        draw_questions(pool_candidates(pool, labelled=each), 20, seed=0).questions for each in (True, False)
    )
    assert {question.pool_choice for question in labelled} == {"left", "right"}
    assert {question.pool_choice for question in unlabelled} == {None}
    # All else is as it was.
    assert [replace(question, pool_choice=None) for question in labelled] == list(unlabelled)
