"""Read prompts, completions, margins and requests from tables of preference pairs, for training and evaluation."""

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
"""Preference pairs as columns of equal length: prompt, chosen, rejected, and others (margin, request, sources)."""


@dataclass(frozen=True)
class Pairs:
    """Texts of N preference pairs.

    Attributes:
        prompts: the prompts, N.
        chosen: the preferred completions, N.
        rejected: the completions that were not preferred, N.
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
    """Values of one column of a table of N preference pairs, N of them.

    Raises:
        DataError: the table has no such column, or its length differs from that of the prompts.
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
    """Values of a text column of a table of N preference pairs, N of them.

    Raises:
        DataError: as `column`, or a value is not text; the message names the row.
    """
    values = column(table, name)
    for row, value in enumerate(values):
        if not isinstance(value, str):
            raise DataError(f"Row {row} (counting from 0): {name} must be text, not {type(value).__name__}.")
    return values


def requests(table: PairTable) -> list[str]:
    """Cluster labels of N pairs for cluster-robust intervals: the column request where there is one, else the prompts.

    Pairs on one prompt, or on prompts that ask for the same in other words, are not independent observations.

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
    """Margins score(prompt, chosen) - score(prompt, rejected) of N pairs, float64 (N,).

    Args:
        score: scores of prompts and completions, one score for each, as `RewardModel.score` gives.
        table: columns prompt, chosen, rejected; N rows.

    Raises:
        DataError: as `Pairs.of`.
    """
    pairs = Pairs.of(table)
    n = len(pairs.prompts)
    # In one call, so that sequences that occur on both sides get exactly equal scores.
    scores = score(pairs.prompts * 2, pairs.chosen + pairs.rejected)
    return scores[:n] - scores[n:]


def margins(table: PairTable) -> list[float]:
    """Margins m of N pairs from the column margin, for the loss -log sigmoid(r(chosen) - r(rejected) - m).

    Raises:
        DataError: the column is missing, or a value is not a finite number; the message names the row.
    """
    values = column(table, "margin")
    for row, value in enumerate(values):
        if type(value) not in (int, float) or not math.isfinite(value):
            raise DataError(
                f"Row {row} (counting from 0): margin must be a finite number, not {value!a}. "
                "Complete the column, or set use_margin to false."
            )
    return [float(value) for value in values]
