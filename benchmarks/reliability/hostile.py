"""Hostile files (pickles, code, bombs, links, devices): all are refused or bounded, and none of their code runs.

Each trial makes one, and reads it in a process of its own with a limit of time and memory. Code in it would make a
file, the canary. The promise is kept where there is no canary, nothing was written outside of the trial's folder, and
the reader ended in time, with an error of frft's or with what it read.
"""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.reliability.apart import LIMITS, apart
from benchmarks.reliability.campaign import Outcome, Trial
from benchmarks.reliability.hostile_files import CANARY, FILES, Hostile, damaged_table
from benchmarks.reliability.workshop import tiny_models

LARGEST = 1536 * 2**20
"""Bytes of memory that a reader may take, beyond what its process has when it begins."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How many damaged tables."""
    parser.add_argument("--tables", type=int, default=40, help="parquet and Arrow files with random bytes changed")


def plan(given: argparse.Namespace) -> list[Trial]:
    """A trial for each hostile file."""
    tables = [Trial(f"table-{number}", "tables", {"seed": [given.seed, number]}) for number in range(given.tables)]
    return [*(Trial(name, group) for name, (group, _) in FILES.items()), *tables]


def attempt(given: argparse.Namespace, trial: Trial, folder: Path) -> Outcome:
    """Make a hostile file, and read it."""
    del given
    if trial.group == "tables":
        chance = Random(str(trial.what["seed"]))  # noqa: S311 - no secret depends on it
        return meet(lambda inner: damaged_table(inner, chance), folder)
    return meet(FILES[trial.name][1], folder)


def meet(hostile: Hostile, folder: Path) -> Outcome:
    """Make a hostile file in a folder, and read it, apart.

    Args:
        hostile: makes and reads it, in the folder that it is given.
        folder: an empty folder.
    """
    import frft.diagnosis.parts
    import frft.evaluation
    import frft.policy
    from frft.errors import FrftError

    _ = frft
    # What is imported before a process is forked is not imported by each.
    _ = tiny_models()
    inner = folder / "inner"
    inner.mkdir()

    def work() -> dict[str, Any]:
        os.chdir(inner)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                hostile(inner)
        except FrftError as error:
            return {"refused": f"{type(error).__name__}: {str(error)[:200]}"}
        except OSError as error:
            # What the system refuses; a command says so in a sentence, with the name of the file.
            if not error.filename:
                raise
            return {"refused": f"{type(error).__name__}: {str(error)[:200]}"}
        return {"refused": None}

    ended = apart(work, **{**LIMITS, "memory": LARGEST})
    faults = [ended.fault] if ended.fault else []
    outside = [path.name for path in folder.iterdir() if path != inner]
    if outside or list(folder.rglob(CANARY)):
        faults.append(f"code ran, or a file was written outside: {outside}")
    return Outcome(not faults, {"found": ended.found, "faults": faults, "peak": ended.peak, "seconds": ended.seconds})
