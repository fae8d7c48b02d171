"""Another value, or none, in place of every kind of JSON file and line that is read back: an error that names it."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.reliability.campaign import Outcome, Trial
from benchmarks.reliability.flips import copied, expected_of, judged
from benchmarks.reliability.readers import KINDS
from benchmarks.reliability.subjects import make_subjects

_KINDS = {kind.name: kind for kind in KINDS}
_LINES = (".jsonl", ".unfinished")
_VALUES: dict[str, bytes] = {
    "list": b"[]",
    "null": b"null",
    "number": b"3",
    "text": b'"text"',
    "object": b"{}",
    "nothing": b"",
    "half": b'{"format": 1',
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "number too large": b"1" * 5000,
    "no text": b"\xff\xfe\x00",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has none: all trials take a minute."""


def plan(given: argparse.Namespace) -> list[Trial]:
    """Every value in place of one file of each name of every kind; of a journal, in place of its first line."""
    subjects = make_subjects(given.out / "subjects")
    trials = []
    for kind in KINDS:
        files = {file.name: (unit, file) for unit, file in kind.found(subjects) if file.suffix in (".json", *_LINES)}
        for number, (unit, file) in enumerate(files.values()):
            for value in _VALUES:
                if value == "object" and kind.name == "benchmark: settings and counts":
                    continue  # what versions without digests wrote where nothing was counted
                what = {"unit": unit.relative_to(subjects).as_posix(), "file": file.relative_to(subjects).as_posix()}
                name = f"form-{KINDS.index(kind)}-{number}-{value.replace(' ', '-')}"
                trials.append(Trial(name, kind.name, {**what, "value": value}))
    return trials


def attempt(given: argparse.Namespace, trial: Trial, folder: Path) -> Outcome:
    """Put the value there, and see what the reader says."""
    subjects, kind = make_subjects(given.out / "subjects"), _KINDS[trial.group]
    copy = copied(kind, subjects, trial.what, folder)
    expected = expected_of(kind, subjects, trial.what, folder)
    copy.file.chmod(0o644)
    value = _VALUES[trial.what["value"]]
    if copy.file.suffix in _LINES:
        _, *lines = copy.file.read_bytes().splitlines(keepends=True)
        value = b"".join([value + b"\n", *lines])
    copy.file.write_bytes(value)
    held, how = judged(kind, copy, expected)
    return Outcome(held, {"how": how})
