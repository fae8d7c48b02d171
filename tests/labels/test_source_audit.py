"""From answers in files of labels to decisions about sources."""

from __future__ import annotations

import numpy as np
import pytest

from frft.errors import DataError, UsageError
from frft.labels import (
    DrawShares,
    QueueHead,
    audit_labels,
    draw_questions,
    open_queue,
    pool_candidates,
    read_queue,
    write_queue,
)
from frft.labels.sequential import audit_sources

from .test_audit_draw import pool_of

GOOD, BAD = 0.97, 0.1


def written(path, rows, *, budget, seed=0, repeat=0.0, after=()):
    candidates = pool_candidates(pool_of(rows), audit=True, by="source")
    earlier = [question for each in after for question in read_queue(each).questions.values()]
    candidates = candidates.without_conversations(earlier)
    drawn = draw_questions(candidates, budget, seed=seed, shares=DrawShares("audit", repeat=repeat))
    head = QueueHead(1, "2026-01-02T03:04:05+00:00", "random", seed, budget, {"pairs": ["p"]}, drawn.counts)
    write_queue(path, head, drawn.questions)
    return path


def labelled(path, who, *, right, seed=0, ties=0.0):
    rng = np.random.default_rng(seed)
    with open_queue(path) as queue:
        for question in queue.pending(who):
            better = "left" if question.left.startswith("good") else "right"
            other = "right" if better == "left" else "left"
            choice = better if rng.random() < right else other
            queue.answer(question.id, "tie" if rng.random() < ties else choice, who)
    return path


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    return [(f"p{n}", 0, name, bool(rng.random() < share)) for n in range(200)
            for name, share in (("good", GOOD), ("bad", BAD))]  # fmt: skip


def test_answers_become_agreements_and_decide(rows, tmp_path):
    path = labelled(written(tmp_path / "one", rows, budget=40), "Ann", right=0.9, ties=0.1)
    queue = read_queue(path)
    found = audit_labels([queue], accuracy=0.9)
    truth = {(prompt, name): right for prompt, _, name, right in rows}
    by_hand = {"good": [], "bad": []}
    for answer in queue.answers("Ann"):
        question = queue.questions[answer.question]
        for name, told in by_hand.items():
            if answer.choice == "tie":
                told.append("tie")
            else:
                labelled_right = getattr(question, answer.choice).startswith("good")
                told.append("agrees" if labelled_right == truth[question.prompt, name] else "disagrees")
    expected = audit_sources(by_hand, 0.9, 40)
    assert {name: each.audit for name, each in found.sources.items()} == expected
    assert {name: each.audit.decision for name, each in found.sources.items()} == {"good": "use", "bad": "refuse"}
    assert {(each.questions, each.open) for each in found.sources.values()} == {(40, 0)}
    assert (found.labeller, found.accuracy_from, found.accuracy.mean, found.at_most) == ("Ann", "given", 0.9, 40)


def test_accuracy_is_estimated_from_repetitions(rows, tmp_path):
    path = labelled(written(tmp_path / "one", rows, budget=150, repeat=0.3), "Ann", right=0.9)
    found = audit_labels([read_queue(path)])
    assert (found.accuracy_from, found.repeats) == ("repeats", 45)
    low, high = found.accuracy.interval
    assert low < 0.9 < high
    assert found.sources["good"].audit.decision == "use"
    alone = labelled(written(tmp_path / "two", rows, budget=20), "Ann", right=0.9)
    with pytest.raises(DataError, match="no answers to repetitions"):
        audit_labels([read_queue(alone)])
    with pytest.raises(DataError, match="are of one conversation"):
        audit_labels([read_queue(path), read_queue(alone)])
    # Of both files, the repetitions of one say how good the labeller is in both.
    later = labelled(written(tmp_path / "three", rows, budget=20, after=[path]), "Ann", right=0.9)
    both = audit_labels([read_queue(path), read_queue(later)])
    assert (both.sources["good"].questions, both.repeats, both.accuracy) == (125, 45, found.accuracy)


def test_open_questions_and_several_labellers(rows, tmp_path):
    path = written(tmp_path / "one", rows, budget=12)
    with pytest.raises(DataError, match="Nobody has answered"):
        audit_labels([read_queue(path)], accuracy=0.8)
    with open_queue(path) as queue:
        for question in list(queue.questions)[:3]:
            queue.answer(question, "left", "Ann")
    few = audit_labels([read_queue(path)], accuracy=0.8).sources["good"]
    assert (few.open, few.audit.reason) == (9, "too few labels")
    labelled(path, "Bob", right=1.0)
    with pytest.raises(UsageError, match="Ann, Bob"):
        audit_labels([read_queue(path)], accuracy=0.8)
    with pytest.raises(UsageError, match="nobody here is called Cid"):
        audit_labels([read_queue(path)], labeller="Cid", accuracy=0.8)
    assert audit_labels([read_queue(path)], labeller="Bob", accuracy=0.8, at_most=5).sources["good"].audit.unused == 7
    assert audit_labels([read_queue(path)], labeller="Bob", accuracy=0.8, at_most=None).at_most is None


def test_questions_for_other_purposes_audit_nothing(rows, tmp_path):
    candidates = pool_candidates(pool_of(rows))
    drawn = draw_questions(candidates, 9, seed=0)
    head = QueueHead(1, "2026-01-02T03:04:05+00:00", "random", 0, 9, {"pairs": ["p"]}, drawn.counts)
    write_queue(tmp_path / "one", head, drawn.questions)
    labelled(tmp_path / "one", "Ann", right=1.0)
    with pytest.raises(DataError, match="no questions for an audit"):
        audit_labels([read_queue(tmp_path / "one")], accuracy=0.8)
