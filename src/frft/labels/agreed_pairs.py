"""What several labellers together say of each question, and preference pairs made of that: one row a pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from frft.errors import UsageError
from frft.labels.consensus import LabelConsensus, label_consensus
from frft.labels.labelled_pairs import TRAINING, pair_columns, write_pairs
from frft.labels.queue import LabelQueue
from frft.labels.rows import LabelQuestion, Purpose

if TYPE_CHECKING:
    import pyarrow as pa

FEWEST_LABELLERS = 3
"""Of two, nobody knows which one errs."""


@dataclass(frozen=True)
class ConsensusPairs:
    """Preference pairs made of the consensus of several labellers.

    Attributes:
        table: a row for each question that somebody answered left or right: `id`, `prompt`, `chosen`, `rejected` as in
            a pool; `probability` that chosen is better, above 0.5; `left_right`, the number of labellers that chose a
            side; `purpose`, `pick`, `question`, `pair`, `policy`, `step` as in `LabelQuestion`.
        left_out: questions that are not in the table, by reason: "open", "tie or skip" (no labeller chose a side),
            "undecided" (probability 0.5), or the purpose that was not asked for, "repeat" among them. Together with the
            rows of the table they are all questions.
    """

    table: pa.Table
    left_out: Mapping[str, int]

    def write(self, path: Path) -> None:
        """Write the pairs as JSON Lines, which `load_pool` and `frft reward train --pairs` read."""
        write_pairs(self.table, path)


def queue_consensus(queue: LabelQueue, labellers: Sequence[str]) -> tuple[list[LabelQuestion], LabelConsensus] | None:
    """The questions, repetitions aside, that one of these labellers answered left or right, and their consensus.

    Yes is left. None: there are fewer than three labellers, or no such questions.

    Raises:
        TrainingError: EM did not converge.
    """
    asked, told = [], []
    for question in queue.questions.values():
        given = [queue.answer_of(name, question.id) for name in labellers]
        sides = [
            None if answer is None or answer.choice not in ("left", "right") else answer.choice == "left"
            for answer in given
        ]
        if question.repeats is None and sides.count(None) < len(sides):
            asked.append(question)
            told.append(sides)
    if len(labellers) < FEWEST_LABELLERS or not told:
        return None
    return asked, label_consensus(told)


def consensus_pairs(
    queue: LabelQueue, *, purposes: Collection[Purpose] = TRAINING, labellers: Collection[str] | None = None
) -> ConsensusPairs:
    """What labellers together say, as preference pairs; how often each errs is learned from all purposes' questions.

    Args:
        queue: questions and answers.
        purposes: purposes of the questions that are taken.
        labellers: names of the labellers who count; None: all.

    Raises:
        UsageError: there are fewer than three labellers.
    """
    import pyarrow as pa

    names = [name for name in queue.labellers if labellers is None or name in labellers]
    if len(names) < FEWEST_LABELLERS:
        raise UsageError(
            f"A consensus takes the answers of {FEWEST_LABELLERS} labellers or more, and there are {len(names)}: of "
            "two, nobody knows which one errs. Leave out --consensus."
        )
    found = queue_consensus(queue, names)
    left_of = {} if found is None else dict(zip([each.id for each in found[0]], found[1].yes_N.tolist(), strict=True))
    rows: list[dict[str, object]] = []
    left_out: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for question in queue.questions.values():
        answers = [answer for name in names if (answer := queue.answer_of(name, question.id)) is not None]
        left = left_of.get(question.id)
        if question.purpose not in purposes or question.repeats is not None:
            left_out[question.purpose] += 1
        elif left is None:
            left_out["tie or skip" if answers else "open"] += 1
        elif left == 0.5:
            left_out["undecided"] += 1
        else:
            rows.append(
                {
                    **pair_columns(question, "left" if left > 0.5 else "right", seen),
                    "probability": max(left, 1 - left),
                    "left_right": sum(answer.choice in ("left", "right") for answer in answers),
                }
            )
    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in _KINDS.items()])
    return ConsensusPairs(pa.Table.from_pylist(rows, schema), dict(left_out))


_KINDS = {
    "id": "string", "prompt": "string", "chosen": "string", "rejected": "string", "probability": "float64",
    "left_right": "int64", "purpose": "string", "pick": "string", "question": "string", "pair": "string",
    "policy": "string", "step": "int64",
}  # fmt: skip
"""Columns of the table and their Arrow types."""
