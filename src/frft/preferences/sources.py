"""Paths, patterns and ids that a user names -> the files and Hub data sets to read, in a fixed order."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from frft.errors import UnreadableError
from frft.paths import did_you_mean
from frft.preferences.splits import METADATA_FILES, split_of
from frft.store import MANIFEST, is_ours

Codec = Literal["gzip", "zstd"]

FILE_KINDS = ("jsonl", "json", "csv", "parquet", "arrow")
COMPRESSIONS: dict[str, Codec | None] = {"": None, ".gz": "gzip", ".zst": "zstd"}
ENDINGS = {
    f".{kind}{suffix}": (kind, codec)
    for kind in FILE_KINDS
    for suffix, codec in COMPRESSIONS.items()
    if kind not in ("parquet", "arrow") or codec is None
}
"""File endings that can be read, each with its kind and compression."""

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class FileSource:
    """A data file.

    Attributes:
        path: where it is.
        kind: one of `FILE_KINDS`.
        codec: how the whole file is compressed; None: it is not.
    """

    path: Path
    kind: str
    codec: Codec | None

    @property
    def name(self) -> str:
        """The path as the user wrote it; bytes that are no text are escaped."""
        return str(self.path).encode("utf-8", "backslashreplace").decode()

    @property
    def size(self) -> int:
        """Bytes; 0 where the file is gone, which reading it will report."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0


@dataclass(frozen=True)
class HubSource:
    """One split of a data set on the Hugging Face Hub."""

    repository: str
    split: str

    @property
    def name(self) -> str:
        """The data set and its split, as `origin_file` and messages name them."""
        return f"hf://datasets/{self.repository} ({self.split})"

    @property
    def size(self) -> int:
        """0: bytes are unknown until the data set is loaded, so progress is reported for files only."""
        return 0


Source = FileSource | HubSource


@dataclass(frozen=True)
class DataSources:
    """The sources to read, and the paths that are not read.

    Attributes:
        found: the files and Hub data sets to read, in order.
        ignored: paths that are not read, with the reason.
        left_aside: files of folders that belong to another split than the one asked for, by split.
    """

    found: tuple[Source, ...]
    ignored: Mapping[str, str]
    left_aside: Mapping[str, tuple[FileSource, ...]] = field(default_factory=dict)


def find_sources(pairs: str | Path | Sequence[str | Path], *, split: str = "train") -> DataSources:
    """Resolve files, folders (recursively, sorted), globs and Hub data set ids, in the order given.

    A name that exists as a path is that path; `owner/name` that does not is taken for a data set on the Hub.
    In folders, hidden files and folders are skipped, files of other kinds and metadata are listed as ignored, and
    files whose names say another split than `split` are left aside (`frft.preferences.splits`). Whatever file is named
    itself, or by a pattern, is read.

    Raises:
        UnreadableError: a path is missing, a folder or glob has no data file, a folder has none of the split, or a
            file's ending is unknown.
    """
    found: dict[object, Source] = {}
    ignored: dict[str, str] = {}
    aside: dict[str, list[FileSource]] = {}
    for name in [pairs] if isinstance(pairs, str | Path) else pairs:
        try:
            sources = list(_resolve(str(name), split, ignored, aside))
        except OSError as error:
            raise UnreadableError(f"{name} cannot be looked up: {error}.") from error
        if not sources:
            raise UnreadableError(f"{name} holds no data file. Known endings: {', '.join(ENDINGS)}.")
        for source in sources:
            identity = source.path.resolve() if isinstance(source, FileSource) else source
            if identity in found:
                ignored[source.name] = "named twice, read once"
            else:
                found[identity] = source
    # A file that is left aside in one place may be named in another.
    left = {each: [source for source in files if source.path.resolve() not in found] for each, files in aside.items()}
    return DataSources(tuple(found.values()), ignored, {each: tuple(files) for each, files in left.items() if files})


