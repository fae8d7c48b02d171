"""The run that campaigns are about: a tiny one with two refreshes, in one process, with workers, or under torchrun."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from tests.e2e.small import SETTINGS, dialogues
from tests.processes import Python

from benchmarks.reliability import hook
from benchmarks.reliability.same import content_of, digest_of_code

ROOT = Path(__file__).resolve().parents[2]
Way = Literal["one", "workers", "ranks"]
"""One process, forked from a server with the libraries in memory; two workers, or two ranks of torchrun, which are new
interpreters."""
LONGEST_S = 600.0
"""Seconds after which a run counts as hanging."""
_MARK = "FRFT_CAMPAIGN"
_LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")


@dataclass(frozen=True)
class End:
    """How a command ended.

    Attributes:
        status: its exit status; negative: the signal that killed it.
        said: the end of what it wrote to standard error.
    """

    status: int
    said: str


def write_settings(folder: Path) -> Path:
    """The settings of the run, and its pairs, in a folder; written once."""
    settings = folder / "tiny.yaml"
    if settings.exists():
        return settings
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in dialogues()))
    made: dict[str, Any] = yaml.safe_load(SETTINGS)
    made["data"]["pairs"] = str(folder / "pairs.jsonl")
    made["ppo"] |= {"total_steps": 6, "save_steps": 1, "num_ppo_epochs": 1}
    made["refresh"] |= {"at_steps": [2, 4], "alpha": 2}
    made["arms"] = {"vanilla": {"alpha": 0, "at_steps": None}, "part1": {"selection": {"strategy": "part1"}}}
    made["evaluation"] = {"max_prompts": 8}
    settings.write_text(yaml.safe_dump(made))
    return settings


class Started:
    """A command `frft run` under way, the leader of a session of its own.

    Args:
        way: how it runs.
        arguments: those of `frft`.
        folder: gets what it says.
        told: what the hook is told; None: there is no hook.
    """

    def __init__(self, way: Way, arguments: Sequence[str], folder: Path, told: Mapping[str, Any] | None = None) -> None:
        self._mark = f"{folder.resolve()} {time.monotonic_ns()}"
        env = {"FRFT_STORE": "none", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", _MARK: self._mark}
        path = [str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
        if told is not None:
            env["FRFT_HOOK"] = json.dumps(told)
            path.insert(0, str(Path(hook.__file__).parent))
        env["PYTHONPATH"] = os.pathsep.join(filter(None, path))
        folder.mkdir(parents=True, exist_ok=True)
        self._one = self._many = None
        if way == "one":
            self._one = Python("-m", "benchmarks.reliability.forked", *arguments, folder=folder, cwd=ROOT, env=env)
            self.pid = self._one.pid
            return
        self._said = folder / f"said-{len(list(folder.glob('said-*')))}"
        launcher = _LAUNCHER if way == "ranks" else ()
        with self._said.open("wb") as file:
            self._many = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, *launcher, "-m", "frft", *arguments],
                stdout=subprocess.DEVNULL,
                stderr=file,
                cwd=ROOT,
                env={**os.environ, **env},
                start_new_session=True,
            )
        self.pid = self._many.pid

    def wait(self, seconds: float = LONGEST_S) -> End:
        """Wait for its end; after so many seconds it is killed."""
        if self._one is not None:
            ended = self._one.wait(seconds)
            return End(ended.returncode, ended.stderr[-2000:])
        assert self._many is not None
        try:
            status = self._many.wait(seconds)
        except subprocess.TimeoutExpired:
            self._many.kill()
            status = self._many.wait()
        return End(status, self._said.read_text(errors="replace")[-2000:])

    def is_running(self) -> bool:
        """Whether the command itself, the first of its processes, runs."""
        return (self._one.poll() if self._one is not None else self._many.poll() if self._many else 0) is None

    def processes(self) -> dict[int, str]:
        """Its processes that run, with their command lines: those of its session, and heirs of its environment."""
        found = {}
        for pid in (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()):
            try:
                in_session = os.getsid(pid) == self.pid
                mine = in_session or f"{_MARK}={self._mark}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes()
                if mine and "State:\tZ" not in Path(f"/proc/{pid}/status").read_text():
                    found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (ProcessLookupError, FileNotFoundError, PermissionError):
                continue
        return found


def run_command(settings: Path, out: Path, way: Way, *overrides: str) -> list[str]:
    """The arguments of `frft` for a run in `out`."""
    workers = {"one": "workers=1", "workers": "workers=2", "ranks": "workers=null"}[way]
    return ["run", str(settings), workers, *overrides, "--out", str(out)]


@dataclass(frozen=True)
class Whole:
    """An undisturbed run.

    Attributes:
        seconds: from its start to its end.
        places: how often it came to each place (hook/sitecustomize.py), over all of its processes.
        content: everything in its folder.
    """

    seconds: float
    places: Counter[str]
    content: dict[str, Any]

    def hits(self) -> list[dict[str, Any]]:
        """The first, a middle and the last hit of every place."""
        return [
            {"place": place, "hit": hit}
            for place, count in sorted(self.places.items())
            for hit in sorted({1, (count + 1) // 2, count})
        ]


def undisturbed(folder: Path, way: Way, *overrides: str) -> Whole:
    """The run that trials are compared with; made once in a folder.

    Raises:
        RuntimeError: it failed, or the one in the folder was made by other code.
    """
    name = "-".join([way, *(each.replace("/", "_") for each in overrides)])
    ends = ("", ".places", ".seconds", ".code")
    out, places, seconds, code = (folder / "whole" / f"{name}{suffix}" for suffix in ends)
    if seconds.exists() and code.exists() and code.read_text() != digest_of_code():
        raise RuntimeError(f"{out} was made by other code, whose stages have other names. Name a new folder.")
    if not seconds.exists():
        shutil.rmtree(out, ignore_errors=True)
        places.unlink(missing_ok=True)
        settings = write_settings(folder)
        if way == "one":
            # It starts the server that all others are forked from, which takes longer than the run.
            Started("one", ["--version"], folder / "said").wait()
        out.parent.mkdir(exist_ok=True)
        began = time.monotonic()
        told = {"below": str(out), "trace": str(places)}
        ended = Started(way, run_command(settings, out, way, *overrides), folder / "said", told).wait()
        if ended.status:
            raise RuntimeError(f"the undisturbed run ended with status {ended.status}: {ended.said}")
        code.write_text(digest_of_code())
        seconds.write_text(str(time.monotonic() - began))
    return Whole(float(seconds.read_text()), Counter(places.read_text().splitlines()), content_of(out))
