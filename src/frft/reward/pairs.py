"""Preference pairs as training and evaluation read them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from frft.errors import DataError
from frft.preferences import Pool

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

PairTable: TypeAlias = "pa.Table | Pool | Mapping[str, Sequence[Any]]"
"""Columns of equal length: prompt, chosen, rejected, and whatever else there is (margin, sources)."""


@dataclass(frozen=True)
class Pairs:
    """N preference pairs.

    Attributes:
        prompts: what was asked, (N,).
        chosen: the preferred completions, (N,).
        rejected: the others, (N,).
    """

    prompts: list[str]
    chosen: list[str]
    rejected: list[str]

    @classmethod
    def of(cls, table: PairTable) -> Pairs:
        """Take the texts from a table.

        Raises:
            DataError: a column is missing or of another length, a value is not text, or there are no rows.
        """
        columns = [texts(table, name) for name in ("prompt", "chosen", "rejected")]
        if not columns[0]:
            raise DataError("There are no preference pairs in the table; give at least one.")
        return cls(*columns)


def column(table: PairTable, name: str) -> list[Any]:
    """A column's values, as many as there are prompts.

    Raises:
        DataError: there is no such column, or it has another length.
    """
    table = table.table if isinstance(table, Pool) else table
    names = _column_names(table)
    for needed in (name, "prompt"):
        if needed not in names:
            raise DataError(f"The preference pairs have no column {needed!r}, only {', '.join(map(repr, names))}.")
    values, prompts = (
        list(table[key]) if isinstance(table, Mapping) else table[key].to_pylist() for key in (name, "prompt")
    )
    if len(values) != len(prompts):
        raise DataError(f"Column {name!r} has {len(values)} values, but there are {len(prompts)} prompts.")
    return values


def texts(table: PairTable, name: str) -> list[str]:
    """A column of texts, (N,).

    Raises:
        DataError: as `column`, or a value is not text.
    """
    values = column(table, name)
    for row, value in enumerate(values):
        if not isinstance(value, str):
            raise DataError(f"Row {row} (counting from 0): {name} must be text, not {type(value).__name__}.")
    return values


def requests(table: PairTable) -> list[str]:
    """What pairs that are not independent have in common, (N,): the column request where there is one, else the prompt.

    Raises:
        DataError: as `texts`.
    """
    return texts(table, "request" if "request" in _column_names(table) else "prompt")


def _column_names(table: PairTable) -> list[str]:
    if isinstance(table, Mapping):
        return list(table)
    return list((table.table if isinstance(table, Pool) else table).column_names)


def score_margins(
    score: Callable[[Sequence[str], Sequence[str]], NDArray[np.float64]], table: PairTable
) -> NDArray[np.float64]:
    """score(prompt, chosen) - score(prompt, rejected) of N pairs, (N,).

    Raises:
        DataError: as `Pairs.of`.
    """
    pairs = Pairs.of(table)
    n = len(pairs.prompts)
    # In one call, so that sequences that occur on both sides get exactly equal scores.
    scores = score(pairs.prompts * 2, pairs.chosen + pairs.rejected)
    return scores[:n] - scores[n:]


def margins(table: PairTable) -> list[float]:
    """The margin column, (N,).

    Raises:
        DataError: it is missing, or a value is not a finite number.
    """
    values = column(table, "margin")
    for row, value in enumerate(values):
        if type(value) not in (int, float) or not math.isfinite(value):
            raise DataError(
                f"Row {row} (counting from 0): margin must be a finite number, not {value!a}. "
                "Complete the column, or set use_margin to false."
            )
    return [float(value) for value in values]
