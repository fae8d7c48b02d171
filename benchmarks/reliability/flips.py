"""One bit flipped in every kind of file that is read back: an error that names the file, or the same content.

What reads the file is called in this process (readers.py), and `frft verify` beside it, which must find what that
finds. By sample, the commands themselves: `frft verify`, and the run that goes on.
"""

from __future__ import annotations

import argparse
import random
import shutil
import threading
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from benchmarks.reliability.campaign import Outcome, Trial
from benchmarks.reliability.readers import KINDS, Copy, Kind, Said
from benchmarks.reliability.subjects import frft, make_subjects

_KINDS = {kind.name: kind for kind in KINDS}
_EXPECTED: dict[tuple[str, str], Any] = {}
"""What comes through of what is whole, by kind and file."""
_OUTPUT = threading.Lock()
"""Held by the command that has this process's standard output."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The number of trials."""
    parser.add_argument("--trials", type=int, default=1000, help="bits to flip, as many of each kind of file")
    parser.add_argument(
        "--commands",
        type=int,
        default=40,
        help="try the commands themselves in the first of every so many rounds; 0: never",
    )


def plan(given: argparse.Namespace) -> list[Trial]:
    """The trials: kinds in turn, a file of the kind at random, one of its bits at random."""
    subjects, draw = make_subjects(given.out / "subjects"), random.Random(given.seed)  # noqa: S311 - no secret
    found = {kind: list(kind.found(subjects)) for kind in KINDS}
    if missing := [kind.name for kind, files in found.items() if not files]:
        raise RuntimeError(f"no file of these kinds was made: {missing}")
    trials = []
    for number in range(given.trials):
        kind = KINDS[number % len(KINDS)]
        unit, file = draw.choice(found[kind])
        what = {
            "unit": unit.relative_to(subjects).as_posix(),
            "file": file.relative_to(subjects).as_posix(),
            "bit": draw.randrange(8 * max(1, file.stat().st_size)),
            "command": bool(given.commands) and number // len(KINDS) % given.commands == 0,
        }
        trials.append(Trial(f"flip-{number:05d}", kind.name, what))
    return trials


def attempt(given: argparse.Namespace, trial: Trial, folder: Path) -> Outcome:
    """Flip the bit in a copy, and see what its reader, `frft verify`, and the command say."""
    subjects, kind = make_subjects(given.out / "subjects"), _KINDS[trial.group]
    copy = copied(kind, subjects, trial.what, folder)
    expected = expected_of(kind, subjects, trial.what, folder)
    flip(copy.file, trial.what["bit"])
    found = [judged(kind, copy, expected)]
    if trial.what["command"] and kind.verified:
        shutil.rmtree(folder / "copy")
        copy = copied(kind, subjects, trial.what, folder)
        flip(copy.file, trial.what["bit"])
        found.append(by_command(copy, "verify", str(copy.unit)))
        if kind.again:
            whole = folder / "again" / trial.what["unit"].partition("/")[0]
            shutil.copytree(subjects / whole.name, whole, symlinks=True)
            file = folder / "again" / trial.what["file"]
            flip(file, trial.what["bit"])
            words = ["run", str(subjects / "tiny.yaml"), "--out", str(whole), "--store", "none"]
            found.append(by_command(Copy(whole, file, whole, Said()), *words))
        # What is the same content for a reader is so for a command.
        found[1:] = [
            each if each[0] or found[0][1] != "harmless" else (True, "harmless, by command") for each in found[1:]
        ]
    return Outcome(all(held for held, _ in found), {"how": [how for _, how in found]})


def copied(kind: Kind, subjects: Path, what: Mapping[str, Any], folder: Path, name: str = "copy") -> Copy:
    """A copy of the unit of a trial, under the names that it has among the subjects."""
    whole = subjects / what["unit"]
    unit = folder / name / what["unit"]
    unit.parent.mkdir(parents=True, exist_ok=True)
    if whole.is_dir():
        shutil.copytree(whole, unit, symlinks=True, ignore=lambda at, _: kind.but if Path(at) == whole else ())
    else:
        shutil.copy2(whole, unit)
    return Copy(unit, folder / name / what["file"], whole, Said())


def expected_of(kind: Kind, subjects: Path, what: Mapping[str, Any], folder: Path) -> Any:
    """What comes through of a whole unit; read once."""
    key = (kind.name, what["file"])
    if key not in _EXPECTED:
        _EXPECTED[key] = kind.read(copied(kind, subjects, what, folder, "whole"))
        shutil.rmtree(folder / "whole")
    return _EXPECTED[key]


def flip(file: Path, bit: int) -> None:
    """Flip one bit of a file."""
    content = bytearray(file.read_bytes() or b"\0")
    content[bit // 8] ^= 1 << bit % 8
    file.chmod(0o644)
    file.write_bytes(content)


def judged(kind: Kind, copy: Copy, expected: Any) -> tuple[bool, str]:
    """Whether a reader of a damaged copy, and `frft verify`, do as promised, and how it came out."""
    from frft.errors import FrftError

    seen = ""
    try:
        if kind.verified:
            seen = _seen(copy.unit)
        found = kind.read(copy)
    except FrftError as error:
        if str(copy.file) not in str(error):
            return False, f"an error that does not name the file: {error}"
        if kind.verified and str(copy.file) not in seen:
            return False, f"frft verify finds nothing, or does not name the file: {seen or '(nothing)'}"
        return True, "detected"
    except Exception as error:  # noqa: BLE001 - what is not an error of frft's is a traceback
        return False, f"a traceback: {type(error).__name__}: {error}"
    if kind.repairs and copy.said.lines:
        name = copy.unit.name if copy.unit.name in " ".join(copy.said.lines) else copy.file.name
        is_less = found is None or all(each in expected for each in found)
        return name in " ".join(copy.said.lines) and is_less, "detected, and deleted to be made again"
    if found == expected:
        return True, "harmless"
    return False, "another content comes through without a word"


def _seen(unit: Path) -> str:
    """What `frft verify` says is damaged."""
    from frft.errors import FrftError
    from frft.results.verification import verify

    try:
        return " ".join(each.message for each in verify([unit]).damaged)
    except FrftError as error:
        return str(error)


def by_command(copy: Copy, *words: str) -> tuple[bool, str]:
    """Whether a command ends with an error that names the file."""
    said = StringIO()
    with _OUTPUT, redirect_stderr(said), redirect_stdout(said):
        try:
            status = frft(*words)
        except Exception as error:  # noqa: BLE001
            return False, f"a traceback of frft {words[0]}: {type(error).__name__}: {error}"
    text = "".join(said.getvalue().split())
    named = "".join(str(copy.file).split()) in text
    return (
        status == 1 and named,
        f"frft {words[0]}: status {status}, {'names the file' if named else said.getvalue()[-500:]}",
    )
