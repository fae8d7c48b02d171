"""Every kind of journal cut at every byte: every complete row is kept, or there is an error that names the file."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.reliability.campaign import Outcome, Trial
from benchmarks.reliability.flips import copied, expected_of
from benchmarks.reliability.readers import KINDS, Copy, Kind, Said
from benchmarks.reliability.subjects import make_subjects

_AT_ONCE = 1000
"""Cuts of a trial."""
_KINDS = {kind.name: kind for kind in KINDS if kind.rows is not None}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How many bytes are cut."""
    parser.add_argument("--each", type=int, default=1, help="cut at every so many bytes only")


def plan(given: argparse.Namespace) -> list[Trial]:
    """The trials: each is a thousand cuts of one file; of stages and segments under way, of one file of a name."""
    subjects = make_subjects(given.out / "subjects")
    trials = []
    for name, kind in _KINDS.items():
        files = {file.name: (unit, file) for unit, file in kind.found(subjects) if file.suffix != ".json"}
        for unit, file in files.values():
            size = file.stat().st_size
            for start in range(0, size, _AT_ONCE * given.each):
                what = {
                    "unit": unit.relative_to(subjects).as_posix(),
                    "file": file.relative_to(subjects).as_posix(),
                    "cuts": [start, min(size, start + _AT_ONCE * given.each), given.each],
                }
                trials.append(Trial(f"cut-{name.replace(' ', '-').replace(':', '')}-{file.name}-{start}", name, what))
    return trials


def attempt(given: argparse.Namespace, trial: Trial, folder: Path) -> Outcome:
    """Cut a copy at each of the bytes, and see what its reader says."""
    subjects, kind = make_subjects(given.out / "subjects"), _KINDS[trial.group]
    copy = copied(kind, subjects, trial.what, folder)
    expected = expected_of(kind, subjects, trial.what, folder)
    whole = copy.file.read_bytes()
    copy.file.chmod(0o644)
    ways: Counter[str] = Counter()
    broken = []
    for size in range(*trial.what["cuts"]):
        copy.file.write_bytes(whole[:size])
        held, how = _judged(kind, copy, expected, whole[:size].count(b"\n"))
        ways[how if held else "broken"] += 1
        if not held:
            broken.append([size, how])
    return Outcome(not broken, {"tries": ways.total(), **ways, **({"broken": broken[:5]} if broken else {})})


def _judged(kind: Kind, copy: Copy, expected: Any, complete: int) -> tuple[bool, str]:
    from frft.errors import FrftError

    assert kind.rows is not None
    try:
        found = kind.read(Copy(copy.unit, copy.file, copy.whole, Said()))
    except FrftError as error:
        return str(copy.file) in str(error), "an error"
    except Exception as error:  # noqa: BLE001 - what is not an error of frft's is a traceback
        return False, f"a traceback: {type(error).__name__}: {error}"
    rows, of_whole = kind.rows(found), kind.rows(expected)
    if kind.ends and rows == of_whole:
        return True, "all rows up to the checkpoint"
    return rows == of_whole[:complete], "every complete row"
