"""Journals survive being cut off anywhere."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frft.errors import ArtifactError
from frft.store import append_rows, keep_rows, read_rows
from frft.store.journal import BLOCK_BYTES

ROWS = [{"step": 1, "text": "a\nb"}, {"step": 2, "text": "é\u2028\x1b"}, {"step": 3, "text": ""}]


def test_rows_round_trip_over_several_appends(tmp_path):
    path = tmp_path / "deep" / "rows.jsonl"
    append_rows(path, ROWS[:1])
    append_rows(path, [])
    append_rows(path, ROWS[1:])
    assert read_rows(path) == ROWS
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]] == ROWS


def test_a_refused_row_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "rows.jsonl"
    append_rows(path, ROWS)
    with pytest.raises(ValueError, match="not JSON compliant"):
        append_rows(path, [{"step": 4}, {"loss": float("nan")}])
    assert read_rows(path) == ROWS


def test_cut_anywhere_the_finished_rows_are_read_and_the_rest_can_be_appended(tmp_path):
    path = tmp_path / "rows.jsonl"
    append_rows(path, ROWS)
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        finished = whole[:length].count(b"\n")
        assert read_rows(path) == ROWS[:finished]
        append_rows(path, ROWS[finished:])
        assert path.read_bytes() == whole


@settings(deadline=None, max_examples=20)
@given(torn=st.integers(BLOCK_BYTES - 2, BLOCK_BYTES + 2) | st.integers(0, 3 * BLOCK_BYTES))
def test_a_long_torn_line_is_cut_off(tmp_path_factory, torn):
    path = tmp_path_factory.getbasetemp() / "rows.jsonl"
    path.write_bytes(b'{"step": 1}\n' + b"x" * torn)
    append_rows(path, [{"step": 2}])
    assert read_rows(path) == [{"step": 1}, {"step": 2}]
    path.write_bytes(b"x" * torn)
    append_rows(path, [{"step": 2}])
    assert read_rows(path) == [{"step": 2}]


def test_a_finished_line_that_is_not_json_is_an_error_with_its_number(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"step": 1}\n\n{"step": \n{"step": 3}\n')
    with pytest.raises(ArtifactError, match=r"rows\.jsonl, line 3: not valid JSON"):
        read_rows(path)


def test_rows_beyond_a_point_are_cut_away(tmp_path):
    path = tmp_path / "rows.jsonl"
    keep_rows(path, lambda row: True)
    assert not path.exists()
    append_rows(path, ROWS)
    with path.open("ab") as file:
        file.write(b'{"step": 4')
    keep_rows(path, lambda row: row["step"] <= 2)
    assert read_rows(path) == ROWS[:2]
    append_rows(path, ROWS[2:])
    whole = tmp_path / "whole.jsonl"
    append_rows(whole, ROWS)
    assert path.read_bytes() == whole.read_bytes()
