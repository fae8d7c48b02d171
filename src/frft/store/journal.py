"""Append-only JSON Lines files that survive being cut off in the middle of a line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from frft.errors import ArtifactError
from frft.store.files import atomic_write

BLOCK_BYTES = 65536
"""Bytes read at a time, backwards from the end of a file, to find its last newline."""


def append_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append rows, one JSON object a line, and wait until they are on disk. NaN and infinities are refused.

    A writer that was killed may have left half a line at the end; it is cut off, so that the next row does not continue
    it.
    """
    text = _lines(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.truncate(_finished_bytes(path))
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def keep_rows(path: Path, wanted: Callable[[Mapping[str, Any]], bool]) -> None:
    """Rewrite a journal, atomically, with only its complete rows for which `wanted` is true; it may be missing.

    For a writer that resumes from a checkpoint: it will write the rows beyond it again.
    """
    if path.exists():
        rows = [row for row in read_rows(path) if wanted(row)]
        with atomic_write(path) as file:
            file.write(_lines(rows).encode())


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read all complete rows. A last line without its newline was never finished and is left out.

    Raises:
        ArtifactError: a finished line is not JSON.
    """
    rows = []
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines[:-1], start=1):
        if not line:
            continue
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise ArtifactError(f"{path}, line {number}: not valid JSON ({error}).") from error
    return rows


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)


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
