"""Answers as pairs: the chosen side is the one that was chosen, reasons add up, and training reads them."""

from __future__ import annotations

import json

from frft.labels import draw_questions, labelled_answers, open_queue, policy_candidates, write_queue
from frft.labels.draw import DrawShares
from frft.preferences import load_pool

from .test_queue import HEAD


def test_answers_become_pairs_and_all_others_are_counted(tmp_path):
    prompts = [f"\n\nHuman: Question {n}?\n\nAssistant:" for n in range(20)]
    texts = [(prompt, f" {side}, said {prompt[9:]}") for prompt in prompts for side in ("Yes", "No")]
    candidates = policy_candidates(*zip(*texts, strict=True), policy="mine", step=40)
    drawn = draw_questions(candidates, 20, seed=1, shares=DrawShares(test=0.2, repeat=0.2))
    path = tmp_path / "queue.jsonl"
    write_queue(path, HEAD, drawn.questions)
    with open_queue(path) as queue:
        for number, question in enumerate(queue.questions.values()):
            choice = ("left", "right", "tie", "skip")[number % 4]
            queue.answer(question.id, choice, "Ann", seconds=1.5)
            if number % 5 == 0:
                queue.answer(question.id, "left", "Bob")
        found = labelled_answers(queue)
        assert found.table.num_rows + sum(found.left_out.values()) == len(queue.answers()) == 24
        assert set(found.left_out) == {"tie", "skip", "test", "repeat"}
        expected = set()
        for answer in queue.answers():
            question = queue.questions[answer.question]
            if question.purpose == "train" and answer.choice in ("left", "right"):
                other = "right" if answer.choice == "left" else "left"
                expected.add(
                    (question.prompt, getattr(question, answer.choice), getattr(question, other), answer.labeller)
                )
        anns = labelled_answers(queue, purposes=("train", "test", "repeat"), labellers=["Ann"])
    rows = found.table.to_pylist()
    assert {(row["prompt"], row["chosen"], row["rejected"], row["labeller"]) for row in rows} == expected
    assert {(row["step"], row["policy"], row["pick"], row["purpose"]) for row in rows} == {
        (40, "mine", "random", "train")
    }
    assert len(set(found.table["id"].to_pylist())) == len(rows)
    assert (anns.table.num_rows, dict(anns.left_out)) == (10, {"tie": 5, "skip": 5})

    found.write(tmp_path / "pairs.jsonl")
    pool = load_pool(tmp_path / "pairs.jsonl")
    for name in ("id", "prompt", "chosen", "rejected", "labeller", "step", "policy", "seconds"):
        assert pool.table[name].to_pylist() == found.table[name].to_pylist()
    assert "id" not in json.loads((tmp_path / "pairs.jsonl").read_text().splitlines()[0])
