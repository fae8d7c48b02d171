"""Processes of tests' own: real ones, but forked from a server that has imported the libraries already.

A new interpreter needs several seconds to import them, which is most of the time of a small run. What is to be seen at
the very end of an interpreter, or at the start of one, is tested with `subprocess`.
"""

from __future__ import annotations

import gc
import os
import runpy
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frft.experiment.processes import start_method


def is_running(pid: int) -> bool:
    """Whether a process is there and has not ended; one that has waits for its parent as a zombie."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@dataclass(frozen=True)
class Ended:
    """What `subprocess.run` says of a process; the texts are those of all processes that were started together."""

    returncode: int
    stdout: str
    stderr: str


class Python:
    """`python ARGUMENTS` that runs until `wait`: `-m MODULE ...` or `SCRIPT ...`.

    Args:
        arguments: of Python's command line.
        cwd: the folder to run in; None: this process's.
        env: changes of the environment.
    """

    def __init__(self, *arguments: object, folder: Path, cwd: Path | None = None, env: Mapping[str, str] | None = None):
        number = len(list(folder.glob("stdout-*")))
        self._files = [folder / f"{name}-{number}" for name in ("stdout", "stderr")]
        for file in self._files:
            file.touch()
        given = [str(argument) for argument in arguments]
        environment = {**os.environ, **(env or {})}
        self.process = start_method().Process(
            target=_run, args=(given, cwd or Path.cwd(), environment, self._files), daemon=False
        )
        self.process.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def poll(self) -> int | None:
        """The exit status; None while it runs."""
        return self.process.exitcode

    def wait(self, timeout: float = 300) -> Ended:
        """Wait for its end; it is killed if it does not come."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        out, err = (file.read_text() for file in self._files)
        return Ended(self.process.exitcode, out, err)


def run_python(
    *arguments: object,
    folder: Path,
    processes: int = 1,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 300,
) -> Ended:
    """Run `python ARGUMENTS`, or so many of them under the variables that torch's launcher sets, to the end.

    Where one of several fails, the others are killed, as the launcher does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if processes == 1:
        return Python(*arguments, folder=folder, cwd=cwd, env=env).wait(timeout)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [
        {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(processes),
            "LOCAL_WORLD_SIZE": str(processes),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        for rank in range(processes)
    ]
    started = [Python(*arguments, folder=folder, cwd=cwd, env={**(env or {}), **rank}) for rank in ranks]
    waiting = list(started)
    while waiting:
        _wait_for_one(waiting, timeout)
        if any(each.poll() for each in started):
            for each in waiting:
                each.process.kill()
        waiting = [each for each in waiting if each.poll() is None]
    ended = [each.wait() for each in started]
    status = next((each.returncode for each in ended if each.returncode), 0)
    return Ended(status, "".join(each.stdout for each in ended), "".join(each.stderr for each in ended))


def _wait_for_one(waiting: Sequence[Python], timeout: float) -> None:
    from multiprocessing.connection import wait

    if not wait([each.process.sentinel for each in waiting], timeout):
        for each in waiting:
            each.process.kill()
    for each in waiting:
        each.process.join(0)


def _run(arguments: list[str], cwd: Path, environment: dict[str, str], files: list[Path]) -> Any:
    # As at a terminal: whoever started these tests in the background has made their processes deaf to it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    for number, file in enumerate(files, start=1):
        stream = os.open(file, os.O_WRONLY | os.O_APPEND)
        os.dup2(stream, number)
    # The libraries are never garbage; see `libraries_set_aside`.
    gc.freeze()
    # What is written at once must be there also if the process is killed.
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path.insert(0, str(Path(arguments[0]).resolve().parent))
        runpy.run_path(arguments[0], run_name="__main__")
