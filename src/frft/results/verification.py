"""Verify every digest below a folder: of runs, models, the shared store, vectors, files of labels, studies.

Nothing is loaded, made or deleted. Links are not followed: what they point to is verified where it lies.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from frft.errors import ArtifactError, DataError, UnreadableError
from frft.paths import did_you_mean
from frft.progress import SILENT, Progress
from frft.results.cell import CELL_ANEW
from frft.results.run import MADE_ANEW
from frft.store import (
    MANIFEST,
    StoredValue,
    is_sealed,
    listed_files,
    read_json,
    read_manifest,
    rows_at,
    sha256_file,
    verify_files,
)
from frft.store.artifact import LOCKS
from frft.store.chained import is_chained, read_chained
from frft.store.files import check_is_file
from frft.store.manifest import RUN_AGAIN, is_ours

_VECTORS = re.compile(r"[0-9a-f]{24}-([0-9a-f]{64})\.npy")
"""Names of files of vectors, which end in the SHA-256 of their content."""
_OF_CACHE = "Delete it: what needs it computes it again."
_REMEDIES = {
    "*/cells/*.json": CELL_ANEW,
    "*/evidence/*.json": "Delete it and run `frft advise fit` again: it is measured anew.",
    "*/results.json": MADE_ANEW,
    "*/study.json": "Run `frft study` again: it is made anew from the records of the cells.",
    "*/cases.json": "Restore it from a copy, or measure the cases in a new folder.",
    "*/run.json": "Restore it from a copy, or run in a new folder.",
}
"""By pattern of a sealed file's path: what to do about a damaged one."""
_WITH_MANIFEST = ("*/stages/*-????????????*", "*/checkpoint-*")
"""Patterns of folders that are never without a manifest of frft's: stages, and checkpoints of trainings."""
_OTHERWISE = "Make it anew with the command that wrote it, or restore it from a copy."
_JOURNALS = (".jsonl", ".unfinished")
"""Ends of the names of files that may be chained journals."""
_UNUSED = (".lock", ".tmp")
"""Ends of the names of files that hold nothing."""


@dataclass(frozen=True)
class Damage(StoredValue):
    """Something that is not as it was written.

    Attributes:
        path: the file.
        message: what is wrong, and what to do.
    """

    path: str
    message: str


@dataclass(frozen=True)
class Verification(StoredValue):
    """What `frft verify` found.

    Attributes:
        folders: number of folders with a manifest: stages, checkpoints, saved reward models.
        files: number of files that were compared with a checksum, those of the folders included.
        bytes: their size.
        older: folders and files of older versions, whose figures have no digest.
        without: files that have no digest, so that nothing can be said of them.
        damaged: what is damaged.
    """

    folders: int
    files: int
    bytes: int
    older: list[str]
    without: list[str]
    damaged: list[Damage]


def verify(paths: Sequence[Path], progress: Progress = SILENT) -> Verification:
    """Verify all digests of files and of everything below folders.

    Args:
        paths: files and folders.
        progress: gets a task with a file as its unit.

    Raises:
        UnreadableError: there is nothing at a path.
        DataError: nothing there has a digest.
    """
    for path in paths:
        if not path.exists():
            raise UnreadableError(
                f"{path} does not exist.{did_you_mean(path)} Name a run, a model, a store, a study or a file of labels."
            )
    folders = [each for path in paths if path.is_dir() for each in _folders(path)]
    single = [path for path in paths if not path.is_dir()]
    verifier = _Verifier()
    with progress.task("Verifying (files)", sum(len(files) for _, files in folders) + len(single)) as task:
        # Parents come before what is in them, so that what they list is known when its folder comes.
        for folder, files in folders:
            if MANIFEST in files:
                verifier.folder(folder)
            for name in files:
                verifier.file(folder / name)
                task.advance(1, folder.name)
        for path in single:
            verifier.file(path, chained=True)
            task.advance(1, path.name)
    found = verifier.result()
    if not (found.files or found.folders or found.damaged):
        raise DataError(
            f"Nothing in {', '.join(map(str, paths))} has a digest ({len(found.without)} files). Name what frft wrote: "
            "a run, a saved reward model, a store, a study, a file of labels."
        )
    return found


def _folders(top: Path) -> Iterator[tuple[Path, list[str]]]:
    for parent, below, names in os.walk(top):
        below[:] = sorted(name for name in below if name != LOCKS and not Path(parent, name).is_symlink())
        yield Path(parent), sorted(name for name in names if not Path(parent, name).is_symlink())


