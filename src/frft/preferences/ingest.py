"""Reading sources to the end: every row is parsed and handed on, or rejected with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from frft.preferences.read import RawRow, count_rows, digest_source, read_raw_rows
from frft.preferences.rejects import Reason, RowError, Tally
from frft.preferences.schema import FileReport, LeftAside, ReadReport
from frft.preferences.sources import DataSources
from frft.progress import SILENT, Progress
from frft.store import atomic_write

T = TypeVar("T")

SHOWN_FILES = 3
"""Names of files that a message about rejected rows gives; the others are 'and others'."""
MISNAMED = (Reason.UNKNOWN_FORMAT, Reason.MISSING_FIELD, Reason.AMBIGUOUS_PROMPT)
"""Reasons for a rejection that columns with unusual names may have caused."""
PROGRESS_ROWS = 500
"""Rows between two reports of progress."""


def ingest(
    sources: DataSources,
    parse: Callable[[dict[str, Any]], tuple[str, T]],
    accept: Callable[[RawRow, T], None],
    *,
    max_rejected: float | None,
    can_raise: bool = True,
    columns: str,
    rejects_path: Path | None = None,
    progress: Progress = SILENT,
) -> ReadReport:
    """Read all rows of all sources.

    Args:
        sources: what to read, in order.
        parse: a row -> the name of its published form, and its parsed value; raises `RowError` for a row that cannot be
            used. It sees one row at a time, so a row means the same wherever it stands.
        accept: takes each row that could be parsed, with its parsed value, in order.
        max_rejected: the largest share of rows that may be rejected; None: all of them.
        can_raise: whether the user can raise `max_rejected`, so that an error may advise to.
        columns: advice for errors on what to do where columns have unusual names, in a sentence.
        rejects_path: where the rejected rows go, one JSON object a line: file, line, reason, detail, the
            beginning of the row's text and how many characters of it were cut. It is written also where the
            share is too large.
        progress: told the bytes read.

    Raises:
        UnreadableError: a source is damaged as a whole.
        TooManyRejectedError: more rows were rejected than allowed, or all.
        DataError: rows read, accepted and rejected do not add up.
    """
    left_aside = _count(sources, progress)
    files = []
    with ExitStack() as stack:
        rejects_file = None if rejects_path is None else stack.enter_context(atomic_write(rejects_path))
        total = sum(source.size for source in sources.found)
        task = stack.enter_context(progress.task("Reading (bytes)", total=max(1, total)))
        tally = Tally(rejects_file)
        for source in sources.found:
            read_before, accepted_before, position = tally.read, tally.accepted, 0
            digest = digest_source(source)
            forms: Counter[str] = Counter()
            for row in read_raw_rows(source):
                tally.read += 1
                try:
                    if row.error is not None:
                        raise row.error
                    form, parsed = parse(row.value)
                except RowError as error:
                    tally.reject(row.file, row.number, row.place, row.text, error)
                else:
                    accept(row, parsed)
                    forms[form] += 1
                    tally.accepted += 1
                if tally.read % PROGRESS_ROWS == 0:
                    task.advance(row.position - position)
                    position = row.position
            task.advance(source.size - position)
            read, accepted = tally.read - read_before, tally.accepted - accepted_before
            files.append(FileReport(source, dict(forms.most_common()), digest, read, accepted))
    # Counts first: a share of counts that do not add up would mean nothing.
    tally.check_sum()
    advice = " ".join(_advice(tally, columns, rejects_path, can_raise=can_raise)) if tally.rejected else ""
    if max_rejected is not None:
        tally.check_share(max_rejected, advice)
    if tally.rejected:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(tally.rejected.items()))
        names = ", ".join(source.name for source in sources.found[:SHOWN_FILES])
        more = " and others" if len(sources.found) > SHOWN_FILES else ""
        where = "" if rejects_path is None else f"; they stand in {rejects_path}"
        progress.say(f"{names}{more}: {sum(tally.rejected.values())} of {tally.read} rows left out ({reasons}){where}")
    return ReadReport(
        tally.read,
        tally.accepted,
        dict(tally.rejected),
        tuple(files),
        dict(sources.ignored),
        left_aside=left_aside,
        unusable=tally.unusable(),
        advice=advice,
    )


def _count(sources: DataSources, progress: Progress) -> dict[str, LeftAside]:
    """Files and rows of the splits that are not read, by split; each is told to `progress` as well."""
    left_aside = {}
    for split, files in sources.left_aside.items():
        counts = [count_rows(source) for source in files]
        rows = None if None in counts else sum(count for count in counts if count is not None)
        left_aside[split] = LeftAside(len(files), rows)
        progress.say(
            f"Split {split!r} left aside ({left_aside[split].text()}); another is read by --split (in a configuration "
            "data.split)"
        )
    return left_aside


def _advice(tally: Tally, columns: str, rejects_path: Path | None, *, can_raise: bool) -> Iterator[str]:
    """What to do about rejected rows, sentence by sentence."""
    misnamed = not tally.rejected.keys().isdisjoint(MISNAMED)
    if misnamed:
        yield columns
    if tally.accepted:
        larger = ", or raise max_rejected (--max-rejected; in a configuration data.max_rejected)"
        yield f"Repair or remove these rows{larger if can_raise else ''}."
    elif not misnamed:
        yield "Repair the rows, or give another file."
    if rejects_path is not None:
        yield f"All of them stand in {rejects_path}."
