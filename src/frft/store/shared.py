"""The shared store: a cache of artifacts and vectors, so that a stage is built once for all runs.

    ROOT/stages/NAME/                 finished artifacts, as in the `stages` folder of a run
    ROOT/embeddings/EMBEDDER/*.npy    vectors of texts (selection/vectors.py)
    ROOT/.locks/                      one lock file per artifact

A run's own folder holds hard links to the store's files, or copies where links cannot be made (another file system), so
that it stays complete when the store is pruned or deleted. A linked file is one content under several names; it is made
read-only, because a change in place would change it for all runs.

The store is a cache: it may be deleted at any time, and a run never fails because of it. A damaged artifact in it is
deleted and built again, and one that cannot be added is left out; both are reported.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frft.errors import ArtifactError, OutputError, UsageError
from frft.store.files import remove
from frft.store.lock import locked, locked_now
from frft.store.manifest import MANIFEST, read_manifest, verify_files

STORE_VARIABLE, SIZE_VARIABLE = "FRFT_STORE", "FRFT_STORE_SIZE"
NO_STORE = "none"
"""Value of `--store` and FRFT_STORE that turns the shared store off."""
DEFAULT_BYTES = 10 * 2**30
"""Largest size of the store, unless FRFT_STORE_SIZE is set."""
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
ABANDONED_S = 24 * 3600.0
"""Seconds after which an untouched temporary file is taken for the leftover of a killed process, and deleted."""
READ_ONLY, WRITABLE = 0o444, 0o222
"""File modes: read permission for all, and the bits of any write permission."""


@dataclass(frozen=True)
class StoreEntry:
    """One entry of the store, which is kept or pruned as a whole: an artifact, or a file of vectors.

    Attributes:
        kind: kind of the stage; "embeddings" for a file of vectors.
        path: the folder or the file.
        bytes: its size. Where a run holds a hard link to the same file, pruning the entry frees no space on the disk.
        used: time of the last use (added or taken), in seconds since 1970.
    """

    kind: str
    path: Path
    bytes: int
    used: float


class SharedStore:
    """A folder of artifacts that runs share.

    Args:
        root: the folder.
        max_bytes: largest size; beyond it, the least recently used entries are pruned.
        say: called with a message for every entry that is pruned, damaged or left out.
    """

    def __init__(self, root: Path, max_bytes: int = DEFAULT_BYTES, say: Callable[[str], None] = lambda _: None) -> None:
        self.root, self.max_bytes, self._say = root, max_bytes, say
        self._size: int | None = None

    def __reduce__(self) -> tuple[type[SharedStore], tuple[Path, int]]:
        # Pickled for worker processes without `say`, which may hold a terminal; a worker sets its own (`saying`).
        return SharedStore, (self.root, self.max_bytes)

    def saying(self, say: Callable[[str], None]) -> SharedStore:
        """The same store, with messages going to `say`."""
        return SharedStore(self.root, self.max_bytes, say)

    @property
    def embeddings(self) -> Path:
        """The folder of vectors."""
        return self.root / "embeddings"

    def lock(self, name: str, on_wait: Callable[[], None]) -> AbstractContextManager[None]:
        """The lock of an artifact, to hold while building, taking, adding or pruning it."""
        return locked(self._lock(name), on_wait)

    def look_up(self, name: str, digest: str) -> Mapping[str, Any] | None:
        """The manifest of an artifact in the store; None: it is not there or damaged. Files are not verified."""
        path = self._stages / name
        if not (path / MANIFEST).is_file():
            return None
        try:
            manifest = read_manifest(path)
        except ArtifactError:
            return None
        return manifest if manifest["digest"] == digest else None

    def take(self, name: str, digest: str, target: Path) -> Mapping[str, Any] | None:
        """Link the files of an artifact into the new folder `target`, and return its manifest.

        All files are verified, and `target` appears complete or not at all. The caller holds the artifact's lock.

        Returns:
            The manifest; None: the artifact is not there, was damaged (it is deleted), or cannot be read.
        """
        source = self._stages / name
        if not source.is_dir():
            return None
        linked = target.with_name(f".{target.name}.linked")
        try:
            manifest = read_manifest(source)
            if manifest["digest"] != digest:
                return None
            _link_folder(source, linked)
            verify_files(linked, manifest)
            os.utime(source)  # the time of last use, by which entries are pruned
            linked.replace(target)
        except (ArtifactError, FileNotFoundError) as error:
            shutil.rmtree(linked, ignore_errors=True)
            self._remove(source)
            self._say(f"  {name} in the store {self.root} is damaged and was deleted ({error}); it is built anew")
            return None
        except OSError as error:
            shutil.rmtree(linked, ignore_errors=True)
            self._say(f"  {name} cannot be taken from the store {self.root}: {error.strerror or error}")
            return None
        return manifest

    def put(self, folder: Path) -> None:
        """Add the finished artifact in `folder` under the folder's name. The caller holds its lock."""
        target = self._stages / folder.name
        unfinished = target.with_name(f".{folder.name}.unfinished")
        size = _bytes_below(folder)
        if size > self.max_bytes:
            self._say(
                f"  {folder.name} ({readable_bytes(size)}) is larger than the store may be and is not added "
                f"({SIZE_VARIABLE}={readable_bytes(self.max_bytes).replace(' ', '')})"
            )
            return
        try:
            _link_folder(folder, unfinished)
            self._remove(target)
            unfinished.replace(target)
            os.utime(target)
        except OSError as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            self._say(f"  {folder.name} cannot be added to the store {self.root}: {error.strerror or error}")
            return
        self.added(size)

    def put_vectors(self, shard: Path, embedder: str) -> None:
        """Add a file of vectors under its own name to the folder of `embedder` (the embedder's digest)."""
        target = self.embeddings / embedder / shard.name
        if shard.stat().st_size > self.max_bytes:
            return
        if target == shard:
            self.added(shard.stat().st_size)
            return
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            linked = target.with_name(f".{target.name}.{os.getpid()}")
            link_or_copy(shard, linked)
            linked.replace(target)
        except OSError as error:
            self._say(f"  {shard.name} cannot be added to the store {self.root}: {error.strerror or error}")
            return
        self.added(shard.stat().st_size)

    def added(self, size: int) -> None:
        """Record that `size` bytes were added, and prune if the store is now larger than `max_bytes`."""
        # Entries are counted once a process; what other processes add meanwhile is found at the next pruning.
        self._size = sum(entry.bytes for entry in self.entries()) if self._size is None else self._size + size
        if self._size > self.max_bytes:
            self.prune(self.max_bytes)

    def entries(self) -> list[StoreEntry]:
        """All entries of the store, the least recently used first."""
        found = [
            StoreEntry(path.name.rpartition("-")[0], path, _bytes_below(path), path.stat().st_mtime)
            for path in _visible(self._stages)
        ]
        for folder in _visible(self.embeddings):
            for path in folder.glob("*.npy"):
                with suppress(FileNotFoundError):  # another process may prune it at this moment
                    status = path.stat()
                    found.append(StoreEntry("embeddings", path, status.st_size, status.st_mtime))
        return sorted(found, key=lambda entry: (entry.used, entry.path))

    def prune(self, max_bytes: int | None = None, older_than_s: float | None = None) -> list[StoreEntry]:
        """Delete old entries, then the least recently used ones until the store is small enough.

        Entries that another process is building or taking are kept.

        Args:
            max_bytes: largest size of what is left; None: no limit.
            older_than_s: delete entries that were not used for more than this many seconds; None: no limit.

        Returns:
            The deleted entries, which are also reported.
        """
        self._sweep()
        entries, gone = self.entries(), []
        size = sum(entry.bytes for entry in entries)
        for entry in entries:
            expired = older_than_s is not None and time.time() - entry.used > older_than_s
            too_large = max_bytes is not None and size > max_bytes
            if (expired or too_large) and self._prune(entry):
                gone.append(entry)
                size -= entry.bytes
        self._size = size
        if gone:
            names = ", ".join(entry.path.name if entry.kind != "embeddings" else "vectors" for entry in gone[:3])
            more = f" and {len(gone) - 3} more" if len(gone) > 3 else ""
            freed = readable_bytes(sum(entry.bytes for entry in gone))
            self._say(f"  pruned from the store {self.root}: {names}{more}, {freed}; {readable_bytes(size)} are left")
        return gone

    def _prune(self, entry: StoreEntry) -> bool:
        if entry.kind == "embeddings":
            # No lock: a process that has the file open or mapped goes on reading it after the name is gone.
            entry.path.unlink(missing_ok=True)
            return True
        with locked_now(self._lock(entry.path.name)) as mine:
            if mine:
                self._remove(entry.path)
            return mine

    def _remove(self, path: Path) -> None:
        """Delete an artifact. It is renamed first, so that no process ever finds a part of it under its name."""
        going = path.with_name(f".{path.name}.pruned")
        shutil.rmtree(going, ignore_errors=True)
        with suppress(FileNotFoundError):
            path.rename(going)
        shutil.rmtree(going, ignore_errors=True)

    def _sweep(self) -> None:
        """Delete temporary files and folders of processes that were killed; younger ones may be in use."""
        for folder in (self._stages, *_visible(self.embeddings)):
            for path in folder.glob(".*") if folder.is_dir() else ():
                with suppress(FileNotFoundError):
                    if path.name != ".lock" and time.time() - path.stat().st_mtime > ABANDONED_S:
                        shutil.rmtree(path) if path.is_dir() else path.unlink()

    @property
    def _stages(self) -> Path:
        return self.root / "stages"

    def _lock(self, name: str) -> Path:
        return self.root / ".locks" / name


