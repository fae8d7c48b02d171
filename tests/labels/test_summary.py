"""Consistency on repetitions, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from frft.labels import QueueHead, draw_questions, open_queue, pool_candidates, summarise_queue, write_queue
from frft.labels.agreement import krippendorff_alpha
from frft.labels.draw import DrawShares
from frft.statistics import wilson

from .test_draw import load_pool_of


def test_a_summary_by_hand(tmp_path):
    path = tmp_path / "queue.jsonl"
    drawn = draw_questions(pool_candidates(load_pool_of(30).table), 40, seed=0, shares=DrawShares(repeat=0.25))
    write_queue(path, QueueHead(1, "2026-01-02T03:04:05+00:00", "random", 0, 40, {}, {}), drawn.questions)
    with open_queue(path) as queue:
        for question in queue.questions.values():
            # One always finds what the pool does, the other always takes the left side, the third skips repetitions.
            queue.answer(question.id, question.pool_choice, "same", seconds=len(question.id))
            queue.answer(question.id, "left", "left")
            queue.answer(question.id, "skip" if question.repeats else "tie", "tired")
        queue.undo("left")
        found = summarise_queue(queue)
        exchanged = sum(bool(question.exchanged) for question in queue.questions.values())
        assert 0 < exchanged < 10
        same, left, tired = (found.labellers[name] for name in ("same", "left", "tired"))
        assert (same.consistency.repeats, same.consistency.same, same.consistency.same_side) == (10, 10, 0)
        assert same.consistency.interval == wilson(10, 10)
        assert (same.pool, same.pool_agrees, same.median_seconds) == (30, 30, 16)
        repeats = left.consistency.repeats
        assert repeats + (list(queue.questions.values())[-1].repeats is not None) == 10
        assert (left.consistency.same_side, left.consistency.exchanged) == (repeats - left.consistency.same,) * 2
        assert (left.undone, left.right, tired.consistency, tired.pool) == (1, 0, None, 0)
        assert (tired.tie, tired.counts.skipped, tired.counts.pending) == (30, 10, 0)
        # All three answered 30 questions but the one that was taken back: two always agree where the pool says left.
        by_names = {(pair.first, pair.second): pair for pair in found.agreement.pairs}
        pair = by_names["same", "left"]
        lefts = [each.pool_choice == "left" for each in queue.questions.values() if each.repeats is None]
        taken_back = list(queue.questions.values())[-1]
        if taken_back.repeats is None:
            lefts = lefts[:-1]
        assert (pair.questions, pair.agree) == (len(lefts), sum(lefts))
        p = pair.agree / pair.questions
        assert pair.accuracy.mean == pytest.approx((1 + max(0, 2 * p - 1) ** 0.5) / 2)
        assert by_names["same", "tired"].accuracy is None
        rows = [[queue.answer_of(name, each.id) for name in ("same", "left", "tired")]
                for each in queue.questions.values() if each.repeats is None]  # fmt: skip
        expected = krippendorff_alpha([[each and each.choice for each in row] for row in rows], 0)
        assert found.agreement.alpha.alpha.mean == expected.alpha.mean
        assert same.consistency.accuracy.mean == 1
        assert found.purposes == {"train": 30, "repeat": 10}
        assert vars(found.all) == {"questions": 40, "answered": 40, "skipped": 0, "pending": 0, "failed": 0}


def test_ties_and_the_consensus_of_three(tmp_path):
    path = tmp_path / "queue.jsonl"
    pool = load_pool_of(300).table
    drawn = draw_questions(pool_candidates(pool), 300, seed=0)
    write_queue(path, QueueHead(1, "2026-01-02T03:04:05+00:00", "random", 0, 300, {}, {}), drawn.questions)
    rng = np.random.default_rng(3)
    # Errors where the left one is better, and where the right one is.
    errors, other = {"a": (0.05, 0.05), "b": (0.3, 0.1), "c": (0.1, 0.2)}, {"left": "right", "right": "left"}
    with open_queue(path) as queue:
        questions = list(queue.questions.values())
        for n, question in enumerate(questions):
            for name, wrong in errors.items():
                tie = n < 4 or (name == "a" and n < 10) or (name == "b" and 10 <= n < 13)
                errs = rng.random() < wrong[question.pool_choice == "right"]
                side = other[question.pool_choice] if errs else question.pool_choice
                queue.answer(question.id, "tie" if tie else side, name)
        found = summarise_queue(queue).agreement
    counted = {pair.first + pair.second: (pair.questions, pair.both_tie, pair.one_tie) for pair in found.pairs}
    assert counted == {"ab": (287, 4, 9), "ac": (290, 4, 6), "bc": (293, 4, 3)}
    consensus = found.consensus
    assert consensus.questions == 296
    assert 200 < consensus.sure < 296
    for name, wrong in errors.items():
        each = consensus.labellers[name]
        assert (each.where_left, each.where_right) == pytest.approx(wrong, abs=0.08)
        assert each.accuracy == pytest.approx(1 - sum(wrong) / 2, abs=0.05)


def test_two_labellers_have_no_consensus(tmp_path):
    path = tmp_path / "queue.jsonl"
    drawn = draw_questions(pool_candidates(load_pool_of(5).table), 5, seed=0)
    write_queue(path, QueueHead(1, "2026-01-02T03:04:05+00:00", "random", 0, 5, {}, {}), drawn.questions)
    with open_queue(path) as queue:
        for question in queue.questions.values():
            queue.answer(question.id, "left", "a")
            queue.answer(question.id, "left", "b")
        assert summarise_queue(queue).agreement.consensus is None
