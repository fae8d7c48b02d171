from __future__ import annotations

import gzip
import json

import pyarrow.parquet as pq
import pytest

from frft.errors import DataError, OutputError
from frft.preferences import export_rows, load_pool

ODD = '{ "rejected":"r",  "prompt" : "\\u0070 7", "chosen":"\\ud83d\\ude00", "nested": [1] , "x": 1.50}'


def ids(pool, *rows):
    table = pool.table["id"].to_pylist()
    return [table[row] for row in rows]


def test_lines_are_copied_letter_for_letter_in_the_order_they_were_read(write_lines, tmp_path, pair):
    lines = [json.dumps(pair(number)) for number in range(6)]
    write_lines("\ufeff" + lines[0], lines[1] + "\r", "", ODD, name="data/a.jsonl")
    write_lines(*lines[2:], lines[0], name="data/b.jsonl")
    pool = load_pool(tmp_path / "data")
    out = tmp_path / "kept.jsonl"
    assert export_rows(pool, ids(pool, 7, 2, 0, 4), out) == 4
    assert out.read_text().split("\n") == [lines[0], ODD, lines[3], lines[0], ""]
    assert load_pool(out).table["prompt"].to_pylist() == ["Question 0?", "p 7", "Question 3?", "Question 0?"]


def test_every_row_of_a_compressed_file_comes_back(shared_data, tmp_path):
    path = shared_data / "hh-rlhf" / "helpful-base.jsonl.gz"
    pool = load_pool(path)
    assert export_rows(pool, pool.table["id"].to_pylist(), tmp_path / "kept.jsonl") == len(pool)
    kept = (tmp_path / "kept.jsonl").read_bytes().splitlines(keepends=True)
    originals = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    assert kept == [originals[row - 1] for row in pool.table["origin_row"].to_pylist()]


@pytest.mark.parametrize("name", ["pairs.csv", "pairs.json", "pairs.parquet"])
def test_rows_of_other_files_become_json_with_the_same_content(write_lines, tmp_path, pair, name):
    rows = [{**pair(number), "note": "é"} for number in range(4)]
    source = load_pool(write_lines(*rows))
    path = tmp_path / name
    if name.endswith("csv"):
        path.write_text("prompt,chosen,rejected,note\n" + "".join(",".join(row.values()) + "\n" for row in rows))
    elif name.endswith("json"):
        path.write_text(json.dumps(rows, indent=2))
    else:
        pq.write_table(source.table.select(list(rows[0])), path)
    pool = load_pool(path)
    export_rows(pool, ids(source, 1, 3), tmp_path / "kept.jsonl")
    assert [json.loads(line) for line in (tmp_path / "kept.jsonl").read_text().splitlines()] == rows[1::2]


def test_a_source_that_changed_is_an_error_and_leaves_no_file(write_lines, tmp_path, pair):
    path = write_lines(pair(0), pair(1))
    pool = load_pool(path)
    path.write_bytes(path.read_bytes().replace(b"Yes", b"yes"))
    with pytest.raises(DataError, match=r"pairs.jsonl has changed since"):
        export_rows(pool, ids(pool, 0), tmp_path / "kept.jsonl")
    assert not (tmp_path / "kept.jsonl").exists()


def test_ids_that_are_not_in_the_pool_are_an_error(write_lines, tmp_path, pair):
    pool = load_pool(write_lines(pair(0)))
    with pytest.raises(DataError, match="1 of 2 ids are not in the pool, 'nowhere' for one"):
        export_rows(pool, [*ids(pool, 0), "nowhere"], tmp_path / "kept.jsonl")


def test_a_source_is_not_overwritten(write_lines, pair):
    path = write_lines(pair(0))
    before = path.read_bytes()
    pool = load_pool(path)
    with pytest.raises(OutputError, match="one of the files"):
        export_rows(pool, ids(pool, 0), path)
    assert path.read_bytes() == before


def test_rows_of_a_hub_data_set_are_its_rows(monkeypatch, tmp_path, pair):
    import datasets

    rows = [pair(number, nested=[number]) for number in range(3)]
    served = [datasets.Dataset.from_list(rows)]
    monkeypatch.setattr(datasets, "load_dataset", lambda repository, split: served[-1])
    pool = load_pool("owner/name")
    assert export_rows(pool, ids(pool, 2), tmp_path / "kept.jsonl") == 1
    assert json.loads((tmp_path / "kept.jsonl").read_text()) == rows[2]
    served.append(datasets.Dataset.from_list(rows[1:]))
    with pytest.raises(DataError, match="has changed since"):
        export_rows(pool, ids(pool, 2), tmp_path / "kept.jsonl")