def open_store(where: str | Path | None = None, say: Callable[[str], None] = lambda _: None) -> SharedStore | None:
    """Open the shared store; its size is limited by the environment variable FRFT_STORE_SIZE (default 10G).

    Args:
        where: its folder, or "none"; None: the environment variable FRFT_STORE, or else `frft/store` in the user's
            cache folder (XDG_CACHE_HOME, or ~/.cache).
        say: called with a message for every entry that is pruned, damaged or left out.

    Returns:
        The store; None: it is switched off ("none"), or the default folder cannot be written.

    Raises:
        OutputError: the folder that was named cannot be created or written.
        UsageError: FRFT_STORE_SIZE is not a size.
    """
    named = where or os.environ.get(STORE_VARIABLE)
    if str(named) == NO_STORE:
        return None
    root = Path(named).expanduser() if named else _user_cache() / "frft" / "store"
    size = os.environ.get(SIZE_VARIABLE)
    max_bytes = DEFAULT_BYTES if size is None else parse_bytes(size, SIZE_VARIABLE)
    # The folder is created when the first stage is added, not here: a plan must write nothing. So the nearest existing
    # parent tells whether it can be.
    nearest = next(each for each in (root, *root.absolute().parents) if each.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        if named:
            raise OutputError(f"The store {root} cannot be written ({nearest}). Name another folder, or {NO_STORE!r}.")
        # The default store was not asked for, and a run does not need it.
        say(f"Stages are not shared with other runs: the store {root} cannot be written ({nearest})")
        return None
    return SharedStore(root.absolute(), max_bytes, say)


def parse_bytes(text: str, what: str) -> int:
    """Parse a size such as 500M, 10G or 1.5GiB into bytes; units are powers of 1024.

    Args:
        text: the size.
        what: the option or variable that it was given by, for the message.

    Raises:
        UsageError: `text` is not a size.
    """
    number = text.strip().upper().removesuffix("B").removesuffix("I")
    unit = number[-1:] if number[-1:] in UNITS else ""
    try:
        size = float(number.removesuffix(unit)) * UNITS[unit]
        if 0 <= size < float("inf"):
            return int(size)
    except ValueError:
        pass
    raise UsageError(f"{what}: {text!r} is not a size. Write it like 500M or 10G.")


def readable_bytes(size: float) -> str:
    """A size in the largest unit that leaves at least 1: "1.5 GiB"."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        factor = UNITS[unit[0]]
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size:.0f} B"


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` a hard link to the file `source`, or a copy where links cannot be made; it becomes read-only."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        # Another file system, one without hard links, or a file that has the largest number of them.
        shutil.copyfile(source, target)
    if target.stat().st_mode & WRITABLE:
        # Only the owner of a file may change its mode; another user's file is left as it is.
        with suppress(PermissionError):
            target.chmod(READ_ONLY)


def _link_folder(source: Path, target: Path) -> None:
    """Link or copy every file of an artifact into the new folder `target`; files not in its manifest stay behind."""
    remove(target)
    target.mkdir(parents=True)
    for name in (*read_manifest(source)["files"], MANIFEST):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(source / name, target / name)


def _visible(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _bytes_below(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):
            if file.is_file():
                total += file.stat().st_size
    return total


def _user_cache() -> Path:
    named = os.environ.get("XDG_CACHE_HOME")
    return Path(named) if named else Path.home() / ".cache"
