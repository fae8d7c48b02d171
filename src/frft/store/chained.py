"""Journals whose rows are chained by digests, so that a row that was changed, lost or put elsewhere is found.

The digest of a row is the SHA-256 of the digest of the row before it and of the row itself. A journal that lost its
last rows as a whole is a shorter journal without a fault: nothing in it can tell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frft.errors import ArtifactError, UnreadableError
from frft.paths import did_you_mean
from frft.store.files import atomic_write, check_is_file, digest_of, parse_json
from frft.store.journal import append_rows

DIGEST = "digest"
"""The field of a row that holds its digest."""
_FIRST = ""
"""What stands for the digest of the row before the first one."""
_ENDS_IN_DIGEST = re.compile(rb'"[0-9a-f]{64}"}\n$')
_LOSE = "Restore the file from a copy; or keep its first {sound} lines, which are sound, and lose the others."
MEASURED_AGAIN = "Keep its first {sound} lines, which are sound, and run again: what the others held is measured anew."
"""What to do about a damaged journal of measurements that can be repeated."""


@dataclass(frozen=True)
class ChainedRows:
    """The content of a chained journal.

    Attributes:
        rows: its rows without their digests; row n stands on line n + 1.
        last: digest of the last row, from which the next one goes on.
        unfinished: whether half a line stands at the end, which a writer that was killed (or is at work) has left; it
            is not among the rows.
    """

    rows: list[dict[str, Any]]
    last: str
    unfinished: bool


def write_chained(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a new journal with its first rows; it appears whole or not at all."""
    chained, _ = _chained(rows, _FIRST)
    with atomic_write(path) as file:
        file.writelines(f"{json.dumps(row, ensure_ascii=False, allow_nan=False)}\n".encode() for row in chained)


def append_chained(path: Path, rows: Iterable[Mapping[str, Any]], last: str) -> str:
    """Append rows to a journal, wait until they are on disk, and return the digest of the last one.

    Args:
        path: the journal. Half a line at its end is cut off.
        rows: the rows, JSON-able; none has a field `digest`.
        last: digest of the journal's last row.
    """
    chained, last = _chained(rows, last)
    append_rows(path, chained)
    return last


def read_chained(path: Path, *, older: bool = False, remedy: str = _LOSE) -> ChainedRows:
    """Read a journal and check every row.

    Args:
        path: the journal.
        older: whether rows at the beginning may lack digests, as versions wrote them that had none. The first row
            with a digest covers them, too.
        remedy: what to do if a row is damaged, a sentence; {sound} stands for the number of sound lines before it.

    Raises:
        UnreadableError: there is no such file, or it cannot be read.
        ArtifactError: a finished line is no row of a chained journal, or its digest is not that of the row; names the
            first such line.
    """
    check_is_file(path)
    try:
        *lines, end = path.read_bytes().split(b"\n")
    except OSError as error:
        near = "" if path.exists() else did_you_mean(path)
        raise UnreadableError(f"{path} cannot be read: {error.strerror}.{near} Name a file that is there.") from error
    rows, last, has_digests = [], _FIRST, False
    for number, line in enumerate(lines, start=1):
        try:
            row = parse_json(line)
            found = None if older and not has_digests and DIGEST not in row else row.pop(DIGEST)
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            raise _damaged(path, number, "it is not a whole row", remedy) from error
        last = _digest(last, row)
        has_digests = has_digests or found is not None
        if found not in (last, None):
            why = "its digest is that of other content, or rows before it are missing or changed"
            raise _damaged(path, number, why, remedy)
        rows.append(row)
    return ChainedRows(rows, last, unfinished=bool(end))


def is_chained(path: Path) -> bool:
    """Whether a line of a file ends in a digest, as all rows of a chained journal do."""
    with path.open("rb") as file:
        return any(_ENDS_IN_DIGEST.search(line) for line in file)


class ChainedJournal:
    """A chained journal that goes on after the rows that are there.

    Several processes may append to one, if each holds a lock while it appends: rows that others have added since are
    read first, and the chain goes on from these.

    Args:
        path: the journal; it may be missing. Rows of older versions, without digests, are accepted at its beginning.
        remedy: what to do if a row is damaged, a sentence; {sound} stands for the number of sound lines before it.

    Attributes:
        path: the journal.
        rows: the rows that were there.
        unfinished: whether half a line stood at the end, which the next row replaces.

    Raises:
        ArtifactError: a row is damaged; it names the line.
    """

    def __init__(self, path: Path, remedy: str = MEASURED_AGAIN) -> None:
        self.path, self._remedy = path, remedy
        found = self._read()
        self.rows, self.unfinished, self._last = found.rows, found.unfinished, found.last
        self._bytes = self._size()

    def append(self, *rows: Mapping[str, Any]) -> None:
        """Append rows, and wait until they are on disk.

        Raises:
            ArtifactError: rows that others have added since are damaged.
        """
        if self._size() != self._bytes:
            self._last = self._read().last
        self._last = append_chained(self.path, rows, self._last)
        self._bytes = self._size()

    def _read(self) -> ChainedRows:
        if not self.path.exists():
            return ChainedRows([], _FIRST, unfinished=False)
        return read_chained(self.path, older=True, remedy=self._remedy)

    def _size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0


def _damaged(path: Path, number: int, why: str, remedy: str) -> ArtifactError:
    return ArtifactError(f"{path}, line {number}: damaged: {why}. {remedy.format(sound=number - 1)}")


def _chained(rows: Iterable[Mapping[str, Any]], last: str) -> tuple[list[dict[str, Any]], str]:
    chained = []
    for row in rows:
        last = _digest(last, row)
        chained.append({**row, DIGEST: last})
    return chained, last


def _digest(before: str, row: Mapping[str, Any]) -> str:
    return digest_of([before, row])
