"""A file of questions and of the answers to them: append-only, verified when it is read, one writer at a time.

    {"row": "labels", "format": 1, "pick": "random", ...}       what was drawn, and from what
    {"row": "question", "id": ..., "prompt": ..., ...}          in the order in which they are asked
    {"row": "answer", "question": ..., "choice": "left", ...}
    {"row": "undo", "question": ..., "labeller": ...}           an answer taken back; nothing is ever rewritten

Rows are chained by digests (`frft.store.chained`). Every labeller may answer every question once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from frft.errors import ArtifactError, OutputError, UsageError, printable
from frft.labels.rows import (
    CHOICES,
    QUEUE_FORMAT,
    ROW_KINDS,
    AnswerUndone,
    AskedBatch,
    Choice,
    LabelAnswer,
    LabelQuestion,
    LabelRow,
    QueueHead,
    as_row,
    now,
)
from frft.progress import SILENT, Progress
from frft.store.chained import append_chained, read_chained, write_chained
from frft.store.lock import locked_now


@dataclass(frozen=True)
class LabelCounts:
    """Questions by what one labeller, or all of them together, did with them: the three add up to `questions`.

    Attributes:
        questions: number of questions.
        answered: those with an answer left, right or tie.
        skipped: those with no answer but skip.
        pending: those without any answer.
        failed: those among `pending` to which a judge was asked and gave no usable reply.
    """

    questions: int
    answered: int
    skipped: int
    pending: int
    failed: int

    def as_dict(self) -> dict[str, int]:
        """The counts as JSON-able values."""
        return dict(vars(self))


class LabelQueue:
    """The content of a file of labels. `read_queue` makes one; `open_queue` one that can be written to.

    Attributes:
        head: the first row.
        questions: the questions by id, in the order in which they are asked.
        batches: what it took to ask judges.
        undone: number of answers taken back, by labeller.
    """

    def __init__(self, head: QueueHead) -> None:
        self.head = head
        self.questions: dict[str, LabelQuestion] = {}
        self.batches: list[AskedBatch] = []
        self.undone: Counter[str] = Counter()
        self._standing: dict[str, dict[str, LabelAnswer]] = {}
        self._failed: dict[str, set[str]] = {}

    @property
    def labellers(self) -> list[str]:
        """Names of all who answered, or were asked, in the order in which they first did."""
        return list(dict.fromkeys([*(each.labeller for each in self.batches), *self._standing, *self.undone]))

    def answers(self, labeller: str | None = None) -> list[LabelAnswer]:
        """Answers that stand, in the order in which they were given; None: of all labellers, one after another."""
        names = self._standing if labeller is None else [labeller]
        return [answer for name in names for answer in self._standing.get(name, {}).values()]

    def answer_of(self, labeller: str, question: str) -> LabelAnswer | None:
        """A labeller's answer to the question with this id; None: there is none."""
        return self._standing.get(labeller, {}).get(question)

    def given(self, labeller: str) -> int:
        """Number of answers that a labeller has given, those taken back included."""
        return len(self._standing.get(labeller, {})) + self.undone[labeller]

    def pending(self, labeller: str) -> list[LabelQuestion]:
        """Questions that a labeller has not answered, in order."""
        done = self._standing.get(labeller, {})
        return [question for name, question in self.questions.items() if name not in done]

    def counts(self, labeller: str | None = None) -> LabelCounts:
        """Questions by what a labeller did with them; None: by what all labellers did."""
        answers = self.answers(labeller)
        touched = {answer.question for answer in answers}
        answered = {answer.question for answer in answers if answer.choice != "skip"}
        names = self._failed if labeller is None else [labeller]
        failed = {question for name in names for question in self._failed.get(name, ())} - touched
        total = len(self.questions)
        return LabelCounts(total, len(answered), len(touched - answered), total - len(touched), len(failed))

    def apply(self, row: LabelRow) -> None:
        """Take a row in.

        Raises:
            UsageError: it contradicts the rows before it.
        """
        match row:
            case QueueHead():
                raise UsageError("there is a second head")
            case LabelQuestion():
                self._ask(row)
            case LabelAnswer():
                self._answer(row)
            case AnswerUndone():
                self._undo(row)
            case AskedBatch():
                self.batches.append(row)
                for question in row.failed:
                    self._known(question)
                    self._failed.setdefault(row.labeller, set()).add(question)

    def _ask(self, question: LabelQuestion) -> None:
        if question.id in self.questions:
            raise UsageError(f"question {question.id} is there twice; leave one out")
        if question.repeats is not None:
            self._known(question.repeats)
        self.questions[question.id] = question

    def _answer(self, answer: LabelAnswer) -> None:
        self._known(answer.question)
        if answer.question in self._standing.get(answer.labeller, {}):
            raise UsageError(
                f"{printable(answer.labeller)} has answered question {answer.question} before; that answer must be "
                "taken back first"
            )
        self._standing.setdefault(answer.labeller, {})[answer.question] = answer

    def _undo(self, undone: AnswerUndone) -> None:
        if self._standing.get(undone.labeller, {}).pop(undone.question, None) is None:
            raise UsageError(
                f"{printable(undone.labeller)} has no answer to question {undone.question} that could be taken back"
            )
        self.undone[undone.labeller] += 1

    def _known(self, question: str) -> None:
        if question not in self.questions:
            raise UsageError(f"there is no question {printable(question)}")


