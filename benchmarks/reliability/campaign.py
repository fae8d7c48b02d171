"""What all campaigns share: trials that are written down as they end, gone on with, counted."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes:
        name: tells it from all others of its campaign, also when the campaign goes on another day.
        group: the row of the table in which it is counted.
        what: what is done, JSON-able.
    """

    name: str
    group: str
    what: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        held: whether the promise was kept; None: the trial tried nothing (a run had ended before its signal).
        found: figures and reasons, JSON-able.
    """

    held: bool | None
    found: Mapping[str, Any] = field(default_factory=dict)


def carry_out(
    name: str, out: Path, trials: Sequence[Trial], attempt: Callable[[Trial, Path], Outcome], processes: int = 1
) -> list[dict[str, Any]]:
    """Make the trials that OUT/NAME.jsonl does not have yet, and return the lines of all of them.

    Args:
        name: of the campaign.
        out: its folder. A trial has a folder of its own there, which is kept where the promise was broken.
        trials: all of them.
        attempt: makes one, in the folder that it is given.
        processes: trials at the same time.
    """
    out.mkdir(parents=True, exist_ok=True)
    journal, lock = out / f"{name}.jsonl", threading.Lock()
    lines = {line["trial"]: line for line in _lines(journal)}
    left = [trial for trial in trials if trial.name not in lines]

    def make(trial: Trial) -> dict[str, Any]:
        folder = out / "trials" / trial.name
        _clear(folder)
        folder.mkdir(parents=True)
        began = time.monotonic()
        ended = attempt(trial, folder)
        line = {
            "trial": trial.name,
            "group": trial.group,
            "held": ended.held,
            "seconds": round(time.monotonic() - began, 1),
            "what": dict(trial.what),
            "found": dict(ended.found),
        }
        with lock, journal.open("a") as file:
            file.write(json.dumps(line) + "\n")
        if ended.held is not False:
            _clear(folder)
        return line

    with ThreadPoolExecutor(processes) as pool:
        for number, done in enumerate(as_completed([pool.submit(make, trial) for trial in left]), start=1):
            line = done.result()
            lines[line["trial"]] = line
            how = {True: "held", False: "BROKEN", None: "tried nothing"}[line["held"]]
            sys.stderr.write(f"{number}/{len(left)}  {line['trial']}  {line['seconds']:.0f} s  {how}\n")
    return [lines[trial.name] for trial in trials]


def show(lines: Sequence[Mapping[str, Any]]) -> int:
    """Print a table with a row for each group, and what was broken; returns an exit status, 1 if something was."""
    rows = [("", "trials", "held", "broken", "tried nothing")]
    for group in [*dict.fromkeys(line["group"] for line in lines), None]:
        held = [line["held"] for line in lines if group in (None, line["group"])]
        counts = (len(held), *(sum(each is how for each in held) for how in (True, False, None)))
        rows.append((group or "all", *map(str, counts)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        sys.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n")
    broken = [line for line in lines if line["held"] is False]
    for line in broken:
        sys.stdout.write(f"BROKEN {line['trial']}: {json.dumps(line['found'])}\n")
    return 1 if broken else 0


def _lines(journal: Path) -> list[dict[str, Any]]:
    if not journal.exists():
        return []
    # Half a line at the end is that of a campaign which was killed.
    whole = journal.read_bytes().rpartition(b"\n")[0]
    journal.write_bytes(whole + b"\n" if whole else b"")
    return [json.loads(line) for line in whole.splitlines()]


def _clear(folder: Path) -> None:
    import shutil

    if folder.exists():
        shutil.rmtree(folder)
