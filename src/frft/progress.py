"""Progress with remaining time, on standard error, for everything that takes longer than a few seconds.

Code that does long work takes a `Progress` and opens tasks on it; it does not know who watches.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from frft.errors import printable
from frft.layout import line_width, wrapped

LINE_INTERVAL_S = 15.0
"""Seconds between two lines of a task's progress where there is no terminal to draw a bar on."""


BAR_WIDTH = 12
"""Columns that a bar takes."""


class Task(Protocol):
    """One piece of work whose progress is shown."""

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Record that `amount` more units are done; `note` (a metric, say) is shown beside the bar."""


class Progress(Protocol):
    """Interface by which long work reports its progress: bars, lines, or nothing."""

    def task(self, description: str, total: int) -> AbstractContextManager[Task]:
        """Show a task of `total` units of work while the block runs; a block that fails is not reported as done."""

    def say(self, text: str) -> None:
        """Print one line without disturbing the bars."""


class _SilentTask:
    def advance(self, amount: int = 1, note: str = "") -> None:
        del amount, note


class SilentProgress:
    """Reports nothing: the default of every library function."""

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Task]:
        del description, total
        yield _SilentTask()

    def say(self, text: str) -> None:
        del text


SILENT = SilentProgress()


class _LineTask:
    def __init__(self, description: str, total: int) -> None:
        self._description = description
        self._total = total
        self._done = 0
        self._started = self._reported = time.monotonic()

    def advance(self, amount: int = 1, note: str = "") -> None:
        self._done += amount
        now = time.monotonic()
        # Before the first unit is done there is no telling how long the rest will take.
        if now - self._reported < LINE_INTERVAL_S or not 0 < self._done < self._total:
            return
        self._reported = now
        remaining = (now - self._started) / self._done * (self._total - self._done)
        LINES.say(_row(self._description, self._done, self._total, f"{duration(remaining)} left", note))


class LineProgress:
    """Plain lines, for logs and pipes: a task's end, and every `LINE_INTERVAL_S` how far it is."""

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Task]:
        started = time.monotonic()
        yield _LineTask(description, total)
        elapsed = time.monotonic() - started
        if elapsed > 1.0:
            self.say(f"{description}: done in {duration(elapsed)}")

    def say(self, text: str) -> None:
        print(_folded(text, line_width(sys.stderr)), file=sys.stderr, flush=True)  # noqa: T201


LINES = LineProgress()


class BarProgress:
    """Bars with remaining time, for a person at a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, ProgressColumn
        from rich.progress import Progress as RichProgress
        from rich.progress import Task as RichTask
        from rich.text import Text

        class Row(ProgressColumn):
            """All that is said of a task, on as many lines as it takes: of a table's cells, Rich would cut some."""

            def render(row, task: RichTask) -> Text:  # noqa: N805 - `self` are the bars
                times = f"{duration(task.elapsed or 0)} gone"
                if task.time_remaining is not None:
                    times += f", {duration(task.time_remaining)} left"
                # Text, so that no markup is read: descriptions carry text from data and configurations.
                said = _row(task.description, int(task.completed), int(task.total or 0), times, task.fields["note"])
                return Text(_folded(said, self._bars.console.width - BAR_WIDTH - 1), overflow="fold")

        self._bars = RichProgress(BarColumn(bar_width=BAR_WIDTH), Row(), console=Console(stderr=True), transient=True)
        self._open = 0

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Task]:
        bars = self._bars
        if self._open == 0:
            bars.start()
        self._open += 1
        number = bars.add_task(description, total=total, note="")
        started = time.monotonic()

        class BarTask:
            def advance(self, amount: int = 1, note: str = "") -> None:
                if note:
                    bars.update(number, advance=amount, note=note)
                else:
                    bars.update(number, advance=amount)

        try:
            yield BarTask()
            elapsed = time.monotonic() - started
            if elapsed > 1.0:
                self.say(f"{description}: done in {duration(elapsed)}")
        finally:
            bars.remove_task(number)
            self._open -= 1
            if self._open == 0:
                bars.stop()

    def say(self, text: str) -> None:
        console = self._bars.console
        console.print(_folded(text, console.width), markup=False, highlight=False, soft_wrap=True)


def _row(description: str, done: int, total: int, times: str, note: str) -> str:
    return f"{description}: {done}/{total}, {times}{f'  {note}' if note else ''}"


def _folded(text: str, width: int | None) -> str:
    """One line of text on lines of at most `width` columns; it may quote paths and data with control characters."""
    return "\n".join(wrapped(printable(text), width))


def for_terminal() -> Progress:
    """Bars where standard error is a terminal, plain lines elsewhere."""
    return BarProgress() if sys.stderr.isatty() else LineProgress()


def duration(seconds: float) -> str:
    """Seconds as a person reads them: `42 s`, `3 min 05 s`, `2 h 07 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
