"""A cache of embeddings on disk, by content: a text is embedded once per embedder.

The folder `root/<digest of the embedder and of its calling code>/` holds shards: .npy files (read without pickle) of
rows (SHA-256 of the text, whether the text exceeded the embedder's window, vector). A shard's name is made of a hash of
its texts' keys in order and the SHA-256 of its bytes. Shards are written atomically, so processes may share a cache, an
interrupted pass keeps the shards that it finished, and damage is detected. Where the folder cannot be written (a run
of somebody else's), new vectors are kept in memory, and that is said.

A cache may be backed by a shared one. From there it takes whole shards, of exactly the texts that it would embed
together: texts that are embedded together are padded together, which changes the last bits of their vectors. So a run
gets the vectors that it would have computed itself, whatever other runs have left in the shared cache.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import numpy.typing as npt

from frft.errors import ArtifactError, DataError, check_type
from frft.progress import SILENT, Progress
from frft.selection.embedder import Embedder
from frft.store import SharedStore, atomic_write, code_of_modules, digest_of, link_or_copy, locked, sha256_file

_LOCK = ".lock"
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
"""Errors of a folder that may be read and not written."""

SHARD_ROWS = 1024
"""Texts per shard: the most that an interrupted pass has to embed again."""


class VectorCache:
    """Embeddings of texts by one embedder, read from disk or computed and kept there.

    Attributes:
        embedder: computes the vectors of texts that are not in the cache.
        damaged: shards found damaged by this object; each was reported and deleted, and its texts count as
            missing.

    Args:
        root: the folder of the cache; several embedders may share it.
        embedder: computes the vectors of texts that are not in the cache.
        shared: the store from which shards of the same texts are linked in, and to which new shards are linked; None:
            no sharing.

    Raises:
        UsageError: `embedder` is no `Embedder`, or `root` no path.
    """

    def __init__(self, root: str | Path, embedder: Embedder, shared: SharedStore | None = None) -> None:
        check_type("root", root, (str, Path), "Give the folder in which vectors are kept.")
        check_type("embedder", embedder, Embedder, "Give frft.Embedder(), or one of another model.")
        self.embedder = embedder
        self.damaged = 0
        self._root, self._shared = Path(root), shared
        self._loaded: set[str] = set()
        self._shards: list[npt.NDArray[np.void]] = []
        self._paths: list[Path | None] = []
        self._keeps = True
        self._row_of: dict[bytes, tuple[int, int]] = {}

    @cached_property
    def folder(self) -> Path:
        """The folder of this embedder's shards."""
        return self._root / digest_of({"embedder": self.embedder.digest, "code": code_of_modules(__name__)})

    def get(self, texts: Sequence[str], progress: Progress = SILENT) -> npt.NDArray[np.float32]:
        """Vectors of N texts, float32 of shape (N, D), length 1. Equal texts have equal vectors, to the bit.

        Raises:
            DataError: a text is not valid Unicode (half of a surrogate pair).
            ModelError: the embedder cannot be loaded or used.
        """
        if not texts:
            return self.embedder.encode([])
        keys = _keys(texts)
        if self._missing(keys, texts, progress):
            # One process embeds at a time, and then looks again: another one has likely embedded the same texts.
            with ExitStack() as stack:
                self._lock(stack, progress)
                self._embed(self._missing(keys, texts, progress), progress)
        return self._gather(keys, "vector")

    def _lock(self, stack: ExitStack, progress: Progress) -> None:
        if not self._keeps:
            return
        try:
            stack.enter_context(locked(self.folder / _LOCK))
            # Of an older lock that may be written, the folder may have been closed since.
            TemporaryFile(dir=self.folder).close()
        except OSError as error:
            if error.errno not in _CLOSED:
                raise
            self._keeps = False
            progress.say(
                f"{self._root} cannot be written ({error.strerror}): vectors of new texts are kept in memory, and "
                "computed again by the next command"
            )

    def _missing(self, keys: Sequence[bytes], texts: Sequence[str], progress: Progress) -> dict[bytes, str]:
        self._load(progress)
        return {key: text for key, text in zip(keys, texts, strict=True) if key not in self._row_of}

    def _embed(self, missing: dict[bytes, str], progress: Progress) -> None:
        if missing:
            with progress.task("Embedding", total=len(missing)) as task:
                pending = list(missing.items())
                for start in range(0, len(pending), SHARD_ROWS):
                    chunk_keys, chunk_texts = zip(*pending[start : start + SHARD_ROWS], strict=True)
                    if self._take(chunk_keys, progress):
                        task.advance(len(chunk_texts))
                        continue
                    vectors_ND = self.embedder.encode(chunk_texts, task)
                    rows = np.empty(len(chunk_texts), dtype=_row_type(vectors_ND.shape[1]))
                    rows["text"] = np.array(chunk_keys, dtype="V32")
                    rows["truncated"] = self.embedder.exceeds_window(chunk_texts)
                    rows["vector"] = vectors_ND
                    self._save(rows)

    def count_truncated(self, texts: Sequence[str]) -> int:
        """How many of these texts, all of them embedded before, were longer than the embedder's window."""
        return int(self._gather(_keys(texts), "truncated").sum()) if texts else 0

    def _gather(self, keys: Sequence[bytes], field: str) -> npt.NDArray[Any]:
        places = np.array([self._row_of[key] for key in keys], dtype=np.int64)
        if self._shared is not None and self._root == self._shared.embeddings:
            # The store prunes the files that were not used for longest, by their modification time.
            used = {self._paths[number] for number in places[:, 0].tolist()}
            for path in filter(None, used):
                with suppress(FileNotFoundError):
                    os.utime(path)
        shape = self._shards[0][field].shape[1:]
        found = np.empty((len(keys), *shape), dtype=self._shards[0][field].dtype)
        by_shard = np.argsort(places[:, 0], kind="stable")
        bounds = np.searchsorted(places[by_shard, 0], np.arange(len(self._shards) + 1))
        for number, shard in enumerate(self._shards):
            here = by_shard[bounds[number] : bounds[number + 1]]
            found[here] = shard[field][places[here, 1]]
        return found

    def _load(self, progress: Progress) -> None:
        """Add the shards that were written since the last call."""
        # Sorted by name: where two processes embedded one text, all readers take the same vector.
        for path in sorted(self.folder.glob("*.npy")):
            if path.stem in self._loaded:
                continue
            if self._is_whole(path, progress):
                try:
                    self._add(path)
                except ValueError as error:
                    raise ArtifactError(f"{path} holds no vectors: {error}. Delete it; they are made again.") from error

    def _is_whole(self, path: Path, progress: Progress) -> bool:
        """Whether a shard's bytes have the hash in its name; a damaged shard is reported and deleted."""
        try:
            whole = sha256_file(path) == path.stem.rpartition("-")[2]
        except FileNotFoundError:
            return False  # Another process saw the damage first and deleted it, or pruned the store.
        why = "was damaged"
        if whole and not self._is_shard(path):
            whole, why = False, "holds no vectors of this embedder"
        if not whole:
            path.unlink(missing_ok=True)
            self.damaged += 1
            progress.say(f"{path} {why} and is deleted; its texts are embedded again")
        return whole

    def _is_shard(self, path: Path) -> bool:
        """Whether a file holds rows of the form of `_row_type`, of one dimension with those that were read before."""
        try:
            found = np.load(path, mmap_mode="r", allow_pickle=False)
            dimension = found.dtype["vector"].shape[0]
        except (OSError, ValueError, KeyError, IndexError, SyntaxError, EOFError):
            return False
        fits = found.ndim == 1 and found.dtype == _row_type(dimension)
        return fits and all(each.dtype == found.dtype for each in self._shards[:1])

    def _take(self, keys: Sequence[bytes], progress: Progress) -> bool:
        """Link the shared shard of exactly these texts into this cache; returns whether there was one."""
        if self._shared is None:
            return False
        for path in sorted((self._shared.embeddings / self.folder.name).glob(f"{self._shard_name(keys)}-*.npy")):
            if self._is_whole(path, progress):
                if not self._keeps:
                    self._add(path)
                    return True
                target = self.folder / path.name
                with suppress(FileExistsError, FileNotFoundError):
                    link_or_copy(path, target)
                if target.exists() and self._is_whole(target, progress):
                    os.utime(path)
                    self._add(target)
                    return True
        return False

    def _save(self, rows: npt.NDArray[np.void]) -> None:
        if not self._keeps:
            self._add_rows(rows, None)
            return
        buffer = io.BytesIO()
        np.save(buffer, rows, allow_pickle=False)
        keys = rows["text"].tolist()
        path = self.folder / f"{self._shard_name(keys)}-{hashlib.sha256(buffer.getbuffer()).hexdigest()}.npy"
        with atomic_write(path) as file:
            file.write(buffer.getbuffer())
        self._add(path)
        if self._shared is not None:
            self._shared.put_vectors(path, self.folder.name)

    def _shard_name(self, keys: Sequence[bytes]) -> str:
        """The first part of a shard's name: a hash of its texts in order and of the batch size."""
        # Texts of a batch are padded together, which changes the last bits of their vectors, so shards of another
        # batch size are not interchangeable.
        return hashlib.sha256(b"".join([str(self.embedder.config.batch_size).encode(), *keys])).hexdigest()[:24]

    def _add(self, path: Path) -> None:
        # Memory-mapped: a pool's vectors need not fit into memory a second time, beside the copy that a caller gets.
        self._add_rows(np.load(path, mmap_mode="r", allow_pickle=False), path)
        self._loaded.add(path.stem)

    def _add_rows(self, rows: npt.NDArray[np.void], path: Path | None) -> None:
        number = len(self._shards)
        for row, key in enumerate(rows["text"].tolist()):
            self._row_of.setdefault(key, (number, row))
        self._shards.append(rows)
        self._paths.append(path)


def _keys(texts: Sequence[str]) -> list[bytes]:
    """SHA-256 of each text."""
    keys = []
    for number, text in enumerate(texts):
        try:
            keys.append(hashlib.sha256(text.encode()).digest())
        except UnicodeEncodeError as error:
            raise DataError(
                f"Text {number} of {len(texts)} to embed is not valid Unicode ({error.reason} at character "
                f"{error.start}); it begins {text[:60]!r}. Repair or remove it."
            ) from error
    return keys


def _row_type(dimension: int) -> np.dtype[np.void]:
    return np.dtype([("text", "V32"), ("truncated", "?"), ("vector", "<f4", (dimension,))])
