from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from frft.errors import UnreadableError
from frft.preferences import load_pool
from frft.preferences.read import digest_source, read_raw_rows
from frft.preferences.rejects import Reason
from frft.preferences.sources import HubSource, find_sources
from frft.store import sha256_file

ROWS = [{"a": 'x, "y"\nz', "b": "1"}, {"a": "é", "b": "2"}, {"a": "\u2028", "b": "3"}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
CSV = '\ufeffa,b\r\n"x, ""y""\nz",1\r\n\r\né,2\r\n\u2028,3\r\n'.encode()


def read(path: Path):
    (source,) = find_sources(path).found
    return list(read_raw_rows(source))


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", LINES),
        ("a.jsonl", b"\xef\xbb\xbf" + LINES.replace(b"\n", b"\r\n\r\n")),
        ("a.jsonl", LINES.rstrip(b"\n")),
        ("a.jsonl.gz", gzip.compress(LINES)),
        ("a.jsonl.gz", gzip.compress(LINES[:20]) + gzip.compress(LINES[20:])),
        ("a.jsonl.zst", zstd(LINES)),
        ("a.json", json.dumps(ROWS, indent=1).encode()),
        ("a.json", LINES),
        ("a.json", json.dumps({"a": [row["a"] for row in ROWS], "b": ["1", "2", "3"]}, indent=2).encode()),
        ("a.json.gz", gzip.compress(json.dumps(ROWS).encode())),
        ("a.json.zst", zstd(b"\xef\xbb\xbf" + json.dumps(ROWS).encode())),
        ("a.csv", CSV),
        ("a.csv.gz", gzip.compress(CSV)),
        ("a.csv.zst", zstd(CSV)),
    ],
)
def test_every_kind_and_compression_gives_the_same_rows(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    rows = read(path)
    assert [row.value for row in rows] == ROWS
    assert [row.error for row in rows] == [None] * 3
    assert all(row.position <= path.stat().st_size for row in rows)


def test_parquet_gives_the_same_rows(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path)
    assert [row.value for row in read(path)] == ROWS


def test_rows_are_numbered_by_line_in_json_lines_and_by_row_elsewhere(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"\n\n" + LINES)
    (tmp_path / "a.csv").write_bytes(CSV)
    lines, records = read(tmp_path / "a.jsonl"), read(tmp_path / "a.csv")
    assert [row.number for row in lines] == [3, 4, 5]
    assert [row.number for row in records] == [1, 2, 3]
    assert lines[0].place == f"{tmp_path / 'a.jsonl'}, line 3"
    assert records[0].place == f"{tmp_path / 'a.csv'}, row 1"
    assert [row.text for row in lines] == LINES.decode().split("\n")[:3]


BROKEN_LINES = [
    (b'{"a": 1', Reason.BROKEN_JSON),
    (b"{'a': 1}", Reason.BROKEN_JSON),
    (b'{"a": "x\ty"}', Reason.BROKEN_JSON),
    (b'{"a": ' + b"[" * 100_000, Reason.BROKEN_JSON),
    (b'{"a": ' + b"1" * 5000 + b"}", Reason.BROKEN_JSON),
    (b'{"a": "\xff"}', Reason.BAD_ENCODING),
    (b"[1, 2]", Reason.NOT_AN_OBJECT),
    (b"null", Reason.NOT_AN_OBJECT),
    (b'"text"', Reason.NOT_AN_OBJECT),
    (b'{"a": 1, "a": 2}', Reason.DUPLICATE_KEY),
    (b'{"a": [{"b": 1, "b": 1}]}', Reason.DUPLICATE_KEY),
]


@pytest.mark.parametrize(("line", "reason"), BROKEN_LINES)
def test_a_broken_line_spoils_no_other(write_lines, line, reason):
    rows = read(write_lines('{"a": 0}', line, '{"a": 2}'))
    assert [row.value for row in rows][::2] == [{"a": 0}, {"a": 2}]
    assert rows[1].error is not None
    assert rows[1].error.reason == reason
    assert rows[1].line == line
    assert len(rows) == 3


def test_elements_of_a_json_list_are_rejected_one_by_one(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[ {"a": 0} , [1], {"a": 1, "a": 2},{"a": 3}]')
    rows = read(path)
    assert [row.error and row.error.reason for row in rows] == [
        None,
        Reason.NOT_AN_OBJECT,
        Reason.DUPLICATE_KEY,
        None,
    ]
    assert rows[3].value == {"a": 3}


def test_csv_rows_that_do_not_fit_the_header_or_are_no_utf8_are_rejected_one_by_one(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b",b\n1,2\n1\n1,2,3\n\xff,2\n3,4\n")
    rows = read(path)
    assert [row.error and row.error.reason for row in rows] == [
        None,
        Reason.UNEVEN_ROW,
        Reason.UNEVEN_ROW,
        Reason.BAD_ENCODING,
        None,
    ]
    assert rows[0].value == {"column_1": "1", "b": "2"}
    assert rows[2].text == '["1", "2", "3"]'


def test_a_csv_field_may_be_long(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f"a\n{'x' * 300_000}\n")
    assert len(read(path)[0].value["a"]) == 300_000


def test_text_in_parquet_that_is_no_utf8_spoils_no_other(tmp_path):
    column = pa.array([b"x", b"\xff", b"z"], type=pa.binary()).view(pa.string())
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": column}), path)
    rows = read(path)
    assert [row.error and row.error.reason for row in rows] == [None, Reason.BAD_ENCODING, None]
    assert rows[2].value == {"a": "z"}


def parquet_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


PARQUET = parquet_bytes(pa.table({"a": ["x"]}))

BROKEN_FILES = [
    ("a.jsonl", b"", "is empty"),
    ("a.jsonl", b"\n \n", "holds no rows"),
    ("a.json", b"[]", "holds no rows"),
    ("a.csv", b"a,b\n", "holds no rows"),
    ("a.parquet", parquet_bytes(pa.table({"a": pa.array([], pa.string())})), "holds no rows"),
    ("a.jsonl.gz", b"", "is empty"),
    ("a.jsonl.gz", gzip.compress(b""), "is empty"),
    ("a.jsonl.gz", gzip.compress(LINES)[:-9], "Truncated"),
    ("a.jsonl.zst", zstd(LINES)[:-3], "Truncated"),
    ("a.csv.gz", gzip.compress(CSV)[:20], "Truncated"),
    ("a.jsonl.gz", LINES, "is not gzip"),
    ("a.jsonl.zst", gzip.compress(LINES), "is gzip"),
    ("a.jsonl", gzip.compress(LINES), "is gzip"),
    ("a.csv", PARQUET, "is parquet"),
    ("a.jsonl.gz", gzip.compress(PARQUET), "is parquet"),
    ("a.jsonl", LINES.decode().encode("utf-16"), "UTF-16"),
    ("a.csv", b"PK\x03\x04....", "ZIP archive"),
    ("a.parquet", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ("a.parquet", LINES, "is not parquet"),
    ("a.parquet", PARQUET[:-8], "cannot be read"),
    ("a.json", b'[{"a": 1}, {"a": ', "is no JSON list"),
    ("a.json", b'[{"a": 1} {"a": 2}]', "after an element"),
    ("a.json", b'[{"a": 1}] tail', "text follows"),
    ("a.json", b'[{"a": 1}', "after an element"),
    ("a.json", b"[", "is no JSON list"),
    ("a.json", b'["\xff"]', "utf-8"),
    ("a.json", b'{"a": [1, 2], "b": [1]}', "columns differ in length"),
    ("a.json", b'{"a": [1], "a": [2]}', "stands twice"),
    ("a.json", b'{\n"a": 1\n}', "something else"),
    ("a.json", b"12", "something else"),
    ("a.csv", b'a,b\n1,2\n"open,4\n5,6\n', "after row 1"),
    ("a.csv", b'a,b\n1,2\n"x"y,4\n', "after row 1"),
    ("a.csv", b"a,b,a\n1,2,3\n", "names 'a' twice"),
]


@pytest.mark.parametrize(("name", "content", "message"), BROKEN_FILES)
def test_a_broken_file_is_an_error_that_names_it(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnreadableError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_two_parquet_columns_of_one_name_are_an_error(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table([pa.array(["x"]), pa.array(["y"])], names=["a", "a"]), path)
    with pytest.raises(UnreadableError, match="two columns of one name"):
        read(path)


def test_a_file_that_vanishes_is_an_error(write_lines):
    path = write_lines('{"a": 0}')
    (source,) = find_sources(path).found
    path.unlink()
    with pytest.raises(UnreadableError, match="does not exist any more"):
        list(read_raw_rows(source))
    with pytest.raises(UnreadableError, match="does not exist any more"):
        digest_source(source)


def test_the_digest_of_a_file_is_that_of_its_bytes(write_lines):
    path = write_lines('{"a": 0}')
    (source,) = find_sources(path).found
    assert digest_source(source) == sha256_file(path)


def test_rows_nested_almost_too_deeply_can_still_be_shown(tmp_path):
    path = tmp_path / "a.json"
    for depth in range(850, 1000, 7):
        path.write_text("[" + "[" * depth + "]" * depth + ', {"a": 1}]')
        try:
            rows = read(path)
        except UnreadableError:
            return
        assert rows[1].value == {"a": 1}
        assert rows[0].text
    pytest.fail("no depth was refused")


def test_a_hub_that_cannot_be_reached_is_an_error_that_says_what_to_do():
    with pytest.raises(
        UnreadableError, match=r"no file or folder 'owner/name' here.*Hugging Face Hub.*cannot be loaded.*download"
    ):
        list(read_raw_rows(HubSource("owner/name", "train")))


def test_rows_of_a_hub_data_set(monkeypatch):
    import datasets

    served = {"train": datasets.Dataset.from_list(ROWS), "test": datasets.Dataset.from_list(ROWS[:1])}
    monkeypatch.setattr(datasets, "load_dataset", lambda repository, split: served[split])
    source = HubSource("owner/name", "train")
    assert [row.value for row in read_raw_rows(source)] == ROWS
    assert [row.number for row in read_raw_rows(source)] == [1, 2, 3]
    assert digest_source(source) == digest_source(source) != digest_source(HubSource("owner/name", "test"))
    with pytest.raises(UnreadableError, match="split 'other'"):
        list(read_raw_rows(HubSource("owner/name", "other")))


def test_what_save_to_disk_writes_is_read_by_split(tmp_path, pair):
    import datasets

    rows = [pair(number) for number in range(5)]
    splits = {"train": datasets.Dataset.from_list(rows[:3]), "test": datasets.Dataset.from_list(rows[3:])}
    datasets.DatasetDict(splits).save_to_disk(str(tmp_path / "saved"))
    pool = load_pool(tmp_path / "saved")
    assert pool.table["prompt"].to_pylist() == [row["prompt"] for row in rows[:3]]
    assert pool.report.left_aside["test"].text() == "1 file, 2 rows"
    assert load_pool(tmp_path / "saved", split="test").table["prompt"].to_pylist() == ["Question 3?", "Question 4?"]


def test_an_arrow_file_that_is_cut_short_is_an_error(tmp_path, pair):
    import datasets

    datasets.Dataset.from_list([pair(0)]).save_to_disk(str(tmp_path))
    (path,) = tmp_path.glob("*.arrow")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UnreadableError, match="cannot be read"):
        load_pool(path)