def _resolve(name: str, split: str, ignored: dict[str, str], aside: dict[str, list[FileSource]]) -> Iterator[Source]:
    path = Path(name).expanduser()
    if path.is_dir():
        yield from _of_split(path, split, ignored, aside)
    elif path.exists():
        yield from _from_path(path, ignored)
    elif glob.has_magic(name):
        matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - Path.glob wants relative patterns
        if not matches:
            raise UnreadableError(
                f"No file matches {name!r}.{_near_pattern(path)} Check the pattern and the folder it starts from."
            )
        for match in matches:
            # A pattern matches whatever lies there; only a file named itself must have a known ending.
            if Path(match).is_dir():
                yield from _of_split(Path(match), split, ignored, aside)
            else:
                yield from _from_path(Path(match), ignored, named=False)
    elif HUB_ID.fullmatch(name) and _ending(path) is None:
        yield HubSource(name, split)
    else:
        raise UnreadableError(
            f"{name!r} does not exist.{did_you_mean(name, is_data)} Give a file ({', '.join(ENDINGS)}), a folder, a "
            "glob, or the id of a data set on the Hub (owner/name)."
        )


def is_data(path: Path) -> bool:
    """Whether a path is a folder, or a file whose ending can be read."""
    return path.is_dir() or (path.is_file() and _ending(path) is not None)


def _near_pattern(pattern: Path) -> str:
    """Which folder may have been meant by the part of a pattern before its first wildcard."""
    fixed = next(each for each in pattern.parents if not glob.has_magic(str(each)))
    return "" if fixed.is_dir() else f" There is no folder {str(fixed)!r}.{did_you_mean(fixed, Path.is_dir)}"


def _of_split(
    folder: Path, split: str, ignored: dict[str, str], aside: dict[str, list[FileSource]]
) -> Iterator[FileSource]:
    """The files of a folder that belong to a split; the others are noted in `aside`."""
    by_split: dict[str, list[FileSource]] = {}
    for source in _from_folder(folder, ignored):
        by_split.setdefault(split_of(source.path.relative_to(folder)), []).append(source)
    if by_split and split not in by_split:
        there = ", ".join(f"{name} ({len(files)} file{'s' * (len(files) > 1)})" for name, files in by_split.items())
        raise UnreadableError(
            f"{folder} has no split {split!r}; by their names, its files are of {there}. Choose one (--split; in a "
            "configuration data.split), or name the files."
        )
    for name, files in by_split.items():
        if name != split:
            aside.setdefault(name, []).extend(files)
    yield from by_split.get(split, [])


def _from_path(path: Path, ignored: dict[str, str], *, named: bool = True) -> Iterator[FileSource]:
    if not named and (path.name in METADATA_FILES or (path.name == MANIFEST and path.is_file() and is_ours(path))):
        ignored[str(path)] = "describes the data, and is none"
        return
    if path.exists() and not path.is_file():
        # To read a pipe or a device may take for ever, or never end.
        if named:
            raise UnreadableError(
                f"{path} is no file, but a pipe, a socket or a device. Write its rows to a file first."
            )
        ignored[str(path)] = "a pipe, a socket or a device"
        return
    ending = _ending(path)
    if ending is not None:
        yield FileSource(path, *ENDINGS[ending])
    elif named:
        raise UnreadableError(f"{path}: files of this kind cannot be read. Convert it to one of {', '.join(ENDINGS)}.")
    else:
        ignored[str(path)] = "ending not known"


def _from_folder(folder: Path, ignored: dict[str, str]) -> Iterator[FileSource]:
    # Sorted, because the order of a folder's entries differs between file systems and decides the order of pairs.
    for parent, folders, files in os.walk(folder, onerror=_fail):
        for name in sorted(folders):
            if (Path(parent) / name).is_symlink():
                ignored[str(Path(parent) / name)] = "link to a folder"
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield from _from_path(Path(parent) / name, ignored, named=False)


def _fail(error: OSError) -> None:
    raise error


def _ending(path: Path) -> str | None:
    name = path.name.lower()
    return next((ending for ending in ENDINGS if name.endswith(ending)), None)
