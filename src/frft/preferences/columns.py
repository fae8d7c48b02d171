"""Rows -> an Arrow table, built in chunks, so that at most one chunk is held as Python objects."""

from __future__ import annotations

import datetime
import decimal
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from frft.errors import DataError
from frft.preferences.fields import free_name
from frft.preferences.rejects import quoted
from frft.preferences.rendering import check_encodable
from frft.preferences.schema import OWN_COLUMNS

CHUNK_ROWS = 2048
"""Rows that are held as Python objects at a time."""
MAX_COLUMNS = 1000
"""Most field names of the data. More are taken for data in the place of names: a mapping written as a row, say."""

Scalar = str | int | float | bool | None


def scalar_columns(row: Mapping[str, Any], used: frozenset[str]) -> tuple[dict[str, Scalar], list[str]]:
    """The data's own columns of a row: (scalar values by name, names of those with nested values).

    Dates, times and decimal numbers become text.

    Raises:
        RowError: a name or text has no UTF-8 form.
    """
    scalars: dict[str, Scalar] = {}
    nested = []
    for name, value in row.items():
        if name in used:
            continue
        check_encodable(name, name)
        if isinstance(value, datetime.date | datetime.time | datetime.timedelta | decimal.Decimal):
            scalars[name] = str(value)
        elif value is None or isinstance(value, str | int | float | bool):
            if isinstance(value, str):
                check_encodable(value, name)
            scalars[name] = value
        else:
            nested.append(name)
    return scalars, nested


@dataclass(frozen=True)
class _Chunk:
    """Arrow arrays of `length` rows: frft's own columns, and those of the data that occur in these rows."""

    own: dict[str, Any]
    extra: dict[str, Any]
    length: int


class TableBuilder:
    """Collects rows and gives one table: the columns of `OWN_COLUMNS`, and between them the data's own.

    A column of the data has one type: text where its values are of several kinds (numbers and words, say),
    each then written as JSON writes it.
    """

    def __init__(self) -> None:
        self._own: list[Mapping[str, Any]] = []
        self._extra: list[Mapping[str, Scalar]] = []
        self._names: dict[str, None] = {}
        self._chunks: list[_Chunk] = []

    def append(self, own: Mapping[str, Any], extra: Mapping[str, Scalar]) -> None:
        """Add a row: values of the columns of `OWN_COLUMNS`, and of the data's own columns.

        Raises:
            DataError: the rows have more than MAX_COLUMNS different field names.
        """
        self._own.append(own)
        self._extra.append(extra)
        self._names.update(dict.fromkeys(extra))
        if len(self._names) > MAX_COLUMNS:
            names = ", ".join(quoted(name) for name in list(self._names)[:3])
            raise DataError(
                f"{own['origin_file']}, row {own['origin_row']}: more than {MAX_COLUMNS} field names by now "
                f"({names}, ...). All rows must have the same fields; move data out of their names."
            )
        if len(self._own) == CHUNK_ROWS:
            self._flush()

    def finish(self) -> tuple[pa.Table, dict[str, str]]:
        """The table, and the names of data columns that had to be renamed with their new names."""
        self._flush()
        renamed: dict[str, str] = {}
        for name in self._names:
            if name in OWN_COLUMNS:
                renamed[name] = free_name(name, {*OWN_COLUMNS, *self._names, *renamed.values()})
        own: dict[str, Any] = {
            name: pa.chunked_array([chunk.own[name] for chunk in self._chunks], type=kind)
            for name, kind in OWN_COLUMNS.items()
        }
        if own["margin"].null_count == len(own["margin"]):
            del own["margin"]
        extra = {renamed.get(name, name): self._column(name) for name in self._names}
        origin = {name: own.pop(name) for name in ("origin_file", "origin_row")}
        return pa.table({**own, **extra, **origin}), renamed

    def _flush(self) -> None:
        if not self._own:
            return
        own: dict[str, Any] = {
            name: pa.array([row[name] for row in self._own], type=kind) for name, kind in OWN_COLUMNS.items()
        }
        names = {name for row in self._extra for name in row}
        extra = {name: _array([row.get(name) for row in self._extra]) for name in names}
        self._chunks.append(_Chunk(own, extra, len(self._own)))
        self._own, self._extra = [], []

    def _column(self, name: str) -> Any:
        arrays = [chunk.extra.get(name, pa.nulls(chunk.length)) for chunk in self._chunks]
        types: set[Any] = {array.type for array in arrays} - {pa.null()}
        if types == {pa.int64(), pa.float64()}:
            try:
                return pa.chunked_array([array.cast(pa.float64()) for array in arrays])
            except pa.ArrowInvalid:
                types.add(pa.string())  # an integer that no float64 equals
        kind = types.pop() if len(types) == 1 else pa.string()
        if kind == pa.string():
            arrays = [array if array.type == kind else _texts(array.to_pylist()) for array in arrays]
        return pa.chunked_array([array.cast(kind) for array in arrays])


def _array(values: list[Scalar]) -> Any:
    if len({isinstance(value, bool) for value in values if value is not None}) > 1:
        return _texts(values)  # Arrow would take True for 1.0
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return _texts(values)


def _texts(values: list[Scalar]) -> Any:
    texts = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    return pa.array(texts, type=pa.string())
