"""Chained journals: whatever happened to a row is found, and named by its line."""

from __future__ import annotations

import hashlib
import json

import pytest

from frft.errors import ArtifactError, UnreadableError
from frft.store import append_rows
from frft.store.chained import ChainedJournal, append_chained, read_chained, write_chained

ROWS = [{"n": n, "text": "ä\n\x1b", "x": 0.1 * n} for n in range(4)]


@pytest.fixture
def journal(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_chained(path, ROWS[:2])
    append_chained(path, ROWS[2:], read_chained(path).last)
    return path


def test_rows_come_back_and_their_digests_are_as_described(journal):
    found = read_chained(journal)
    assert (found.rows, found.unfinished) == (ROWS, False)
    before = ""
    for line in map(json.loads, journal.read_text().splitlines()):
        digest = line.pop("digest")
        content = json.dumps([before, line], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        before = hashlib.sha256(content.encode()).hexdigest()
        assert digest == before
    assert found.last == before


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda lines: [lines[0], lines[1].replace(b'"n": 1', b'"n": 7'), *lines[2:]], 2),
        (lambda lines: [lines[0], lines[1][:-20], *lines[2:]], 2),
        (lambda lines: [*lines[:2], *lines[3:]], 3),
        (lambda lines: [lines[1], lines[0], *lines[2:]], 1),
        (lambda lines: [*lines[:3], lines[2], lines[3]], 4),
        (lambda lines: [*lines, b'{"n": 5}\n'], 5),
        (lambda lines: [*lines, b"[]\n"], 5),
        (lambda lines: [*lines, b"\n"], 5),
        (lambda lines: [*lines, b"\xff\n"], 5),
    ],
    ids=["changed", "cut", "lost", "exchanged", "twice", "no digest", "no object", "empty", "no text"],
)
def test_a_damaged_row_is_named(journal, damage, line):
    journal.write_bytes(b"".join(damage(journal.read_bytes().splitlines(keepends=True))))
    with pytest.raises(ArtifactError, match=f"line {line}: damaged"):
        read_chained(journal)


def test_half_a_row_at_the_end_is_left_out_and_the_next_one_takes_its_place(journal):
    whole = journal.read_bytes()
    for cut in (1, 10):
        journal.write_bytes(whole[:-cut])
        found = read_chained(journal)
        assert (found.rows, found.unfinished) == (ROWS[:3], True)
    append_chained(journal, ROWS[3:], found.last)
    assert journal.read_bytes() == whole


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(UnreadableError, match="No such file"):
        read_chained(tmp_path / "none")


def test_rows_of_versions_without_digests_are_read_and_covered_by_the_next_row(tmp_path):
    path = tmp_path / "rows.jsonl"
    append_rows(path, ROWS[:2])
    with pytest.raises(ArtifactError, match="line 1: damaged: it is not a whole row"):
        read_chained(path)
    journal = ChainedJournal(path)
    assert journal.rows == ROWS[:2]
    for row in ROWS[2:]:
        journal.append(row)
    assert ChainedJournal(path).rows == ROWS
    lines = path.read_bytes().splitlines(keepends=True)
    for damaged in ([lines[0].replace(b"0", b"5", 1), *lines[1:]], lines[1:], [*lines[:3], lines[0]]):
        path.write_bytes(b"".join(damaged))
        with pytest.raises(
            ArtifactError, match=r"line [234]: damaged.*run again: what the others held is measured anew"
        ):
            ChainedJournal(path)


def test_a_journal_goes_on_after_half_a_row(journal):
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-9])
    found = ChainedJournal(journal)
    assert (found.rows, found.unfinished) == (ROWS[:3], True)
    found.append(ROWS[3])
    assert journal.read_bytes() == whole
