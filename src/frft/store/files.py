"""Atomic writes (a file is complete or absent, whenever the process is killed), digests, and memory of the process."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import gc
import hashlib
import json
import math
import os
import re
import resource
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from frft.errors import ArtifactError
from frft.paths import did_you_mean

_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}\.tmp")
"""What `atomic_write` names its files until they are finished."""
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""The beginning of an escape of half a surrogate."""
_UNFINISHED = re.compile(r"\..+\.(unfinished|linked)")
"""What `atomic_folder` and the shared store name folders until they are finished."""
_ABANDONED_S = 3600.0
"""Seconds after which what carries no lock, an untouched folder or any file on a file system without locks, is taken
for a leftover."""


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a binary file that appears under `path` only when the block ends without an error.

    The bytes are on disk before the name is: a crash leaves the old file or the new one, never half of one. What it
    leaves besides, under a temporary name, is locked by nobody, by which `sweep` knows it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = _locked_beside(path)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            # mkstemp makes private files; what a run leaves behind has the permissions of any other file.
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            # Before the file is closed, which ends the lock.
            temporary.replace(path)
        sync_folder(path.parent)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        _name(error, path)
        raise


def _locked_beside(path: Path) -> tuple[int, Path]:
    """A new temporary file beside another, open for writing and locked by this process."""
    while True:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, Path(name)
        os.close(descriptor)  # swept before it was locked


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to fill that gets the name `path`, which must be free, only when the block ends without an error.

    The bytes are on disk before the name is. The leftovers of a process that was killed in such a block are deleted by
    the next one for the same path.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    remove(unfinished)
    unfinished.mkdir(parents=True)
    with named_in_errors(path):
        yield unfinished
    sync_below(unfinished)
    unfinished.rename(path)
    sync_folder(path.parent)


@contextmanager
def named_in_errors(path: Path) -> Iterator[None]:
    """Name a file or folder in errors of the system that are raised in a block and name none: a write to a full disk.

    They get it as `filename`, which also those of libraries in Rust get, who put the system's number into their text.
    """
    try:
        yield
    except Exception as error:
        _name(error, path)
        raise


RESTORE = "It was damaged or edited. Restore it from a copy, or delete it and run again."
"""What to do about a file that is not JSON, where the reader knows nothing better."""


def _name(error: BaseException, path: Path) -> None:
    found: BaseException | None = error
    while found is not None:
        is_of_system = isinstance(found, OSError) or "(os error " in str(found)
        if is_of_system and getattr(found, "filename", None) is None:
            if isinstance(found, OSError) and found.errno is None:
                # It holds a text alone, which Python would not show any more beside a name.
                found.strerror = str(found)
            found.filename = str(path)  # type: ignore[attr-defined]
        # PyTorch raises another error after that of the file that it was given.
        found = found.__cause__ or found.__context__


def remove(path: Path) -> None:
    """Delete a file, a folder or a link, but never what a link points to; nothing may be there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def names_in(folder: Path) -> set[str]:
    """The names of all that lies in a folder, but for what killed processes left, which `sweep` deletes."""
    return {
        path.name
        for path in folder.iterdir()
        if not (_TEMPORARY.fullmatch(path.name) or _UNFINISHED.fullmatch(path.name))
    }


def sweep(folder: Path, *, others_at_work: bool = False, spare: Collection[str] = ()) -> list[Path]:
    """Delete what killed processes left below a folder.

    Links are not followed; in a folder that is a link itself, nothing is deleted.

    Temporary files of `atomic_write`, and folders of `atomic_folder` and of the shared store that were never finished.

    Args:
        folder: the folder; it may be missing.
        others_at_work: leave what another process may be writing just now.
        spare: names of folders directly in it that are left out.

    Returns:
        What was deleted.
    """
    gone: list[Path] = []
    for parent, folders, names in () if folder.is_symlink() else os.walk(folder):
        if parent == str(folder):
            folders[:] = [each for each in folders if each not in spare]
        left = [name for name in names if _TEMPORARY.fullmatch(name)]
        for name in [*left, *(each for each in folders if _UNFINISHED.fullmatch(each))]:
            path = Path(parent, name)
            if not others_at_work:
                remove(path)
            elif not _remove_if_abandoned(path):
                continue
            gone.append(path)
        folders[:] = [each for each in folders if Path(parent, each) not in gone]
    return gone


def _remove_if_abandoned(path: Path) -> bool:
    """Delete what is left of a process if nobody writes it any more; returns whether it was."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # finished meanwhile, or a link
        return False
    try:
        is_abandoned = _is_abandoned(descriptor)
        # While it is locked: a writer who has only just made it sees that it is gone, and makes another.
        if is_abandoned:
            remove(path)
        return is_abandoned
    finally:
        os.close(descriptor)


