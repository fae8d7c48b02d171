"""Append-only JSON Lines files that survive being cut off in the middle of a line.

`append_rows` adds to any of them. A `Journal` also knows what it has written: a running digest over all of its bytes,
which whoever saves a checkpoint keeps there (`mark`), and from which the journal goes on (`resume`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from frft.errors import ArtifactError
from frft.store.files import atomic_write, check_is_file, named_in_errors, parse_json, remove

BLOCK_BYTES = 65536
"""Bytes read at a time, backwards from the end of a file, to find its last newline."""


class Journal:
    """A journal with one writer, which notices rows that were lost, added or changed by anybody else.

    Made by `create` or `resume`.

    Args:
        path: the file.
        written: what it holds.
    """

    def __init__(self, path: Path, written: bytes) -> None:
        self.path = path
        self._bytes, self._digest = len(written), hashlib.sha256(written)

    @classmethod
    def create(cls, path: Path) -> Journal:
        """A new, empty journal; a file or link that has its name is deleted."""
        remove(path)
        return cls(path, b"")

    @classmethod
    def resume(cls, path: Path, mark: Mapping[str, Any], remedy: str) -> Journal:
        """Go on with a journal behind the rows that it had at a checkpoint; later ones are cut off.

        Args:
            path: the file.
            mark: what `mark` returned at the checkpoint.
            remedy: what to do if the rows are not those of the checkpoint, a sentence.

        Raises:
            ArtifactError: rows up to the checkpoint are missing or were changed.
        """
        found = rows_at(path, mark, remedy)
        # Written anew: the file may be a link, or have a second name in a copy of the run that was made by links.
        with atomic_write(path) as file:
            file.write(found)
        return cls(path, found)

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append rows and wait until they are on disk, as `append_rows`."""
        written = append_rows(self.path, rows)
        self._bytes += len(written)
        self._digest.update(written)

    def mark(self) -> dict[str, Any]:
        """Number of bytes that were written, and their SHA-256; to be kept in a checkpoint."""
        return {"bytes": self._bytes, "sha256": self._digest.hexdigest()}

    def verify(self, remedy: str) -> None:
        """Compare the file with what was written.

        Args:
            remedy: what to do if it differs, a sentence.

        Raises:
            ArtifactError: it differs.
        """
        content = self.path.read_bytes() if self.path.is_file() else b""
        if hashlib.sha256(content).hexdigest() != self._digest.hexdigest():
            raise ArtifactError(
                f"{self.path} was changed while it was being written: it has {len(content)} bytes, and "
                f"{self._bytes} were written. {remedy}"
            )


def rows_at(path: Path, mark: Mapping[str, Any], remedy: str) -> bytes:
    """The rows that a journal had at a checkpoint, as bytes; arguments and errors as `Journal.resume`."""
    content = path.read_bytes() if path.is_file() else b""
    size, found = mark["bytes"], content[: mark["bytes"]]
    if hashlib.sha256(found).hexdigest() != mark["sha256"]:
        why = f"it has {len(content)} bytes" if len(content) < size else "its content is another"
        raise ArtifactError(
            f"{path} has not the rows that it had at the last checkpoint, its first {size} bytes: {why} (damaged, "
            f"edited, cut short or removed). {remedy}"
        )
    return found


def append_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Append rows, one JSON object a line, and wait until they are on disk; returns what was written.

    NaN and infinities are refused.

    A writer that was killed may have left half a line at the end; it is cut off, so that the next row does not continue
    it.
    """
    text = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with named_in_errors(path), path.open("ab") as file:
        file.truncate(_finished_bytes(path))
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return text


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read all complete rows. A last line without its newline was never finished and is left out.

    Raises:
        ArtifactError: a finished line is not JSON, or the path is no file.
    """
    check_is_file(path)
    rows = []
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines[:-1], start=1):
        if not line:
            continue
        try:
            rows.append(parse_json(line))
        except (ValueError, RecursionError) as error:
            raise ArtifactError(f"{path}, line {number}: not valid JSON ({error}).") from error
    return rows


def _finished_bytes(path: Path) -> int:
    """The length of the file up to and including its last newline."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - BLOCK_BYTES)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
    return 0
