from __future__ import annotations

import datetime
import decimal

import pyarrow as pa
import pytest

from frft.errors import DataError
from frft.preferences import columns
from frft.preferences.columns import TableBuilder, scalar_columns
from frft.preferences.rejects import Reason, RowError


def own(number: int, margin: float | None = None) -> dict:
    return {
        "id": str(number),
        "prompt": "p",
        "chosen": "c",
        "rejected": "r",
        "margin": margin,
        "origin_file": "f",
        "origin_row": number,
    }


def build(*extras: dict, margins=None) -> tuple[pa.Table, dict[str, str]]:
    builder = TableBuilder()
    for number, extra in enumerate(extras):
        builder.append(own(number, margins and margins[number]), extra)
    return builder.finish()


@pytest.mark.parametrize("chunk_rows", [1, 2, 100])
@pytest.mark.parametrize(
    ("values", "kind", "stored"),
    [
        ([1, 2, None], pa.int64(), [1, 2, None]),
        ([1, 2.5, None], pa.float64(), [1.0, 2.5, None]),
        ([True, False], pa.bool_(), [True, False]),
        (["a", None], pa.string(), ["a", None]),
        ([None, None], pa.string(), [None, None]),
        ([1, "a", True, None, 2.5], pa.string(), ["1", "a", "true", None, "2.5"]),
        ([True, 1], pa.string(), ["true", "1"]),
        ([1.5, True], pa.string(), ["1.5", "true"]),
        ([2**70], pa.string(), [str(2**70)]),
        ([2**60 + 1, 1.5], pa.string(), [str(2**60 + 1), "1.5"]),
    ],
)
def test_a_column_has_one_type_however_rows_fall_into_chunks(monkeypatch, chunk_rows, values, kind, stored):
    monkeypatch.setattr(columns, "CHUNK_ROWS", chunk_rows)
    table, _ = build(*({"x": value} for value in values))
    assert table["x"].to_pylist() == stored
    assert table["x"].type == kind


@pytest.mark.parametrize("chunk_rows", [1, 100])
def test_columns_may_come_and_go(monkeypatch, chunk_rows):
    monkeypatch.setattr(columns, "CHUNK_ROWS", chunk_rows)
    table, _ = build({"a": 1}, {"b": "x"}, {})
    assert table.column_names == ["id", "prompt", "chosen", "rejected", "a", "b", "origin_file", "origin_row"]
    assert table["a"].to_pylist() == [1, None, None]
    assert table["b"].to_pylist() == [None, "x", None]


def test_a_margin_column_is_there_if_a_row_has_one():
    table, _ = build({}, {}, margins=[None, 0.5])
    assert table["margin"].to_pylist() == [None, 0.5]
    assert "margin" not in build({})[0].column_names


def test_names_that_frft_uses_get_a_prefix():
    table, renamed = build({"id": 7, "source_id": "s", "origin_row": True})
    assert renamed == {"id": "source_source_id", "origin_row": "source_origin_row"}
    assert table["id"].to_pylist() == ["0"]
    assert table["source_id"].to_pylist() == ["s"]
    assert table["source_source_id"].to_pylist() == [7]
    assert table["source_origin_row"].to_pylist() == [True]


def test_a_mapping_written_as_a_row_is_an_error():
    with pytest.raises(DataError, match=r"f, row 3: more than 1000 field names"):
        build(*({f"{number}-{place}": 1 for place in range(300)} for number in range(5)))


def test_scalars_are_kept_and_nested_values_named():
    row = {
        "used": 1,
        "text": "x",
        "none": None,
        "day": datetime.date(2024, 5, 6),
        "price": decimal.Decimal("1.50"),
        "list": [1],
        "object": {},
        "bytes": b"x",
    }
    scalars, nested = scalar_columns(row, frozenset({"used"}))
    assert scalars == {"text": "x", "none": None, "day": "2024-05-06", "price": "1.50"}
    assert nested == ["list", "object", "bytes"]


@pytest.mark.parametrize("row", [{"a\ud800": 1}, {"a": "\udfff"}])
def test_text_without_utf8_is_refused(row):
    with pytest.raises(RowError) as caught:
        scalar_columns(row, frozenset())
    assert caught.value.reason == Reason.LONE_SURROGATE
