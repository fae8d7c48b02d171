"""Answers as preference pairs: a table that reward models are trained on, and the account of what is not in it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from frft.labels.candidates import LabelCandidate
from frft.labels.queue import LabelQueue
from frft.labels.rows import Choice, LabelAnswer, LabelQuestion, Purpose
from frft.preferences.pool import content_id
from frft.store import atomic_write

if TYPE_CHECKING:
    import pyarrow as pa

TRAINING: tuple[Purpose, ...] = ("train",)
_KINDS = {
    "id": "string", "prompt": "string", "chosen": "string", "rejected": "string", "labeller": "string",
    "purpose": "string", "pick": "string", "question": "string", "pair": "string", "policy": "string",
    "step": "int64", "when": "string", "seconds": "float64",
}  # fmt: skip
"""Columns of the table and their Arrow types."""


@dataclass(frozen=True)
class LabelledAnswers:
    """Preference pairs made of answers.

    Attributes:
        table: a row for each answer left or right: `id`, `prompt`, `chosen`, `rejected` as in a pool; `labeller`,
            `purpose`, `pick`, `question`, `pair`, `policy`, `step`, `when`, `seconds` as in `LabelQuestion` and
            `LabelAnswer`. A pair with two labellers has two rows.
        left_out: answers that are not in the table, by reason: "tie", "skip", or the purpose that was not asked for.
            Together with the rows of the table they are all answers that stand.
    """

    table: pa.Table
    left_out: Mapping[str, int]

    def write(self, path: Path) -> None:
        """Write the pairs as JSON Lines, which `load_pool` and `frft reward train --pairs` read."""
        write_pairs(self.table, path)


def labelled_answers(
    queue: LabelQueue, *, purposes: Collection[Purpose] = TRAINING, labellers: Collection[str] | None = None
) -> LabelledAnswers:
    """The answers to a queue's questions as preference pairs.

    Args:
        queue: questions and answers.
        purposes: purposes of the questions whose answers are taken.
        labellers: names of the labellers whose answers are taken; None: all. Those of others are counted nowhere.
    """
    import pyarrow as pa

    rows: list[dict[str, object]] = []
    left_out: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for answer in queue.answers():
        if labellers is not None and answer.labeller not in labellers:
            continue
        question = queue.questions[answer.question]
        if question.purpose not in purposes:
            left_out[question.purpose] += 1
        elif answer.choice in ("tie", "skip"):
            left_out[answer.choice] += 1
        else:
            rows.append(_row(question, answer, seen))
    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in _KINDS.items()])
    return LabelledAnswers(pa.Table.from_pylist(rows, schema), dict(left_out))


def labelled_candidates(queues: Iterable[LabelQueue]) -> list[LabelCandidate]:
    """The pairs to train on that somebody has answered left or right, each once, with the left completion first."""
    found = {
        question.id: LabelCandidate(question.prompt, question.left, question.right)
        for queue in queues
        for answer in queue.answers()
        if answer.choice in ("left", "right") and (question := queue.questions[answer.question]).purpose in TRAINING
    }
    return list(found.values())


def pair_columns(question: LabelQuestion, choice: Choice, seen: Counter[str]) -> dict[str, object]:
    """The columns of a row about a question whose better side is known, without those of the answer.

    Args:
        question: the question.
        choice: the better side.
        seen: how often each content was there before; counted on.
    """
    sides = (question.left, question.right)
    chosen, rejected = sides if choice == "left" else sides[::-1]
    content = content_id(question.prompt, chosen, rejected)
    seen[content] += 1
    return {
        # As in a pool, a number keeps the ids of equal contents apart.
        "id": content if seen[content] == 1 else f"{content}-{seen[content]}",
        "prompt": question.prompt,
        "chosen": chosen,
        "rejected": rejected,
        "purpose": question.purpose,
        "pick": question.pick,
        "question": question.id,
        "pair": question.pair,
        "policy": question.policy,
        "step": question.step,
    }


def write_pairs(table: pa.Table, path: Path) -> None:
    """Write pairs as JSON Lines, without their ids, which are made of their texts."""
    with atomic_write(path) as file:
        for row in table.drop_columns(["id"]).to_pylist():
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


def _row(question: LabelQuestion, answer: LabelAnswer, seen: Counter[str]) -> dict[str, object]:
    about = {"labeller": answer.labeller, "when": answer.when, "seconds": answer.seconds}
    return {**pair_columns(question, answer.choice, seen), **about}