class _Verifier:
    """Verifies one folder or file after the other, and notes what it finds."""

    def __init__(self) -> None:
        self._folders = self._files = self._bytes = 0
        self._older: list[str] = []
        self._without: list[Path] = []
        self._damaged: list[Damage] = []
        self._listed: set[Path] = set()

    def result(self) -> Verification:
        """All that was found. What a list names has a digest, in whatever order the files came."""
        without = [str(path) for path in self._without if path not in self._listed]
        return Verification(self._folders, self._files, self._bytes, self._older, without, self._damaged)

    def folder(self, folder: Path) -> None:
        """Verify a folder by its manifest, if that is one of frft's."""
        path = folder / MANIFEST
        try:
            check_is_file(path)
            # A stage and a checkpoint have one of frft's: another one, even `{}`, stands in its place.
            if not is_ours(path) and not any(fnmatch(str(folder.absolute()), each) for each in _WITH_MANIFEST):
                return
            self._listed.add(path)
            manifest = read_manifest(folder, older=True, fields={"files"}, remedy=RUN_AGAIN)
        except (ArtifactError, OSError) as error:
            self._listed.update((path, *folder.rglob("*")))
            self._note(path, error, path)
            return
        self._folders += 1
        if "format" not in manifest:
            self._older.append(str(folder))
        self._list_of(path, manifest["files"], RUN_AGAIN)
        # A checkpoint says what the journals beside it held.
        along = manifest.get("along")
        for name, mark in (along.get("journals", {}) if isinstance(along, dict) else {}).items():
            journal = folder.parent / name
            self._listed.add(journal)
            with self._noting(journal, path, mark["bytes"]):
                _ = rows_at(journal, mark, RUN_AGAIN.format(folder=journal.parent))

    def file(self, path: Path, *, chained: bool = False) -> None:
        """Verify a file by its own digest, unless a list names it; `chained`: it may be a journal of any name."""
        if path in self._listed or path.name.endswith(_UNUSED):
            return
        vectors = _VECTORS.fullmatch(path.name)
        remedy = next((each for pattern, each in _REMEDIES.items() if fnmatch(str(path.absolute()), pattern)), None)
        try:
            check_is_file(path)
            if path.suffix == ".json":
                sealed = is_sealed(path, remedy or _OTHERWISE)
                if not sealed and remedy is not None:
                    if not read_json(path):
                        raise ArtifactError(f"{path} is an empty object: it was damaged or edited. {remedy}")
                    self._older.append(str(path))
            else:
                sealed = vectors is not None or ((chained or path.suffix in _JOURNALS) and is_chained(path))
        except (ArtifactError, OSError) as error:
            self._note(path, error, path)
            return
        if not sealed:
            self._without.append(path)
            return
        with self._noting(path, path, path.stat().st_size):
            if path.suffix == ".json":
                self._list_of(path, listed_files(path, remedy or _OTHERWISE), remedy or _OTHERWISE)
            elif vectors is None:
                found = read_chained(path, older=True)
                if found.unfinished:
                    raise ArtifactError(
                        f"{path}, line {len(found.rows) + 1}, the last one, is half a row: its writer was stopped or "
                        "is at work, and the next row replaces it; or it was damaged. Then restore the file from a "
                        "copy."
                    )
            elif sha256_file(path) != vectors[1]:
                raise ArtifactError(f"{path} is damaged: its content is not that of its name. {_OF_CACHE}")

    def _list_of(self, by: Path, files: Mapping[str, Mapping[str, Any]], remedy: str) -> None:
        """Compare files with the list in the file `by`."""
        for name, sums in files.items():
            file = by.parent / name
            self._listed.add(file)
            with self._noting(file, by, sums["bytes"]):
                verify_files(by.parent, {"files": {name: sums}}, remedy=remedy, by=by.name)

    @contextmanager
    def _noting(self, path: Path, by: Path, size: int) -> Iterator[None]:
        """Count a file of `size` bytes that is verified in a block, or note why it is damaged."""
        try:
            yield
        except (ArtifactError, OSError) as error:
            self._note(path, error, by)
        else:
            self._files += 1
            self._bytes += size

    def _note(self, path: Path, error: ArtifactError | OSError, by: Path) -> None:
        # A run at work deletes its older checkpoints: what said that a file should be there is gone, too.
        if by.exists():
            said = str(error)
            if isinstance(error, OSError):
                said = f"{path} cannot be read: {error.strerror or error}. Restore it from a copy."
            self._damaged.append(Damage(str(path), said))
