"""Kill this process at a place that writes, or let it fail there, or write down which places there are; none of it is
in the product.

Told by the environment variable FRFT_HOOK, JSON: `below`, the folder whose files count, and either `trace`, a file that
gets a line for every hit of a place, or `place` and `hit`, where the process kills itself before it does what it was
about to do, and `half`, whether the file that it was to fsync first loses its second half, as a torn write does; or,
in place of the kill, `error`, the name of the system's error that is raised there: EIO once, ENOSPC from there on, as
on a disk that stays full.

A place is what is done (open for writing, fsync, rename, ...) and where: the innermost line of frft, and the innermost
line outside of its `store`.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from collections import Counter
from importlib.util import find_spec
from typing import Any

VARIABLE = "FRFT_HOOK"
_FOUND = find_spec("frft")
_PACKAGE = "" if _FOUND is None or _FOUND.origin is None else os.path.join(os.path.dirname(_FOUND.origin), "")
"""The folder of frft's code, by its path: a checkout, too, may lie in a folder of that name."""
_STORE = f"store{os.sep}"
_EVENTS = {"os.rename": 1, "os.remove": 0, "os.rmdir": 0, "os.mkdir": 0, "os.symlink": 1, "os.link": 1}
"""Events of Python's audit (PEP 578), with the position of the path that they change."""
_FREEING = ("remove", "rmdir")
"""What a full disk allows."""
_FOLDER_AT = {"os.rename": 3, "os.remove": 1, "os.rmdir": 1, "os.mkdir": 2, "os.symlink": 2, "os.link": 3}
"""The position of the descriptor of the folder that such a path is relative to."""


def install(told: dict[str, Any]) -> None:
    """Look at all that this process and its forks do to files from now on."""
    below = os.path.realpath(told["below"]) + os.sep
    # Appending: several processes write lines to it.
    trace = os.open(told["trace"], os.O_WRONLY | os.O_CREAT | os.O_APPEND) if "trace" in told else None
    hits: Counter[str] = Counter()
    is_full = False

    def reached(kind: str, path: str, descriptor: int | None = None) -> None:
        nonlocal is_full
        if not path.startswith(below):
            return
        place = f"{kind} {_where()}"
        hits[place] += 1
        if trace is not None:
            os.write(trace, f"{place}\n".encode())
        elif is_full and kind not in _FREEING:
            raise _error("ENOSPC", path)
        elif place == told["place"] and hits[place] == told["hit"]:
            if told.get("half") and descriptor is not None:
                os.truncate(path, os.path.getsize(path) // 2)
            if "error" in told:
                is_full = told["error"] == "ENOSPC"
                raise _error(told["error"], path)
            os.kill(os.getpid(), signal.SIGKILL)

    def audited(event: str, given: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = given
            if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR) and not isinstance(path, int):
                reached("open", _absolute(path, -1))
        elif event in _EVENTS and not isinstance(given[_EVENTS[event]], int):
            folder = given[_FOLDER_AT[event]] if event in _FOLDER_AT else -1
            reached(event.removeprefix("os."), _absolute(given[_EVENTS[event]], folder))

    fsync = os.fsync

    def fsync_seen(file: Any) -> None:
        descriptor = file if isinstance(file, int) else file.fileno()
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        is_folder = os.path.isdir(path)
        reached("fsync of a folder" if is_folder else "fsync", path, None if is_folder else descriptor)
        fsync(file)

    os.fsync = fsync_seen
    sys.addaudithook(audited)


def _error(name: str, path: str) -> OSError:
    number = getattr(errno, name)
    return OSError(number, os.strerror(number), path)


def _absolute(path: Any, folder: int | None) -> str:
    text = os.fsdecode(path)
    if folder is not None and folder >= 0 and not os.path.isabs(text):
        text = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), text)
    return os.path.join(os.path.realpath(os.path.dirname(text) or "."), os.path.basename(text))


def _where() -> str:
    """The innermost line of frft, and the innermost one outside of its store; "elsewhere" where frft has no part."""
    found: list[str] = []
    frame = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if _PACKAGE and path.startswith(_PACKAGE):
            name = path.removeprefix(_PACKAGE)
            line = f"{name}:{frame.f_lineno}"
            if not found:
                found.append(line)
            if not name.startswith(_STORE):
                found += [line] if line not in found else []
                break
        frame = frame.f_back
    return " < ".join(found) or "elsewhere"


if VARIABLE in os.environ:
    install(json.loads(os.environ[VARIABLE]))
