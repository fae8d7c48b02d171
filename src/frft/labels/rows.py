"""The rows of a file of labels: its head, questions, answers, answers taken back, and what judges were asked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from frft.store import StoredValue

Choice: TypeAlias = Literal["left", "right", "tie", "skip"]
"""An answer: the better completion, by the side on which it was shown; tie: both are as good; skip: no judgement."""
CHOICES: tuple[Choice, ...] = ("left", "right", "tie", "skip")
Purpose: TypeAlias = Literal["train", "test", "audit", "gate", "repeat"]
"""What a label is for: training, testing, an audit of the labels that there are, a gate; or to measure the labeller."""
PURPOSES: tuple[Purpose, ...] = ("train", "test", "audit", "gate", "repeat")

QUEUE_FORMAT = 1
"""Format number of files of labels; raised when a field changes its name or meaning."""
ID_DIGITS = 16
"""Hexadecimal digits of a question's id."""


@dataclass(frozen=True)
class QueueHead(StoredValue):
    """First row of a file of labels.

    Attributes:
        format: `QUEUE_FORMAT` of the version that wrote it.
        made: time at which the questions were drawn, ISO 8601 in UTC.
        pick: name of the rule that chose the pairs.
        seed: seed of the draw.
        budget: number of labels that were asked for.
        read: what was read, by option (`samples`, `pairs`, `not_in`, `reward_model`).
        counts: how many pairs there were, and what became of them; see `frft.labels.draw.DrawnQuestions`.
        rule: the settings that the rule reads, by name; empty for random draws.
    """

    format: int
    made: str
    pick: str
    seed: int
    budget: int
    read: Mapping[str, list[str]]
    counts: Mapping[str, int]
    rule: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelQuestion(StoredValue):
    """Which of two completions of a prompt is better? Labellers are shown the three texts and nothing else.

    Attributes:
        id: the first 16 hexadecimal digits of the SHA-256 of the texts, and of `repeats`; no two questions share one.
        prompt: text of the prompt.
        left, right: the two completions, in the order in which they are shown; a coin decided it.
        pick: name of the rule that chose the pair.
        purpose: what the label is for.
        pair: id of the pair in the pool; None: the completions are a policy's own.
        pool_choice: the side that the pool calls chosen; None: the pair is not of a pool, or has no label there.
        policy: name of the policy that wrote both; None: unknown, or of a pool.
        step: PPO steps after which the policy wrote them; None: unknown, or of a pool.
        repeats: id of the question that this one repeats, to measure the labeller's consistency; None: no repetition.
        exchanged: whether the sides of a repetition are exchanged, by a coin; None: no repetition.
        sources: for an audit, the sources for which the pair was drawn, each with the side that it calls chosen.
    """

    id: str
    prompt: str
    left: str
    right: str
    pick: str
    purpose: Purpose
    pair: str | None = None
    pool_choice: Literal["left", "right"] | None = None
    policy: str | None = None
    step: int | None = None
    repeats: str | None = None
    exchanged: bool | None = None
    sources: Mapping[str, Literal["left", "right"]] = field(default_factory=dict)


def question_id(prompt: str, left: str, right: str, repeats: str | None = None) -> str:
    """The id of a question by its content. The texts are parted by NUL, which no prompt holds."""
    content = "\0".join((prompt, left, right, repeats or ""))
    return hashlib.sha256(content.encode()).hexdigest()[:ID_DIGITS]


@dataclass(frozen=True)
class LabelAnswer(StoredValue):
    """One labeller's answer to one question.

    Attributes:
        question: id of the question.
        choice: the better side, tie, or skip.
        labeller: name of the person or the judge.
        when: time of the answer, ISO 8601 in UTC.
        seconds: time from showing the question to the answer; None: unknown, as for judges and imported answers.
        position: number of answers that this labeller had given before, those taken back included.
        preference: a judge's preference for the left side, 0 to 1; None: the labeller gave no number.
    """

    question: str
    choice: Choice
    labeller: str
    when: str
    seconds: float | None
    position: int
    preference: float | None = None


@dataclass(frozen=True)
class AnswerUndone(StoredValue):
    """A labeller took an answer back; the question is open again.

    Attributes:
        question: id of the question.
        labeller: name of the labeller.
        when: time, ISO 8601 in UTC.
    """

    question: str
    labeller: str
    when: str


@dataclass(frozen=True)
class AskedBatch(StoredValue):
    """What it took to ask a labeller that is a program some questions. It stands before their answers.

    Attributes:
        labeller: name of the labeller.
        when: time, ISO 8601 in UTC.
        questions: number of questions asked.
        failed: ids of those among them to which there was no usable reply. They have no label and stay open.
        tokens: tokens that requests and replies took; None: not counted.
        cost: what they cost; None: unknown.
    """

    labeller: str
    when: str
    questions: int
    failed: list[str]
    tokens: int | None
    cost: float | None


LabelRow: TypeAlias = QueueHead | LabelQuestion | LabelAnswer | AnswerUndone | AskedBatch
ROW_KINDS: dict[str, type[LabelRow]] = {
    "labels": QueueHead,
    "question": LabelQuestion,
    "answer": LabelAnswer,
    "undo": AnswerUndone,
    "asked": AskedBatch,
}
"""What stands in the field `row` of each line."""
_NAMES = {kind: name for name, kind in ROW_KINDS.items()}


def as_row(value: LabelRow) -> dict[str, Any]:
    """The value as a row of the file."""
    return {"row": _NAMES[type(value)], **value.as_dict()}


def now() -> str:
    """The present time, ISO 8601 in UTC, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")
