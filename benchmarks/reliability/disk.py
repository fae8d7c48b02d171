"""A disk that is full, fails or is read-only: real ones of many sizes, and ENOSPC and EIO at every place that writes.

Such a run must end with a sentence and a status other than 0, its last checkpoint must load, and the same command, once
there is room, must come to what an undisturbed run holds. Mounting takes root; without it, these trials try nothing.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.reliability.campaign import Outcome, Trial
from benchmarks.reliability.runs import Started, run_command, undisturbed, write_settings
from benchmarks.reliability.same import content_of, differences

_ROOM = "512m"
"""Size of a disk that is large enough."""
_GROUP = {"ENOSPC": "no space, injected at a place", "EIO": "input/output error, injected at a place"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The numbers of trials."""
    parser.add_argument(
        "--sizes", type=int, default=20, help="real full disks, of so many sizes up to what a run takes"
    )
    parser.add_argument(
        "--places", type=int, help="inject at so many of the (place, hit) pairs, drawn; default: at all"
    )


def plan(given: argparse.Namespace) -> list[Trial]:
    """The trials: sizes in equal steps up to what an undisturbed run takes; places from a run that was traced."""
    _unmount_below(given.out)
    whole = undisturbed(given.out, "one")
    pages = sum(_pages(path) for path in (given.out / "whole" / "one").rglob("*"))
    sizes = [max(1, pages * (number + 1) // (given.sizes + 1)) for number in range(given.sizes)]
    trials = [Trial(f"full-{size}", "a real full disk", {"pages": size}) for size in sizes]
    draw = random.Random(given.seed)  # noqa: S311 - no secret
    hits = whole.hits()
    at_places = hits if given.places is None else draw.sample(hits, min(given.places, len(hits)))
    for number, place in enumerate(at_places):
        # With a number of places, each gets one of the two errors; without, both.
        for error in ("ENOSPC", "EIO") if given.places is None else (("ENOSPC", "EIO")[number % 2],):
            name = "".join(c if c.isalnum() else "-" for c in place["place"])
            trials.append(Trial(f"{error}-{name}-{place['hit']}", _GROUP[error], {"error": error, **place}))
    trials.append(Trial("read-only", "a diagnosis in a read-only folder", {"seconds": whole.seconds}))
    return trials


def attempt(given: argparse.Namespace, trial: Trial, folder: Path) -> Outcome:
    """Run into the fault, look at what is left, and go on without it."""
    if trial.name == "read-only":
        return _read_only(given, folder)
    if "pages" not in trial.what:
        told = {"below": str(folder / "run"), **trial.what}
        return _into_the_fault(given, folder, folder / "run", told)
    disk = folder / "disk"
    with _mounted(disk, f"size={trial.what['pages'] * os.sysconf('SC_PAGE_SIZE')}") as is_mounted:
        if not is_mounted:
            return Outcome(None, {"why": "mounting is not allowed"})
        return _into_the_fault(given, folder, disk / "run", None, disk)


def _into_the_fault(
    given: argparse.Namespace, folder: Path, out: Path, told: dict[str, Any] | None, disk: Path | None = None
) -> Outcome:
    from frft.errors import FrftError
    from frft.experiment.checkpoints import saved_in
    from frft.policy.training_state import read_training_state

    whole, command = undisturbed(given.out, "one"), run_command(write_settings(given.out), out, "one")
    ended = Started("one", command, folder, told).wait()
    found: dict[str, Any] = {"status": ended.status, "said": ended.said.strip().splitlines()[-1:]}
    if ended.status and ("Traceback" in ended.said or "frft: " not in ended.said):
        return Outcome(False, {**found, "said": ended.said})
    loaded = 0
    for segment in out.glob("stages/*.unfinished"):
        for checkpoint in saved_in(segment):
            try:
                _ = read_training_state(checkpoint, "ppo")
                loaded += 1
            except FrftError as error:
                return Outcome(False, {**found, "checkpoint": str(error)})
    if disk is not None:
        _mount("-o", f"remount,size={_ROOM}", str(disk))
    last = Started("one", command, folder).wait()
    if last.status:
        return Outcome(False, {**found, "status again": last.status, "said": last.said})
    differ = differences(content_of(out), whole.content)
    # A fault that a run can do without (a lock, a sweep) may end with status 0 and all that there should be.
    return Outcome(not differ, {**found, "checkpoints": loaded, "differences": differ[:20]})


def _read_only(given: argparse.Namespace, folder: Path) -> Outcome:
    disk = folder / "disk"
    whole = given.out / "whole" / "one"
    with _mounted(disk, "bind", str(whole)) as is_mounted:
        if not is_mounted:
            return Outcome(None, {"why": "mounting is not allowed"})
        _mount("-o", "remount,ro,bind", str(disk))
        ended = Started("one", ["diagnose", str(disk)], folder).wait()
    held = "Traceback" not in ended.said and (ended.status in (0, 1) or "frft: " in ended.said)
    return Outcome(held, {"status": ended.status, "said": ended.said[-500:]})


@contextmanager
def _mounted(disk: Path, options: str, source: str = "tmpfs") -> Iterator[bool]:
    """A file system of its own at a folder during a block; yields whether it could be mounted."""
    disk.mkdir(parents=True)
    kind = [] if options == "bind" else ["-t", "tmpfs"]
    is_mounted = _mount(*kind, "-o", options, source, str(disk))
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", str(disk)], check=True)  # noqa: S603, S607


def _unmount_below(folder: Path) -> None:
    """Unmount what a campaign that was killed has left."""
    for line in Path("/proc/mounts").read_text().splitlines():
        where = Path(line.split()[1])
        if where.name == "disk" and where.is_relative_to(folder):
            subprocess.run(["umount", str(where)], check=True)  # noqa: S603, S607


def _mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0  # noqa: S603, S607


def _pages(path: Path) -> int:
    size = 0 if path.is_symlink() or path.is_dir() else path.stat().st_size
    return 1 + -(-size // os.sysconf("SC_PAGE_SIZE"))
