"""What commands write: refused before the work begins where it could not be written when it is done."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from frft.errors import OutputError


def check_file(path: Path) -> None:
    """Refuse a path to which no file can be written; nothing is left there.

    Raises:
        OutputError: it is a folder or a device, or its folder cannot be made or written to.
    """
    _check(path, path.parent)
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file.")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is not a plain file, and would be replaced by one. Name another file.")


def check_writable_folder(path: Path) -> None:
    """Refuse a path at which no folder can be made and written to; nothing is left there.

    Raises:
        OutputError: it is a file, or cannot be made or written to.
    """
    _check(path, path)


def check_not_read(targets: Sequence[Path], sources: Sequence[str], *, split: str) -> None:
    """Refuse to write to a file that is going to be read, or to one file twice.

    Args:
        targets: what is going to be written.
        sources: files, folders, globs and Hub ids, as `frft.preferences.load_pool` takes them.
        split: the split of Hub data sets and folders.

    Raises:
        OutputError: a file would be lost.
        UnreadableError: a source is missing, or of no known kind.
    """
    from frft.preferences.sources import FileSource, find_sources

    sources_found = find_sources(sources, split=split)
    # A test split that is left aside is not to be lost either.
    found = [*sources_found.found, *(file for files in sources_found.left_aside.values() for file in files)]
    taken = {source.path.resolve() for source in found if isinstance(source, FileSource)}
    for target in targets:
        if target.resolve() in taken:
            raise OutputError(f"{target} is read, or written already, by this command. Name another file.")
        taken.add(target.resolve())


def check_new_folder(path: Path) -> None:
    """Refuse a path that `new_folder` could not make.

    Raises:
        OutputError: something is there that is no empty folder, or it cannot be made.
    """
    _check(path, path.parent)
    if os.path.lexists(path):
        fixed = path.is_symlink() or path.is_mount() or path.resolve() == Path.cwd()
        if fixed or not path.is_dir() or any(path.iterdir()):
            why = "a link, a mount point or the current folder" if fixed else "something is there"
            raise OutputError(f"{path} is not a new or empty folder ({why}). Name a new one.")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill that becomes `path` when the block ends without an error. Otherwise it is removed.

    Raises:
        OutputError: it cannot be made, or not be moved to `path` in the end; then what was made is kept beside it.
    """
    unfinished = path.with_name(f"{path.name}.unfinished")
    # That of a process that was killed; nothing in it can be trusted.
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
    except OSError as error:
        raise OutputError(f"{unfinished} cannot be made: {error.strerror}. Name another folder.") from error
    try:
        yield unfinished
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    try:
        unfinished.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be made: {error.strerror}. What was to be there is in {unfinished}."
        ) from error


def _check(path: Path, folder: Path) -> None:
    """Raise `OutputError` unless a file could be written into `folder`, for the sake of `path`."""
    try:
        nearest = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
        # Made without a name: permissions, read-only disks and whatever else there is are found by trying.
        with tempfile.TemporaryFile(dir=nearest):
            pass
        # A name too long for any file is found by looking for it.
        path.is_dir()
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {nearest}: {error.strerror}. Name another path.") from error
