"""Have drawn questions answered by a named labeller, in a file with which a stopped process goes on later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from frft.errors import LabelsPendingError, OutputError, quantity
from frft.labels.asking import LabelBudget, ask_labeller
from frft.labels.draw import DrawnQuestions
from frft.labels.labellers import NamedLabeller
from frft.labels.queue import LabelQueue, open_queue, read_queue, write_queue
from frft.labels.rows import QUEUE_FORMAT, QueueHead, now
from frft.progress import Progress

UNLIMITED = LabelBudget()


def collect_labels(
    path: Path,
    drawn: DrawnQuestions,
    labeller: NamedLabeller,
    *,
    pick: str,
    seed: int,
    budget: int,
    progress: Progress,
    enough: Callable[[LabelQueue], bool] | None = None,
    limits: LabelBudget | None = UNLIMITED,
) -> LabelQueue:
    """Write the questions to a file, unless it is there, and have them answered.

    Args:
        path: the file of labels.
        drawn: the questions.
        labeller: who answers. Questions to which there is no usable reply are asked once more, and then stay open.
        pick, seed, budget: what the questions were drawn by, for the file's head.
        progress: told of the asking.
        enough: whether the answers so far suffice, for labellers that are programs; None: all questions are asked.
        limits: what they may take in tokens and cost, after which questions stay open; None: nothing is left of it.

    Raises:
        LabelsPendingError: others answer, and some questions are open.
        OutputError: the file holds other questions, or another process is writing to it.
        FrftError: the labeller fails. Answers of earlier batches are kept.
    """
    if not path.exists():
        head = QueueHead(
            format=QUEUE_FORMAT, made=now(), pick=pick, seed=seed, budget=budget, read={}, counts=drawn.counts
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_queue(path, head, drawn.questions)
    found = read_queue(path, progress)
    if list(found.questions) != [question.id for question in drawn.questions]:
        raise OutputError(
            f"{path} holds other questions than this refresh asks. Move it away, and run the same command again."
        )
    if labeller.open is None:
        _check_answered(path, found)
        return found
    opened = labeller.open()
    if limits is not None and found.pending(opened.name):
        with open_queue(path, progress) as writer:
            for _ in range(2):
                report = ask_labeller(writer, opened, limits, progress, enough=enough)
                if not report.failed or report.stopped:
                    break
            return writer
    return found


def _check_answered(path: Path, queue: LabelQueue) -> None:
    counts = queue.counts()
    if counts.pending:
        raise LabelsPendingError(
            f"{counts.pending} of {quantity(counts.questions, 'question')} in {path} "
            f"{'waits' if counts.pending == 1 else 'wait'} for an answer. Answer, for instance by "
            f"`frft label answer {path} --as NAME` or `frft label ask {path} --judge JUDGE`, and run the same "
            "command again: it goes on from here.",
            path,
        )