class QueueWriter(LabelQueue):
    """The content of a file of labels that this process may write to. What a method adds is on disk when it returns.

    If one of several rows is refused, those before it are added.
    """

    def __init__(self, path: Path, head: QueueHead, last: str) -> None:
        super().__init__(head)
        self._path, self._last = path, last

    def ask(self, questions: Iterable[LabelQuestion]) -> None:
        """Add questions.

        Raises:
            UsageError: one of them is there already, or repeats one that is not there.
        """
        self._add(questions)

    def answer(self, question: str, choice: Choice, labeller: str, *, seconds: float | None = None) -> None:
        """Add an answer that was given now; arguments as in `LabelAnswer`.

        Raises:
            UsageError: there is no such question or choice, or this labeller has answered it.
        """
        self.add_answers([LabelAnswer(question, choice, labeller, now(), seconds, 0)])

    def add_answers(self, answers: Iterable[LabelAnswer], batch: AskedBatch | None = None) -> None:
        """Add answers, in the order in which they were given, and before them what it took to get them.

        Their positions are counted here.

        Raises:
            UsageError: there is no such question or choice, or the labeller has answered it.
        """
        self._add([] if batch is None else [batch])
        self._add(self._placed(answers))

    def _placed(self, answers: Iterable[LabelAnswer]) -> Iterator[LabelAnswer]:
        for answer in answers:
            if answer.choice not in CHOICES:
                raise UsageError(f"{answer.choice!r} is no answer; it must be {', '.join(CHOICES)}.")
            yield replace(answer, position=self.given(answer.labeller))

    def undo(self, labeller: str) -> LabelAnswer | None:
        """Take back a labeller's last answer and return it; None: there is none."""
        answers = self.answers(labeller)
        if not answers:
            return None
        self._add([AnswerUndone(answers[-1].question, labeller, now())])
        return answers[-1]

    def _add(self, values: Iterable[LabelRow]) -> None:
        taken = []
        try:
            for value in values:
                # What contradicts the rows before it must not reach the file.
                self.apply(value)
                taken.append(as_row(value))
        finally:
            # The rows before such a one are part of this object by now, so they must be part of the file.
            if taken:
                self._last = append_chained(self._path, taken, self._last)


Q = TypeVar("Q", bound=LabelQueue)


def check_free(path: Path) -> None:
    """Check that there is no file at the path of a new file of labels.

    Raises:
        OutputError: there is one.
    """
    if path.exists():
        raise OutputError(f"{path} exists, and labels are never overwritten. Name another file.")


def write_queue(path: Path, head: QueueHead, questions: Iterable[LabelQuestion]) -> None:
    """Write a new file of labels; it appears whole or not at all.

    Raises:
        OutputError: the file exists; labels are never overwritten.
        UsageError: two questions are the same, or one repeats a later one.
    """
    check_free(path)
    queue = LabelQueue(head)
    for question in questions:
        queue.apply(question)
    write_chained(path, [as_row(head), *map(as_row, queue.questions.values())])


def read_queue(path: Path, progress: Progress = SILENT) -> LabelQueue:
    """Read a file of labels and check every row; another process may be writing to it.

    Args:
        path: the file.
        progress: told if half a row stands at the end, which is left out.

    Raises:
        UnreadableError: there is no such file.
        ArtifactError: the file is damaged or is no file of labels; names the line.
    """
    chained = read_chained(path)
    head = _head(path, chained.rows)
    return _filled(LabelQueue(head), path, chained.rows, chained.unfinished, progress)


@contextmanager
def open_queue(path: Path, progress: Progress = SILENT) -> Iterator[QueueWriter]:
    """A block that may write to a file of labels; arguments and errors as `read_queue`.

    Raises:
        OutputError: another process is writing to it.
    """
    if not path.exists():
        read_chained(path)  # says what is wrong with the name; a lock would make a file beside it
    with locked_now(path.with_name(f"{path.name}.lock")) as ours:
        if not ours:
            raise OutputError(f"{path}: another process is writing labels to it. Wait for it, or end it.")
        chained = read_chained(path)
        writer = QueueWriter(path, _head(path, chained.rows), chained.last)
        yield _filled(writer, path, chained.rows, chained.unfinished, progress)


def _head(path: Path, rows: list[dict[str, Any]]) -> QueueHead:
    first = rows[0] if rows else {}
    if first.get("row") != "labels":
        raise ArtifactError(f"{path} is no file of labels: it has no head. `frft label pick` makes one.")
    if first.get("format") != QUEUE_FORMAT:
        raise ArtifactError(
            f"{path} has format {first.get('format')!r}; this version of frft reads format {QUEUE_FORMAT}. Read it "
            "with the version that wrote it."
        )
    return QueueHead.of(_fields(first), f"{path}, line 1")


def _filled(queue: Q, path: Path, rows: list[dict[str, Any]], unfinished: bool, progress: Progress) -> Q:
    for number, row in enumerate(rows[1:], start=2):
        where = f"{path}, line {number}"
        kind = ROW_KINDS.get(str(row.get("row")))
        if kind is None:
            raise ArtifactError(f"{where}: unknown kind of row {row.get('row')!r}. Was it written by a newer version?")
        try:
            queue.apply(kind.of(_fields(row), where))
        except UsageError as error:
            raise ArtifactError(f"{where}: {error}.") from None
    if unfinished:
        progress.say(
            f"{path}: half a row stands at the end and is left out: a writer was stopped there, or is writing now."
        )
    return queue


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "row"}
