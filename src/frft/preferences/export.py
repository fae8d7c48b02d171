"""Writes pairs of the pool in the form in which they were published, or in one form where the pool has several."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from frft.errors import DataError, OutputError
from frft.preferences.read import digest_source, read_raw_rows
from frft.preferences.schema import Pool
from frft.preferences.sources import FileSource
from frft.store import atomic_write

_BATCH_ROWS = 2048
"""Rows held as Python objects at a time."""


def export_rows(pool: Pool, ids: Iterable[str], path: Path) -> int:
    """Write the rows behind these pairs as JSON Lines, in the order in which they were read.

    Rows of JSON Lines files are copied letter for letter; rows of other files become one JSON object each. Where the
    pool's rows have several published forms, the export has one (`export_form`). Either way `load_pool` reads the same
    pairs from it, with the same column names (`prompt_key` and so on) in the first case and with none in the second.
    The file appears whole or not at all.

    Returns:
        The number of rows written: one per id.

    Raises:
        DataError: an id is not in the pool, or a source is not what it was when the pool was read.
        OutputError: `path` is one of the sources.
        UnreadableError: a source cannot be read any more.
    """
    ids = set(ids)
    wanted = _rows_by_file(pool, ids)
    for file in pool.report.files:
        if isinstance(file.source, FileSource) and path.resolve() == file.source.path.resolve():
            raise OutputError(f"{path} is one of the files that the pool was read from. Choose another name.")
    with atomic_write(path) as output:
        if export_form(pool) is not None:
            return _write_own(pool, ids, output)
        written = 0
        for file in pool.report.files:
            source = file.source
            rows = wanted.get(source.name)
            if rows is None:
                continue
            if digest_source(source) != file.digest:
                raise DataError(f"{source.name} has changed since the pool was read from it. Read the pool again.")
            for row in read_raw_rows(source):
                if row.number in rows:
                    output.write((row.line if row.line is not None else row.text.encode()) + b"\n")
                    written += 1
    return written


def export_form(pool: Pool) -> str | None:
    """The form into which `export_rows` converts the pairs; None: they all have one form already, and keep it."""
    return "trl" if len(pool.report.forms) > 1 else None


def _write_own(pool: Pool, ids: set[str], output: BinaryIO) -> int:
    """Write pairs as prompt, chosen and rejected (TRL's form), with the texts of the pool; returns their number."""
    written = 0
    left_out = ("id", "origin_file", "origin_row")
    for batch in pool.table.to_batches(max_chunksize=_BATCH_ROWS):
        for row in batch.to_pylist():
            if row["id"] in ids:
                fields = {name: value for name, value in row.items() if name not in left_out}
                output.write(json.dumps(fields, ensure_ascii=False).encode() + b"\n")
                written += 1
    return written


def _rows_by_file(pool: Pool, ids: set[str]) -> dict[str, set[int]]:
    rows: dict[str, set[int]] = {}
    missing = set(ids)
    origins = (pool.table[name].to_pylist() for name in ("id", "origin_file", "origin_row"))
    for pair, file, row in zip(*origins, strict=True):
        if pair in ids:
            rows.setdefault(file, set()).add(row)
            missing.discard(pair)
    if missing:
        raise DataError(
            f"{len(missing)} of {len(ids)} ids are not in the pool, {min(missing)!r} for one. "
            "Ids follow from the texts: use the data that the ids were made with."
        )
    return rows
