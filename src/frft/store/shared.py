"""The shared store: a cache folder beside the runs, so that a stage is built once for all of them.

    ROOT/stages/NAME/                 finished artifacts, as in the `stages` folder of a run
    ROOT/embeddings/EMBEDDER/*.npy    vectors of texts (selection/vectors.py)
    ROOT/.locks/                      one lock file per artifact

A run's own folder holds hard links to the store's files, or copies where links cannot be made (another file system), so
that it stays whole when the store is pruned or deleted. Files that are linked have one content under several names;
they are made read-only, because whoever wrote into one in place would change all of them.

The store is a cache: it may be deleted at any time, and a run never fails because of it. What is damaged in it is
deleted and built anew, and what cannot be put there is left out; both are said.
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
from frft.store.lock import locked, locked_now
from frft.store.manifest import MANIFEST, read_manifest, verify_files

STORE_VARIABLE, SIZE_VARIABLE = "FRFT_STORE", "FRFT_STORE_SIZE"
NO_STORE = "none"
"""Value of `--store` and FRFT_STORE that turns the shared store off."""
DEFAULT_BYTES = 10 * 2**30
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
ABANDONED_S = 24 * 3600.0
"""Seconds after which an untouched temporary file is taken for one of a killed process, and deleted."""
READ_ONLY, WRITABLE = 0o444, 0o222


@dataclass(frozen=True)
class StoreEntry:
    """One thing in the store that is kept or pruned as a whole: an artifact, or a file of vectors.

    Attributes:
        kind: of the stage; "embeddings" for a file of vectors.
        path: the folder or the file.
        bytes: its size. Where a run holds a hard link to the same file, pruning the entry frees no space on the disk.
        used: when it was last put or taken, in seconds since 1970.
    """

    kind: str
    path: Path
    bytes: int
    used: float


class SharedStore:
    """A folder of artifacts that runs share.

    Args:
        root: the folder.
        max_bytes: beyond this size, what was used least recently is pruned.
        say: called with a message for whatever is pruned, damaged or left out.
    """

    def __init__(self, root: Path, max_bytes: int = DEFAULT_BYTES, say: Callable[[str], None] = lambda _: None) -> None:
        self.root, self.max_bytes, self._say = root, max_bytes, say
        self._size: int | None = None

    def __reduce__(self) -> tuple[type[SharedStore], tuple[Path, int]]:
        # For worker processes, which tell whom they have.
        return SharedStore, (self.root, self.max_bytes)

    def saying(self, say: Callable[[str], None]) -> SharedStore:
        """The same store, with messages going to `say`."""
        return SharedStore(self.root, self.max_bytes, say)

    @property
    def embeddings(self) -> Path:
        """The folder of vectors."""
        return self.root / "embeddings"

    def lock(self, name: str, on_wait: Callable[[], None]) -> AbstractContextManager[None]:
        """The lock of an artifact: whoever builds, takes or prunes it holds it."""
        return locked(self._lock(name), on_wait)

    def look_up(self, name: str, digest: str) -> Mapping[str, Any] | None:
        """The manifest of an artifact in the store, or None. Its files are not looked at, and nothing is written."""
        path = self._stages / name
        if not (path / MANIFEST).is_file():
            return None
        try:
            manifest = read_manifest(path)
        except ArtifactError:
            return None
        return manifest if manifest["digest"] == digest else None

    def take(self, name: str, digest: str, target: Path) -> Mapping[str, Any] | None:
        """Link the artifact of this name to the new folder `target`, and return its manifest; None: it is not there.

        The caller holds the artifact's lock. All files are verified, and `target` appears whole or not at all.
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
            os.utime(source)
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
        """Add the finished artifact in this folder, whose lock the caller holds, under the folder's name."""
        target = self._stages / folder.name
        unfinished = target.with_name(f".{folder.name}.unfinished")
        size = _bytes_below(folder)
        if size > self.max_bytes:
            self._say(
                f"  {folder.name} ({readable_bytes(size)}) is larger than the store may be and is not put there "
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
            self._say(f"  {folder.name} is not put in the store {self.root}: {error.strerror or error}")
            return
        self.added(size)

    def put_vectors(self, shard: Path, embedder: str) -> None:
        """Add a file of vectors of this embedder, under its own name, which says what it holds."""
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
            self._say(f"  {shard.name} is not put in the store {self.root}: {error.strerror or error}")
            return
        self.added(shard.stat().st_size)

    def added(self, size: int) -> None:
        """Prune if so many more bytes make the store larger than it may be."""
        self._size = sum(entry.bytes for entry in self.entries()) if self._size is None else self._size + size
        if self._size > self.max_bytes:
            self.prune(self.max_bytes)

    def entries(self) -> list[StoreEntry]:
        """All that is in the store, the least recently used first."""
        found = [
            StoreEntry(path.name.rpartition("-")[0], path, _bytes_below(path), path.stat().st_mtime)
            for path in _visible(self._stages)
        ]
        for folder in _visible(self.embeddings):
            for path in folder.glob("*.npy"):
                with suppress(FileNotFoundError):  # another process prunes, too
                    status = path.stat()
                    found.append(StoreEntry("embeddings", path, status.st_size, status.st_mtime))
        return sorted(found, key=lambda entry: (entry.used, entry.path))

    def prune(self, max_bytes: int | None = None, older_than_s: float | None = None) -> list[StoreEntry]:
        """Delete entries unused for too long, then the least recently used ones until at most `max_bytes` are left.

        What another process is building or taking is left alone. Returns what was deleted, which is also said.
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
            # One file, which a process that has it mapped goes on reading.
            entry.path.unlink(missing_ok=True)
            return True
        with locked_now(self._lock(entry.path.name)) as mine:
            if mine:
                self._remove(entry.path)
            return mine

    def _remove(self, path: Path) -> None:
        """Delete an artifact so that no part of it is ever found: it loses its name first."""
        going = path.with_name(f".{path.name}.pruned")
        shutil.rmtree(going, ignore_errors=True)
        with suppress(FileNotFoundError):
            path.rename(going)
        shutil.rmtree(going, ignore_errors=True)

    def _sweep(self) -> None:
        """Delete what processes that were killed have left behind."""
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
    """The shared store; None where nothing is to be shared.

    Args:
        where: its folder, or "none"; None: what the variable FRFT_STORE says, or else `frft/store` in the user's cache
            folder (XDG_CACHE_HOME, or ~/.cache). The variable FRFT_STORE_SIZE says how large it may be (10G).
        say: told in words of whatever is pruned, damaged or left out.

    Raises:
        OutputError: the folder that was named cannot be made or written to.
        UsageError: FRFT_STORE_SIZE is no size.
    """
    named = where or os.environ.get(STORE_VARIABLE)
    if str(named) == NO_STORE:
        return None
    root = Path(named).expanduser() if named else _user_cache() / "frft" / "store"
    size = os.environ.get(SIZE_VARIABLE)
    max_bytes = DEFAULT_BYTES if size is None else parse_bytes(size, SIZE_VARIABLE)
    # It is made when the first stage is put there: a plan looks for what is there and writes nothing.
    nearest = next(each for each in (root, *root.absolute().parents) if each.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        if named:
            raise OutputError(f"The store {root} cannot be written ({nearest}). Name another folder, or {NO_STORE!r}.")
        # Nobody asked for it, and a run can do without.
        say(f"No stages are shared with other runs: {root} cannot be written ({nearest})")
        return None
    return SharedStore(root.absolute(), max_bytes, say)


def parse_bytes(text: str, what: str) -> int:
    """A size such as 500M, 10G or 1.5GiB in bytes; units are powers of 1024.

    Raises:
        UsageError: it is none; names `what` was to be one.
    """
    number = text.strip().upper().removesuffix("B").removesuffix("I")
    unit = number[-1:] if number[-1:] in UNITS else ""
    try:
        size = float(number.removesuffix(unit)) * UNITS[unit]
        if 0 <= size < float("inf"):
            return int(size)
    except ValueError:
        pass
    raise UsageError(f"{what}: {text!r} is no size. Write it like 500M or 10G.")


def readable_bytes(size: float) -> str:
    """A size in the largest unit that leaves at least 1: "1.5 GiB"."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        factor = UNITS[unit[0]]
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size:.0f} B"


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` a hard link to the file `source`, which becomes read-only, or a copy where that cannot be."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        # Another file system, one without links, or one file with too many of them.
        shutil.copyfile(source, target)
    if target.stat().st_mode & WRITABLE:
        # Where the file is somebody else's, it is theirs to protect.
        with suppress(PermissionError):
            target.chmod(READ_ONLY)


def _link_folder(source: Path, target: Path) -> None:
    """Link or copy every file of an artifact into the new folder `target`; files not in its manifest stay behind."""
    shutil.rmtree(target, ignore_errors=True)
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
