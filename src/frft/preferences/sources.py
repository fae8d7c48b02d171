"""What the user names -> the files and Hub data sets to read, in a fixed order."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from frft.errors import UnreadableError

Codec = Literal["gzip", "zstd"]

FILE_KINDS = ("jsonl", "json", "csv", "parquet")
COMPRESSIONS: dict[str, Codec | None] = {"": None, ".gz": "gzip", ".zst": "zstd"}
ENDINGS = {
    f".{kind}{suffix}": (kind, codec)
    for kind in FILE_KINDS
    for suffix, codec in COMPRESSIONS.items()
    if kind != "parquet" or codec is None
}
"""File endings that can be read, each with its kind and compression."""

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class FileSource:
    """A file. `kind` is one of `FILE_KINDS`; `codec` is None where it is not compressed."""

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
        """How the data set appears in `origin_file` and messages."""
        return f"hf://datasets/{self.repository} ({self.split})"

    @property
    def size(self) -> int:
        """Unknown until it is loaded; progress is then reported for files only."""
        return 0


Source = FileSource | HubSource


@dataclass(frozen=True)
class DataSources:
    """What there is to read, and what was met and is not read, with the reason."""

    found: tuple[Source, ...]
    ignored: Mapping[str, str]


def find_sources(pairs: str | Path | Sequence[str | Path], *, split: str = "train") -> DataSources:
    """Resolve files, folders (recursively, sorted), globs and Hub data set ids, in the order given.

    A name that exists as a path is that path; `owner/name` that does not is taken for a data set on the Hub.
    In folders, hidden files and folders are skipped, and files of other kinds are listed as ignored.

    Raises:
        UnreadableError: a path is missing, a folder or glob has no data file, or a file's ending is unknown.
    """
    found: dict[object, Source] = {}
    ignored: dict[str, str] = {}
    for name in [pairs] if isinstance(pairs, str | Path) else pairs:
        try:
            sources = list(_resolve(str(name), split, ignored))
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
    return DataSources(tuple(found.values()), ignored)


def _resolve(name: str, split: str, ignored: dict[str, str]) -> Iterator[Source]:
    path = Path(name).expanduser()
    if path.exists():
        yield from _from_path(path, ignored)
    elif glob.has_magic(name):
        matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - Path.glob wants relative patterns
        if not matches:
            raise UnreadableError(f"No file matches {name!r}. Check the pattern and the folder it starts from.")
        for match in matches:
            # A pattern matches whatever lies there; only a file named itself must have a known ending.
            yield from _from_path(Path(match), ignored, named=False)
    elif HUB_ID.fullmatch(name) and _ending(path) is None:
        yield HubSource(name, split)
    else:
        raise UnreadableError(
            f"{name!r} does not exist. Give a file ({', '.join(ENDINGS)}), a folder, a glob, "
            "or the id of a data set on the Hub (owner/name)."
        )


def _from_path(path: Path, ignored: dict[str, str], *, named: bool = True) -> Iterator[Source]:
    if path.is_dir():
        yield from _from_folder(path, ignored)
        return
    ending = _ending(path)
    if ending is not None:
        yield FileSource(path, *ENDINGS[ending])
    elif named:
        raise UnreadableError(f"{path}: files of this kind cannot be read. Convert it to one of {', '.join(ENDINGS)}.")
    else:
        ignored[str(path)] = "ending not known"


def _from_folder(folder: Path, ignored: dict[str, str]) -> Iterator[Source]:
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
