"""Reading sources to the end: every row is parsed and handed on, or rejected with its reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Generic, TypeVar

from frft.preferences.read import RawRow, digest_source, read_raw_rows
from frft.preferences.rejects import Reason, RowError, Tally
from frft.preferences.schema import FileReport, ReadReport
from frft.preferences.sources import DataSources
from frft.progress import SILENT, Progress
from frft.store import atomic_write

T = TypeVar("T")

DETECTION_ROWS = 100
"""Rows at the beginning of a file that decide on its format."""
SHOWN_FILES = 3
"""Names of files that a line of progress gives."""
PROGRESS_ROWS = 500
"""Rows between two reports of progress."""


@dataclass(frozen=True)
class RowParser(Generic[T]):
    """How the rows of one file are read: the format's name (None: not recognised), and row -> value.

    `parse` raises `RowError` for a row that cannot be used.
    """

    format: str | None
    parse: Callable[[dict[str, Any]], T]


def ingest(
    sources: DataSources,
    parser_for: Callable[[list[dict[str, Any]]], RowParser[T]],
    accept: Callable[[RawRow, T], None],
    *,
    max_rejected: float,
    can_raise: bool = True,
    columns: str,
    rejects_path: Path | None = None,
    progress: Progress = SILENT,
) -> ReadReport:
    """Read all rows of all sources.

    Args:
        sources: what to read, in order.
        parser_for: the objects among a file's first rows -> how to parse its rows.
        accept: takes each row that could be parsed, with its parsed value, in order.
        max_rejected: the largest share of rows that may be rejected.
        can_raise: whether the user can raise it.
        columns: what to do where columns have other names, as an error says it.
        rejects_path: where the rejected rows go, one JSON object a line: file, line, reason, detail, the
            beginning of the row's text and how many characters of it were cut. It is written also where the
            share is too large.
        progress: told the bytes read.

    Raises:
        UnreadableError: a source is damaged as a whole.
        TooManyRejectedError: more rows were rejected than allowed, or all.
        DataError: rows read, accepted and rejected do not add up.
    """
    files = []
    with ExitStack() as stack:
        rejects_file = None if rejects_path is None else stack.enter_context(atomic_write(rejects_path))
        total = sum(source.size for source in sources.found)
        task = stack.enter_context(progress.task("Reading (bytes)", total=max(1, total)))
        tally = Tally(rejects_file)
        for source in sources.found:
            read_before, accepted_before, position = tally.read, tally.accepted, 0
            digest = digest_source(source)
            rows = read_raw_rows(source)
            head = list(islice(rows, DETECTION_ROWS))
            parser = parser_for([row.value for row in head if row.error is None])
            for row in chain(head, rows):
                tally.read += 1
                try:
                    if row.error is not None:
                        raise row.error
                    parsed = parser.parse(row.value)
                except RowError as error:
                    tally.reject(row.file, row.number, row.place, row.text, error)
                else:
                    accept(row, parsed)
                    tally.accepted += 1
                if tally.read % PROGRESS_ROWS == 0:
                    task.advance(row.position - position)
                    position = row.position
            task.advance(source.size - position)
            files.append(
                FileReport(source, parser.format, digest, tally.read - read_before, tally.accepted - accepted_before)
            )
    tally.check_sum()
    tally.check_share(max_rejected, " ".join(_advice(tally, columns, rejects_path, can_raise=can_raise)))
    if tally.rejected:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(tally.rejected.items()))
        names = ", ".join(source.name for source in sources.found[:SHOWN_FILES])
        more = " and others" if len(sources.found) > SHOWN_FILES else ""
        where = "" if rejects_path is None else f"; they stand in {rejects_path}"
        progress.say(f"{names}{more}: {sum(tally.rejected.values())} of {tally.read} rows left out ({reasons}){where}")
    return ReadReport(tally.read, tally.accepted, dict(tally.rejected), tuple(files), dict(sources.ignored))


def _advice(tally: Tally, columns: str, rejects_path: Path | None, *, can_raise: bool) -> Iterator[str]:
    """What to do about rejected rows, sentence by sentence."""
    misnamed = not tally.rejected.keys().isdisjoint((Reason.UNKNOWN_FORMAT, Reason.MISSING_FIELD))
    if misnamed:
        yield columns
    if tally.accepted:
        larger = ", or raise max_rejected (--max-rejected; in a configuration data.max_rejected)"
        yield f"Repair or remove these rows{larger if can_raise else ''}."
    elif not misnamed:
        yield "Repair the rows, or give another file."
    if rejects_path is not None:
        yield f"All of them stand in {rejects_path}."
