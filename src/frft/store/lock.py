"""Advisory locks between processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock of the file `path`, which is made where it is missing and stays; only one process can hold it.

    The operating system frees the lock of a process that dies. On a network file system, all machines that use it must
    support locks there (NFS 4 does).

    Args:
        path: the file; what stands in it has no meaning.
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
    """Hold the lock of the file `path` if nobody else does, without waiting; gives whether it is held."""
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
