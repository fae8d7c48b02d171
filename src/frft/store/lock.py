"""Advisory file locks between processes."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from frft.errors import OutputError

LAUNCHER_LOCK = ".lock"
"""Name of the lock file of whoever works in a whole folder: a run, several seeds, a study."""


@contextmanager
def sole_launcher(folder: Path) -> Iterator[None]:
    """Be the only one that was started for `folder`, during a block, with whatever settings; makes the folder.

    The lock file holds the process id and the host of its holder, and is deleted at the end. The operating system frees
    the lock of a process that dies. A folder that was made here and is empty at the end is deleted.

    Raises:
        OutputError: another process is at work there, which the message names; or the folder cannot be written.
    """
    made: list[Path] = []
    path = folder / LAUNCHER_LOCK
    try:
        with ExitStack() as held:
            try:
                made += [each for each in (folder, *folder.parents) if not each.exists()]
                folder.mkdir(parents=True, exist_ok=True)
                is_mine = held.enter_context(locked_now(path))
                if is_mine:
                    path.write_text(json.dumps({"process": os.getpid(), "host": socket.gethostname()}))
            except OSError as error:
                why = error.strerror or error
                raise OutputError(f"--out {folder} cannot be written: {why}. Name another folder.") from error
            if not is_mine:
                raise OutputError(
                    f"--out {folder}: {_holder(path)} is at work there (it holds {path}). Wait until it is done, stop "
                    "it, or name another folder."
                )
            # Deleted while it is held: whoever has opened the file finds that it has no name any more, and tries again.
            held.callback(path.unlink, missing_ok=True)
            yield
    finally:
        for each in made:
            if not each.is_dir() or any(each.iterdir()):
                break
            each.rmdir()


def _holder(path: Path) -> str:
    """Who holds a launcher's lock, in words."""
    try:
        found = json.loads(path.read_bytes())
        return f"process {found['process']} on {found['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"  # it has only just taken the lock


@contextmanager
def locked(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold an exclusive lock on the file `path` during a block, waiting for it; the file is created and stays.

    The operating system frees the lock of a process that dies. On a network file system, all machines that use it must
    support locks there (NFS 4 does).

    Args:
        path: the lock file; its content is not used.
        on_wait: called once if another process holds the lock, before waiting for it.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        on_wait()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def locked_now(path: Path) -> Iterator[bool]:
    """Try to lock the file `path` during a block, without waiting; yields whether this process holds the lock."""
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
