"""What the machine refused (a full disk, no memory, no permission) as a sentence instead of a traceback.

Libraries say it in many ways: as OSError, as an error of their own with the system's number in its text, or in words
of their streams.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator

_REFUSED = {
    errno.ENOSPC: ("the disk is full", "Free space there, or name a folder on another disk."),
    errno.EDQUOT: ("the quota of the disk is used up", "Free space there, or name a folder on another disk."),
    errno.EFBIG: ("the file would be larger than is allowed", "Raise the limit (ulimit -f), or name another disk."),
    errno.EIO: ("the disk fails", "Save what is there, and look at the system's log for the disk."),
    errno.EROFS: ("the disk is read-only", "Name a folder on another disk, or mount it for writing."),
    errno.EACCES: ("there is no permission", "Change the permissions, or name another path."),
    errno.EPERM: ("there is no permission", "Change the permissions, or name another path."),
    errno.ENAMETOOLONG: ("the path is longer than the file system allows", "Name a shorter one."),
    errno.ELOOP: ("the path leads through links that lead back to themselves", "Name the file itself."),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "Name another path."),
    errno.EMFILE: ("too many files are open", "Raise the limit (ulimit -n)."),
    errno.ENFILE: ("too many files are open", "End other programs."),
    errno.ESTALE: ("the network file system has lost it", "Mount it again."),
}
"""By number of the error: what the machine says, and what to do."""
_MEMORY = (
    "memory ran out. End other programs, or ask for less at a time: a smaller batch, fewer workers, shorter texts, a "
    "smaller model."
)
_NO_MEMORY = re.compile(r"can't allocate memory|not enough memory|out of memory|bad_alloc", re.IGNORECASE)
_THREADS = (
    "no new thread or process could be started: memory, or the number that is allowed (ulimit -u), is used up. End "
    "other programs, ask for fewer workers, or raise the limit."
)
_NO_THREADS = re.compile(r"can't start new thread|ThreadPoolBuildError|Resource temporarily unavailable")
_NUMBER = re.compile(r"\(os error (\d+)\)|\[errno (\d+)\]", re.IGNORECASE)
"""How Rust (safetensors, tokenizers) and Arrow put the system's number into their texts."""
_STREAM = re.compile(r"iostream error|PytorchStreamWriter failed|inline_container\.cc|\d+ requested and \d+ written")
"""What PyTorch and NumPy say of a file that they cannot write; they do not say why."""


def refusal(error: BaseException) -> str | None:
    """What the machine refused, where, and what to do; None: that is not why this error was raised."""
    unclear = None
    for each in _chain(error):
        if isinstance(each, MemoryError) or type(each).__name__ == "OutOfMemoryError":
            return _sentence(error, _MEMORY)
        # Not `str`: an OSError that got a file name says nothing else.
        text = " ".join(map(str, each.args))
        if isinstance(each, RuntimeError) and _NO_MEMORY.search(text):
            return _sentence(error, _MEMORY)
        if _NO_THREADS.search(text):
            return _sentence(error, _THREADS)
        number = each.errno if isinstance(each, OSError) else None
        name = getattr(each, "filename", None)
        where = os.fsdecode(name) if isinstance(name, str | bytes) else "a file"
        if number is None and (found := _NUMBER.search(text)):
            number = int(found[1] or found[2])
        if number == errno.ENOMEM:
            return _sentence(error, _MEMORY)
        if number in _REFUSED:
            said, advice = _REFUSED[number]
            return _sentence(error, f"{where} cannot be read or written: {said} ({os.strerror(number)}). {advice}")
        if isinstance(each, RuntimeError | OSError) and _STREAM.search(text):
            said = text.splitlines()[0][:200]
            unclear = f"{where} cannot be written ({said}). Most often the disk is full: free space."
    return None if unclear is None else _sentence(error, unclear)


def _sentence(error: BaseException, text: str) -> str:
    """The text, with what a command has noted of how it goes on."""
    return " ".join([text, *getattr(error, "__notes__", [])])


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error with all that it was raised from or after."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop(0)
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            left += [each.__cause__, each.__context__]
