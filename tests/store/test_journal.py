"""Journals survive being cut off anywhere."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frft.errors import ArtifactError
from frft.store import Journal, append_rows, read_json, read_rows, sha256_file
from frft.store.chained import read_chained
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


def test_a_journal_goes_on_behind_its_checkpoint_and_later_rows_are_cut_off(tmp_path):
    path = tmp_path / "rows.jsonl"
    journal = Journal.create(path)
    journal.append(ROWS[:1])
    journal.append(ROWS[1:2])
    mark = journal.mark()
    journal.append(ROWS[2:])
    with path.open("ab") as file:
        file.write(b'{"step": 4')
    resumed = Journal.resume(path, mark, "Start again.")
    assert read_rows(path) == ROWS[:2]
    resumed.append(ROWS[2:])
    resumed.verify("Start again.")
    whole = tmp_path / "whole.jsonl"
    append_rows(whole, ROWS)
    assert path.read_bytes() == whole.read_bytes()
    assert resumed.mark() == {"bytes": path.stat().st_size, "sha256": sha256_file(path)}


def test_a_journal_cut_or_flipped_anywhere_before_its_checkpoint_is_an_error(tmp_path):
    path = tmp_path / "rows.jsonl"
    journal = Journal.create(path)
    journal.append(ROWS[:2])
    mark, rows = journal.mark(), path.stat().st_size
    journal.append(ROWS[2:])
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        if length < rows:
            with pytest.raises(ArtifactError, match=rf"rows\.jsonl has not the rows .* it has {length} bytes.*Again!"):
                Journal.resume(path, mark, "Again!")
            assert path.read_bytes() == whole[:length], "it is left as it is"
        else:
            Journal.resume(path, mark, "Again!")
            assert read_rows(path) == ROWS[:2]
    for place in range(len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            if place < rows:
                with pytest.raises(ArtifactError, match="its content is another"):
                    Journal.resume(path, mark, "Again!")
            else:
                Journal.resume(path, mark, "Again!")
    path.unlink()
    with pytest.raises(ArtifactError, match="it has 0 bytes"):
        Journal.resume(path, mark, "Again!")


def test_a_journal_that_somebody_else_changes_is_noticed_at_its_end(tmp_path):
    journal = Journal.create(tmp_path / "rows.jsonl")
    journal.append(ROWS)
    journal.verify("Again!")
    append_rows(journal.path, ROWS[:1])
    with pytest.raises(ArtifactError, match=r"was changed while it was being written.*Again!"):
        journal.verify("Again!")
    journal.path.unlink()
    with pytest.raises(ArtifactError, match="it has 0 bytes"):
        journal.verify("Again!")


def test_a_journal_never_writes_through_a_link_or_into_a_copy_of_the_run(tmp_path):
    path, other = tmp_path / "rows.jsonl", tmp_path / "other.jsonl"
    journal = Journal.create(path)
    journal.append(ROWS[:1])
    mark = journal.mark()
    other.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(other)
    Journal.resume(path, mark, "").append(ROWS[1:])
    assert read_rows(path) == ROWS
    assert read_rows(other) == ROWS[:1]
    path.unlink()
    path.hardlink_to(other)  # as cp -al does
    Journal.resume(path, mark, "").append(ROWS[1:])
    assert read_rows(path) == ROWS
    assert read_rows(other) == ROWS[:1]
    path.unlink()
    path.symlink_to(other)
    Journal.create(path).append(ROWS[1:])
    assert read_rows(other) == ROWS[:1]


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "rows.jsonl")
    for reader in (read_rows, read_json, read_chained):
        with pytest.raises(ArtifactError, match=r"rows.jsonl is no file, but a pipe, a socket or a device"):
            reader(tmp_path / "rows.jsonl")
