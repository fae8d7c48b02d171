"""`frft label answer`: a person at a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from frft.cli.keys import END, RESIZED, single_keys
from frft.cli.label_screen import KEYS, LabelScreen
from frft.errors import UsageError, printable, quantity
from frft.progress import duration

if TYPE_CHECKING:
    from frft.labels import Choice, LabelQuestion, QueueWriter

_CHOICES: dict[str, Choice] = {
    **dict.fromkeys(("1", "left", "up"), "left"),
    **dict.fromkeys(("2", "right", "down"), "right"),
    **dict.fromkeys(("t", "0", "="), "tie"),
    "s": "skip",
}
_UNDO, _STOP = ("u",), ("q", END)


def answer_command(queue: Path, *, name: Annotated[str, Parameter(name="--as")]) -> None:
    """Answer the questions of a file yourself: which of two completions is better?

    Keys: 1 or left arrow for the first text, 2 or right arrow for the second, t for a tie, s to skip, u to take the
    last answer back, q to stop. Every answer is on disk at once, and the same command goes on where it was stopped.

    Nothing is shown of where the texts are from, or of other people's answers; some questions may come twice.

    Parameters
    ----------
    queue
        File of `frft label pick`.
    name
        Your name, under which the answers are kept.
    """
    from frft.cli.output import print_text
    from frft.labels import open_queue
    from frft.progress import for_terminal

    if not name.strip():
        raise UsageError("--as is blank. Give a name under which the answers are kept.")
    with open_queue(queue, for_terminal()) as file:
        try:
            with single_keys() as next_key:
                given, undone = _session(file, name, next_key)
        except BaseException as stop:
            stop.add_note("All answers are kept, and the same command goes on with them.")
            raise
        counts = file.counts(name)
    print_text(
        f"{quantity(given, 'answer')} given, {undone} taken back. Of {quantity(counts.questions, 'question')}, {name} "
        f"has answered {counts.answered} and skipped {counts.skipped}; {counts.pending} still open."
    )


def _session(file: QueueWriter, name: str, next_key: Callable[[], str]) -> tuple[int, int]:
    """Ask until all is answered or the person stops; returns the numbers of answers given and taken back."""
    screen = LabelScreen()
    given = undone = 0
    seconds: list[float] = []
    question = _next(file, name)
    while question is not None:
        show = partial(screen.show, question, _progress(file, name, seconds))
        show()
        shown = time.monotonic()
        key = _wait(next_key, screen, show, can_undo=bool(file.answers(name)))
        if key in _STOP:
            break
        if key in _UNDO:
            taken_back = file.undo(name)
            assert taken_back is not None  # _wait returns this key where there is an answer
            question = file.questions[taken_back.question]
            undone += 1
            continue
        seconds.append(time.monotonic() - shown)
        file.answer(question.id, _CHOICES[key], name, seconds=round(seconds[-1], 2))
        given += 1
        question = _next(file, name)
    return given, undone


def _next(file: QueueWriter, name: str) -> LabelQuestion | None:
    return next(iter(file.pending(name)), None)


def _wait(next_key: Callable[[], str], screen: LabelScreen, show: Callable[[], None], can_undo: bool) -> str:
    """The next key that does something here; of any other, it is said which there are.

    Where the window gets another size, the question is shown (`show`) again.
    """
    while True:
        key = next_key()
        if key == RESIZED:
            show()
        elif key in _UNDO and not can_undo:
            screen.say("There is no answer of yours to take back.")
        elif key in _CHOICES or key in _UNDO or key in _STOP:
            return key
        else:
            screen.say(f"{printable(key)} is none of the keys:\n{KEYS}")


def _progress(file: QueueWriter, name: str, seconds: list[float]) -> str:
    counts = file.counts(name)
    done = f"{counts.answered} answered, {counts.skipped} skipped, {counts.pending} open"
    # The median, because a break in between says nothing about the questions to come.
    return f"{done}, about {duration(median(seconds) * counts.pending)}" if seconds else done