def _is_abandoned(descriptor: int) -> bool:
    """Whether nobody holds a lock on an open file, as `atomic_write` does; this process does afterwards."""
    found = os.fstat(descriptor)
    is_old = time.time() - found.st_mtime > _ABANDONED_S
    if not stat.S_ISREG(found.st_mode):
        return is_old
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return is_old
    return True


def sync_below(folder: Path) -> None:
    """Wait until a folder with all that is below it is on disk, contents and names."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)  # noqa: PTH118 - as os.walk gives them
            # What a link points to is not part of the folder.
            if stat.S_ISREG(os.lstat(path).st_mode):
                with open(path, "rb") as file, named_in_errors(Path(path)):  # noqa: PTH123
                    os.fsync(file.fileno())
        sync_folder(Path(parent))


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on disk: without it, a power cut may undo a rename."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems (network, FUSE) cannot do this for folders, and order renames themselves.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            _name(error, folder)
            raise
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN and infinities are refused: they are not JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_write(path) as file:
        file.write(text.encode())


def read_json(path: Path, remedy: str = RESTORE) -> Any:
    """Read a JSON file that this project wrote.

    Args:
        path: the file.
        remedy: what to do if it is not JSON, a sentence.

    Raises:
        ArtifactError: the file is missing, is no file, or is not JSON.
    """
    check_is_file(path)
    try:
        with named_in_errors(path):
            return parse_json(path.read_bytes())
    except FileNotFoundError:
        if not path.parent.is_dir():
            near = did_you_mean(path.parent, Path.is_dir)
            raise ArtifactError(
                f"There is no folder {str(path.parent)!r}, where {path.name} should be.{near} Check the path."
            ) from None
        raise ArtifactError(
            f"{path} is missing, so its folder is incomplete. Delete the folder {path.parent} and run again."
        ) from None
    except ValueError as error:
        raise ArtifactError(f"{path} is not valid JSON ({error}). {remedy}") from error


def parse_json(content: bytes) -> Any:
    """Parse JSON as this project writes it: numbers are finite, and texts hold no half surrogates.

    Raises:
        ValueError: it is not JSON, holds what no writer here lets through, or is nested too deeply.
    """
    try:
        value = json.loads(content, parse_constant=_no_number, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if _SURROGATE.search(content) is not None:
        # Only an escape can make a half one; those of a pair make one character, which can be encoded.
        _ = json.dumps(value, ensure_ascii=False).encode()
    return value


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:20]} is too large")
    return number


def check_is_file(path: Path) -> None:
    """Refuse what is no file: to read a pipe, a socket or a device may take for ever, or never end.

    Raises:
        ArtifactError: something else has the name; where nothing has, nothing is raised.
    """
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "a pipe, a socket or a device"
        raise ArtifactError(f"{path} is no file, but {kind}. Move it away, and restore the file from a copy.")


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of all files below a folder, in hexadecimal."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return digest_of({file.relative_to(folder).as_posix(): sha256_file(file) for file in files})


def peak_memory() -> int:
    """Peak resident memory of this process since it began, or since `forget_memory`, in bytes."""
    # getrusage(2): kilobytes on Linux, bytes on macOS.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def forget_memory() -> None:
    """Return unused memory to the system, and restart the measurement of `peak_memory`.

    Otherwise a stage would be charged for the memory of the stages before it: trainers are in reference cycles, which
    only the garbage collector frees, and the C library keeps freed memory. On systems other than Linux the peak stays
    that of the process's whole life.
    """
    gc.collect()
    with suppress(OSError, AttributeError):  # a C library that is not glibc has no such function
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        # proc_pid_clear_refs(5): 5 resets the peak resident set size.
        Path("/proc/self/clear_refs").write_text("5")


def digest_of(value: Any) -> str:
    """SHA-256 of a JSON-able value in canonical form (sorted keys), in hexadecimal."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
