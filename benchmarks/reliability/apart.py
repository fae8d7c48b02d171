"""Work in a process of its own, forked from this one, with a limit of time and of memory."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict


class Limits(TypedDict):
    """Limits of a process: seconds, and bytes of memory beyond what it has when it begins."""

    seconds: float
    memory: int


LIMITS: Limits = {"seconds": 60.0, "memory": 2 * 2**30}


@dataclass(frozen=True)
class Ended:
    """How the process ended.

    Attributes:
        found: what the work returned, through JSON; None: nothing.
        fault: hang, crash, or an exception that the work raised, in words; None: none of these.
        peak: largest resident memory, in bytes.
        seconds: wall-clock seconds that it took.
    """

    found: Any
    fault: str | None
    peak: int
    seconds: float


def apart(work: Callable[[], Any], *, seconds: float, memory: int) -> Ended:
    """Do some work in a process of its own.

    Args:
        work: returns something JSON-able.
        seconds: after which it is killed, and counts as one that hangs.
        memory: bytes that it may allocate beyond what this process has; then its allocations fail.
    """
    began = time.monotonic()
    receiving, sending = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(receiving)
        status = 1
        try:
            _limit(memory)
            _send(sending, {"found": work()})
            status = 0
        except BaseException as error:  # noqa: BLE001 - whatever it is, the parent is told
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{os.path.basename(last.filename)}:{last.lineno}"  # noqa: PTH119
            _send(sending, {"error": f"{type(error).__name__}: {str(error)[:300]} ({where})"})
        finally:
            # No cleaning up: what is open belongs to the parent.
            os._exit(status)
    os.close(sending)
    content, hangs = _receive(receiving, seconds)
    if hangs:
        os.kill(process, signal.SIGKILL)
    _, status, used = os.wait4(process, 0)
    said = json.loads(content) if content else {}
    fault: str | None = said.get("error")
    if hangs:
        fault = f"hangs: killed after {seconds:.0f} s"
    elif os.WIFSIGNALED(status):
        fault = f"crashed by signal {os.WTERMSIG(status)}"
    elif not said:
        fault = f"ended without a word, status {os.WEXITSTATUS(status)}"
    return Ended(said.get("found"), fault, used.ru_maxrss * 1024, time.monotonic() - began)


def _limit(memory: int) -> None:
    with open("/proc/self/statm") as file:  # noqa: PTH123
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + memory, size + memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _send(pipe: int, value: Any) -> None:
    with os.fdopen(pipe, "wb") as file:
        file.write(json.dumps(value).encode())


def _receive(pipe: int, seconds: float) -> tuple[bytes, bool]:
    """All that was sent, and whether the time was over before the end."""
    until, parts = time.monotonic() + seconds, []
    with os.fdopen(pipe, "rb", buffering=0) as file:
        while True:
            ready, _, _ = select.select([file], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                return b"".join(parts), True
            part = file.read(65536)
            if not part:
                return b"".join(parts), False
            parts.append(part)
