"""Preference pairs in any form that a caller may have them in -> a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa

from frft.errors import DataError, UsageError
from frft.preferences.pool import load_pool
from frft.preferences.schema import Pool
from frft.progress import SILENT, Progress

PairSource: TypeAlias = "pa.Table | Pool | str | Path | Sequence[str | Path]"
"""Preference pairs: a table with the columns id, prompt, chosen and rejected; what `load_pool` returns; or what it
reads (files, folders, globs, ids of data sets on the Hub)."""

NEEDED = ("id", "prompt", "chosen", "rejected")
"""Columns that a table of pairs must have."""


def pairs_table(pairs: PairSource, name: str, *, progress: Progress = SILENT) -> pa.Table:
    """The table of some pairs; where they are files or data sets on the Hub, these are read.

    Args:
        pairs: any of `PairSource`.
        name: the name of the caller's argument, for messages.
        progress: told the bytes read.

    Raises:
        UsageError: `pairs` is none of these.
        DataError: a table lacks a column; or, from `load_pool`, files cannot be used.
    """
    if isinstance(pairs, Pool):
        table = pairs.table
    elif isinstance(pairs, pa.Table):
        table = pairs
    elif _is_path(pairs) or (isinstance(pairs, Sequence) and pairs and all(map(_is_path, pairs))):
        table = load_pool(pairs, progress=progress).table
    else:
        raise UsageError(
            f"{name} is {pairs!r:.60} ({type(pairs).__name__}); it must be preference pairs: a path or several, what "
            f"frft.load_pool returns, or a pyarrow table with the columns {', '.join(NEEDED)}."
        )
    if missing := [column for column in NEEDED if column not in table.column_names]:
        there = ", ".join(table.column_names) or "no columns"
        raise DataError(
            f"{name} is a table without {' and '.join(missing)}; it has {there}. "
            "frft.load_pool makes one with all of them, of any published form."
        )
    return table


def _is_path(value: object) -> bool:
    return isinstance(value, str | Path)
