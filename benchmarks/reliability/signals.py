"""SIGTERM, SIGKILL, SIGHUP and SIGINT for a run, a worker, a rank, a launcher or the whole group, at random moments.

Ten seconds later no process of the run may be left. Where a policy was being trained and the signal lets a process come
to its end, the checkpoint holds every step that the journal does. The same command again must come to what an
undisturbed run holds.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.reliability.campaign import Outcome, Trial
from benchmarks.reliability.runs import Started, Way, run_command, undisturbed, write_settings
from benchmarks.reliability.same import content_of, differences
from frft.experiment.checkpoints import saved_in
from frft.results.verification import verify

SETTINGS = ("ppo.save_steps=1000", "ppo.total_steps=40", "refresh.at_steps=[10,25]")
"""So that a checkpoint is there only if the signal has made it, and that more of the time goes into steps."""
TARGETS: tuple[tuple[Way, str], ...] = (
    ("one", "run"),
    ("workers", "run"),
    ("workers", "worker"),
    ("workers", "group"),
    ("ranks", "launcher"),
    ("ranks", "rank"),
)
NAMES = ("SIGTERM", "SIGKILL", "SIGHUP", "SIGINT")
ORDERLY = {"SIGTERM": 143, "SIGHUP": 129, "SIGINT": 130}
"""Exit statuses of a run that was told to end; -9 is what SIGKILL leaves."""
_DEAF = {("worker", "SIGHUP"), ("worker", "SIGINT")}
"""What a process does not hear: these are for the one that started it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The numbers of trials."""
    parser.add_argument("--moments", type=int, default=30, help="random moments for each kind of target")
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="after these no process may be left (more where cores are busy)"
    )
    parser.add_argument("--targets", nargs="*", help="only these (run, worker, group, launcher, rank)")


def plan(given: argparse.Namespace) -> list[Trial]:
    """Signals in turn, moments at random."""
    draw = random.Random(given.seed)  # noqa: S311 - nothing is to be kept secret
    trials = []
    for place, (way, target) in enumerate(TARGETS):
        for number in range(given.moments):
            what = {
                "way": way,
                "target": target,
                "signal": NAMES[(place + number) % len(NAMES)],
                "share": draw.random(),
            }
            if not given.targets or target in given.targets:
                trials.append(Trial(f"{way}-{target}-{number}", f"{way}: to the {target}", what))
    for way in dict.fromkeys(trial.what["way"] for trial in trials):
        undisturbed(given.out, way, *SETTINGS)
    return trials


def attempt(given: argparse.Namespace, trial: Trial, folder: Path) -> Outcome:
    """Send the signal, look who is left and what is saved, and go on."""
    way, target, name = (trial.what[key] for key in ("way", "target", "signal"))
    whole = undisturbed(given.out, way, *SETTINGS)
    out = folder / "run"
    command = run_command(write_settings(given.out), out, way, *SETTINGS)
    started = Started(way, command, folder)
    time.sleep(trial.what["share"] * whole.seconds)
    pids = _targets(started, target)
    if not pids or not started.is_running():
        _end(started)
        return Outcome(None, {"why": "there was no such process at that moment"})
    told = time.monotonic()
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.Signals[name])
    deaf = (target, name) in _DEAF
    left = started.processes()
    while left and not deaf and time.monotonic() - told < given.seconds:
        time.sleep(0.05)
        left = started.processes()
    found: dict[str, Any] = {"ended_after": round(time.monotonic() - told, 2), "left": [] if deaf else [*left.values()]}
    if found["left"]:
        _end(started)
    ended = started.wait()
    found |= {"status": ended.status, "said": ended.said.strip().splitlines()[-1:]}
    found |= {
        "lost_steps": _lost_steps(out),
        "damaged": [each.message for each in verify([out]).damaged] if out.exists() else [],
    }
    expected = _expected(target, name)
    # After everything is written, a signal may meet Python's own end, which leaves it to the system.
    is_finished = (out / "results.json").exists()
    last = Started(way, command, folder).wait()
    found["differences"] = (
        [f"status {last.status}: {last.said}"] if last.status else differences(content_of(out), whole.content)[:20]
    )
    promises = (
        not found["left"],
        not found["damaged"],
        not found["differences"],
        expected is None or ended.status in (expected, 0) or (is_finished and ended.status == -signal.Signals[name]),
        name == "SIGKILL" or target in ("rank", "worker") or not found["lost_steps"],
    )
    return Outcome(all(promises), found)


def _targets(started: Started, target: str) -> list[int]:
    """The processes that get the signal."""
    processes = started.processes()
    if target in ("run", "launcher"):
        return [started.pid]
    if target == "group":
        return [pid for pid in processes if _group(pid) == started.pid]
    if target == "rank":
        return [pid for pid in processes if pid != started.pid and "torch.distributed.run" not in processes[pid]][:1]
    # A worker has the command line of the fork server that it was forked from, and that server for a parent.
    servers = {pid for pid, line in processes.items() if "forkserver" in line}
    return sorted(pid for pid in servers if _parent(pid) in servers)[:1]


def _group(pid: int) -> int:
    with suppress(ProcessLookupError):
        return os.getpgid(pid)
    return 0


def _parent(pid: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def _expected(target: str, name: str) -> int | None:
    """The exit status of the command; None: it is not frft's to say."""
    if (target, name) in _DEAF:
        return 0
    if target in ("launcher", "rank"):
        return None
    if target == "worker":
        return 1
    return ORDERLY.get(name, -signal.SIGKILL)


def _lost_steps(out: Path) -> int:
    """Steps in the journals of trainings that were stopped which no checkpoint holds."""
    lost = 0
    for journal in out.glob("stages/ppo-*.unfinished/metrics.jsonl"):
        checkpoints = saved_in(journal.parent)
        steps = [line.split(b'"step":')[1] for line in journal.read_bytes().splitlines() if b'"step":' in line]
        newest = max((int(each.split(b",")[0].strip(b" }")) for each in steps), default=0)
        saved = int(checkpoints[-1].name.rpartition("-")[2]) if checkpoints else 0
        lost += max(0, newest - saved) if newest else 0
    return lost


def _end(started: Started) -> None:
    for pid in started.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    started.wait()
