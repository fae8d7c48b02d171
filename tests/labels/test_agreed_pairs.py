"""The consensus as pairs: one row a question, the side that all together prefer, and every question counted."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from frft.errors import UsageError
from frft.labels import DrawShares, consensus_pairs, draw_questions, open_queue, policy_candidates, write_queue
from frft.preferences import load_pool

from .test_queue import HEAD

ACCURACY = {"Ann": 0.95, "Bob": 0.8, "Cid": 0.55}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Three labellers, who prefer the better text as often as ACCURACY says; some questions have ties, or nothing."""
    folder = tmp_path_factory.mktemp("labels")
    texts = [(f"Question {n}?", f"{side} {n}") for n in range(300) for side in ("good", "bad")]
    candidates = policy_candidates(*zip(*texts, strict=True))
    drawn = draw_questions(candidates, 300, seed=1, shares=DrawShares(test=0.2, repeat=0.1))
    write_queue(folder / "queue", HEAD, drawn.questions)
    rng = np.random.default_rng(0)
    with open_queue(folder / "queue") as queue:
        for n, question in enumerate(queue.questions.values()):
            better, worse = ("left", "right") if question.left.startswith("good") else ("right", "left")
            for name, accuracy in ACCURACY.items():
                if n % 50 == 7 or (n % 20 == 3 and name == "Bob"):
                    continue
                tie = n % 30 == 4
                queue.answer(question.id, "tie" if tie else better if rng.random() < accuracy else worse, name)
    return folder / "queue"


def test_every_question_is_one_row_or_counted(path, tmp_path):
    with open_queue(path) as queue:
        found = consensus_pairs(queue, purposes=("train", "test"))
        questions = queue.questions
        answers = {name: {answer.question: answer.choice for answer in queue.answers(name)} for name in ACCURACY}
    assert found.table.num_rows + sum(found.left_out.values()) == len(questions)
    assert set(found.left_out) == {"repeat", "open", "tie or skip"}
    rows = found.table.to_pylist()
    assert len({row["question"] for row in rows}) == len(rows)
    right = 0
    for row in rows:
        question = questions[row["question"]]
        assert {row["chosen"], row["rejected"]} == {question.left, question.right}
        assert 0.5 < row["probability"] <= 1
        given = [each for name in ACCURACY if (each := answers[name].get(question.id)) in ("left", "right")]
        assert row["left_right"] == len(given)
        if len(given) == 3 and len(set(given)) == 1:
            assert row["chosen"] == getattr(question, given[0])
        right += row["chosen"].startswith("good")
    # Bob and Cid alone are right in 80 % and 55 %; the majority of the three in 89 %, with a standard error of 2 %.
    assert right / len(rows) > 0.85
    # The probabilities say how often the consensus is right.
    assert right / len(rows) == pytest.approx(np.mean([row["probability"] for row in rows]), abs=0.06)

    found.write(tmp_path / "pairs.jsonl")
    pool = load_pool(tmp_path / "pairs.jsonl")
    for name in ("id", "prompt", "chosen", "rejected", "probability"):
        assert pool.table[name].to_pylist() == found.table[name].to_pylist()


def test_who_counts_and_what_for(path):
    with open_queue(path) as queue:
        train = consensus_pairs(queue)
        assert Counter(row["purpose"] for row in train.table.to_pylist()).keys() == {"train"}
        assert train.left_out["test"] == sum(each.purpose == "test" for each in queue.questions.values())
        with pytest.raises(UsageError, match="3 labellers or more, and there are 2"):
            consensus_pairs(queue, labellers=["Ann", "Bob"])
