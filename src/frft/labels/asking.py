"""Asks a labeller that is a program, batch by batch, within a budget; what is answered is on disk at once.

`frft.evaluation.JudgeLabeller` makes a labeller of any judge; this room knows of none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from frft.errors import UsageError
from frft.labels.queue import LabelQueue, QueueWriter
from frft.labels.rows import AskedBatch, Choice, LabelAnswer, LabelQuestion, now
from frft.progress import SILENT, Progress

BATCH_QUESTIONS = 32
"""Questions that a labeller is asked at a time."""
SMALL_BATCH = 10
"""The same, where the answers decide whether more are asked."""


@dataclass(frozen=True)
class GivenLabel:
    """A labeller's answer to one question.

    Attributes:
        choice: the better side, or tie.
        preference: preference for the left side, 0 to 1; None: the labeller gives no numbers.
    """

    choice: Choice
    preference: float | None = None


@dataclass(frozen=True)
class LabelCost:
    """What labels took.

    Attributes:
        tokens: tokens of requests and replies; None: not counted.
        cost: what they cost; None: unknown.
    """

    tokens: int | None = None
    cost: float | None = None


class Labeller(Protocol):
    """Answers questions about pairs: a judge, a gold reward, stored annotations, another file of labels."""

    @property
    def name(self) -> str:
        """Name under which its answers are kept."""

    def label(self, questions: Sequence[LabelQuestion]) -> Sequence[GivenLabel | None]:
        """An answer to each question; None where there is none. A missing answer is never guessed."""

    def spent(self) -> LabelCost:
        """What all answers of this object took so far."""


@dataclass(frozen=True)
class LabelBudget:
    """Limits to what one labeller is asked in a file, earlier runs included. None: no limit.

    Attributes:
        labels: number of labels, whatever they are for.
        tokens: number of tokens of requests and replies.
        cost: cost, in the unit of the prices.

    Raises:
        UsageError: a limit is not a finite number above 0.
    """

    labels: int | None = None
    tokens: int | None = None
    cost: float | None = None

    def __post_init__(self) -> None:
        for name, limit in vars(self).items():
            # Written so that NaN is refused as well: nothing is ever above it, and the budget would have no end.
            if limit is not None and not 0 < limit < math.inf:
                option = "--budget" if name == "labels" else f"--budget-{name}"
                raise UsageError(f"The budget in {name} is {limit:g} ({option}); it must be a number above 0.")


@dataclass(frozen=True)
class AskReport:
    """Counts of one asking: `answered + failed` questions were asked.

    Attributes:
        answered: questions that got a label.
        failed: questions that got no usable reply. They have no label, stay open, and are asked again next time.
        stopped: the limit of the budget that ended it: labels, tokens or cost; `enough`: the answers sufficed; None: no
            question was left.
    """

    answered: int
    failed: int
    stopped: str | None


def ask_labeller(
    queue: QueueWriter,
    labeller: Labeller,
    budget: LabelBudget = LabelBudget(),
    progress: Progress = SILENT,
    *,
    enough: Callable[[LabelQueue], bool] | None = None,
) -> AskReport:
    """Ask a labeller all questions of a file that it has not answered, in order.

    A limit in tokens or cost is kept by estimate: the next batch is as large as fits if its questions take as much as
    those before it, so the limit may be exceeded by what one batch takes more. The first batch is one question.

    Args:
        queue: the file.
        labeller: who is asked.
        budget: when to stop.
        progress: told the questions done.
        enough: whether the answers so far suffice; it is asked before each batch, and batches are of 10 questions then.
            None: they never do.

    Raises:
        UsageError: the budget is in tokens or cost, which this labeller does not count.
        FrftError: the labeller fails. Answers of earlier batches are kept.
    """
    pending = queue.pending(labeller.name)
    check_counted(labeller.spent(), budget, labeller.name)
    answered = failed = 0
    with progress.task(f"Asking {labeller.name}", total=len(pending)) as task:
        while pending:
            size, stopped = _room(queue, labeller.name, budget)
            if stopped is None and enough is not None:
                size, stopped = min(size, SMALL_BATCH), "enough" if enough(queue) else None
            if stopped:
                return AskReport(answered, failed, stopped)
            batch, pending = pending[:size], pending[size:]
            labels = _ask(queue, labeller, batch)
            answered += sum(label is not None for label in labels)
            failed += sum(label is None for label in labels)
            check_counted(labeller.spent(), budget, labeller.name)
            task.advance(len(batch))
    return AskReport(answered, failed, None)


def spent_on(queue: LabelQueue, labeller: str) -> tuple[int, int, float]:
    """Labels, tokens and cost of a labeller in a file; what was not counted is not among them."""
    own = [batch for batch in queue.batches if batch.labeller == labeller]
    return queue.given(labeller), sum(each.tokens or 0 for each in own), sum(each.cost or 0.0 for each in own)


def _ask(queue: QueueWriter, labeller: Labeller, batch: Sequence[LabelQuestion]) -> Sequence[GivenLabel | None]:
    before = labeller.spent()
    try:
        labels = labeller.label(batch)
    except BaseException:
        # The replies that came are paid for, though there may be no label.
        taken = _difference(before, labeller.spent())
        if taken.tokens or taken.cost:
            queue.add_answers([], AskedBatch(labeller.name, now(), 0, [], taken.tokens, taken.cost))
        raise
    taken = _difference(before, labeller.spent())
    pairs = list(zip(batch, labels, strict=True))
    asked = AskedBatch(
        labeller.name,
        now(),
        len(batch),
        [question.id for question, label in pairs if label is None],
        taken.tokens,
        taken.cost,
    )
    answers = [
        LabelAnswer(question.id, label.choice, labeller.name, asked.when, None, 0, label.preference)
        for question, label in pairs
        if label is not None
    ]
    queue.add_answers(answers, asked)
    return labels


def _difference(before: LabelCost, after: LabelCost) -> LabelCost:
    return LabelCost(
        None if before.tokens is None or after.tokens is None else after.tokens - before.tokens,
        None if before.cost is None or after.cost is None else after.cost - before.cost,
    )


def check_counted(spent: LabelCost, budget: LabelBudget, name: str) -> None:
    """Check that a labeller counts what a budget is in.

    Raises:
        UsageError: it does not.
    """
    for unit in ("tokens", "cost"):
        if getattr(budget, unit) is not None and getattr(spent, unit) is None:
            raise UsageError(
                f"The budget is in {unit}, and {name} does not say how much an answer takes. Give a budget in labels."
            )


def _room(queue: QueueWriter, name: str, budget: LabelBudget) -> tuple[int, str | None]:
    """Number of questions that may be asked next; 0 with the limit that is reached."""
    asked = sum(batch.questions for batch in queue.batches if batch.labeller == name)
    size = BATCH_QUESTIONS
    for unit, used in zip(("labels", "tokens", "cost"), spent_on(queue, name), strict=True):
        limit = getattr(budget, unit)
        if limit is None:
            continue
        if used >= limit:
            return 0, unit
        each = 1.0 if unit == "labels" else used / asked if asked else 0.0
        # Where nothing was used yet, one question shows what it takes.
        size = min(size, max(1, int((limit - used) / each)) if each else 1)
    return size, None
