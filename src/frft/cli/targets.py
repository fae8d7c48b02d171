"""Check output paths before a command begins its work, so that it cannot fail to write the result at the end."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from frft.errors import OutputError


def check_file(path: Path, option: str = "") -> None:
    """Check that a file can be written to a path; nothing is left there.

    Args:
        path: the file.
        option: the option by which the user may name another one, for a path that has a default.

    Raises:
        OutputError: it is a folder or a device, or its folder cannot be made or written to.
    """
    _check(path, path.parent, option)
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file.")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is not a plain file, and would be replaced by one. Name another file.")


def check_writable_folder(path: Path) -> None:
    """Check that a folder can be made at a path and written to; nothing is left there.

    Raises:
        OutputError: it is a file, or cannot be made or written to.
    """
    _check(path, path)


def check_not_read(targets: Sequence[Path], sources: Sequence[str], *, split: str) -> None:
    """Check that no output is also an input, and that no two outputs are one file.

    Args:
        targets: the files that are going to be written.
        sources: files, folders, globs and Hub ids, as `frft.preferences.load_pool` takes them.
        split: the split of Hub data sets and folders.

    Raises:
        OutputError: a file would be lost.
        UnreadableError: a source is missing, or of no known kind.
    """
    from frft.preferences.sources import FileSource, find_sources

    sources_found = find_sources(sources, split=split)
    # Files of other splits are not read, but must not be overwritten either.
    found = [*sources_found.found, *(file for files in sources_found.left_aside.values() for file in files)]
    taken = {source.path.resolve() for source in found if isinstance(source, FileSource)}
    for target in targets:
        if target.resolve() in taken:
            raise OutputError(f"{target} is read, or written already, by this command. Name another file.")
        taken.add(target.resolve())


def check_new_folder(path: Path) -> None:
    """Check that `new_folder` can make a folder at a path: it is free or an empty folder.

    Raises:
        OutputError: it is neither, or cannot be made.
    """
    _check(path, path.parent)
    if os.path.lexists(path):
        fixed = path.is_symlink() or path.is_mount() or path.resolve() == Path.cwd()
        if fixed or not path.is_dir() or any(path.iterdir()):
            # `new_folder` replaces the path by a rename, which these cannot be the target of.
            why = "a link, a mount point or the current folder" if fixed else "something is there"
            raise OutputError(f"{path} is not a new or empty folder ({why}). Name a new one.")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill that becomes `path` when the block ends without an error. Otherwise it is removed.

    Raises:
        OutputError: it cannot be made, or not be moved to `path` in the end; then what was made is kept beside it.
    """
    unfinished = path.with_name(f"{path.name}.unfinished")
    # The leftovers of a process that was killed may be incomplete.
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
            f"{path} cannot be made: {error.strerror}. The finished files are in {unfinished}; move them by hand."
        ) from error


def _check(path: Path, folder: Path, option: str = "") -> None:
    """Raise `OutputError` unless a file could be written into `folder`, for the sake of `path`."""
    try:
        nearest = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
        # Trying finds all reasons (permissions, read-only or full disks); a temporary file leaves nothing behind.
        with tempfile.TemporaryFile(dir=nearest):
            pass
        # Raises OSError for a name that is too long for the file system.
        path.is_dir()
    except OSError as error:
        by = f" by {option}" if option else ""
        raise OutputError(f"{path} cannot be written: {nearest}: {error.strerror}. Name another path{by}.") from error
