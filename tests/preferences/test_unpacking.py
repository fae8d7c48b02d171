"""Files of a few bytes that hold gigabytes are refused before memory is gone; ordinary ones are read as ever."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from frft.errors import UnreadableError, UsageError
from frft.preferences.read import read_raw_rows
from frft.preferences.sources import FileSource, find_sources
from frft.preferences.unpacking import SMALLEST_BOUND, largest_unpacked

ROW = b'{"prompt": "p", "chosen": "a", "rejected": "b"}\n'
MEBIBYTE = 1024**2


def source_of(path) -> FileSource:
    (source,) = find_sources(path).found
    return source


def read(path):
    return [row.value for row in read_raw_rows(source_of(path))]


@pytest.fixture(params=["zst", "gz", "parquet"])
def bomb(request, tmp_path):
    """A small file that unpacks to some 40 MB."""
    path = tmp_path / f"rows.jsonl.{request.param}"
    if request.param == "gz":
        path.write_bytes(gzip.compress(ROW * 80_000))
    elif request.param == "zst":
        with pa.CompressedOutputStream(str(path), "zstd") as file:
            file.write(ROW * 80_000)
    else:
        path = tmp_path / "rows.parquet"
        text = "x" * (400 * 1024)
        pq.write_table(pa.table({"prompt": ["p"] * 100, "chosen": [text] * 100}), path, compression="zstd")
    assert path.stat().st_size < 300_000
    return path


def test_what_unpacks_to_more_than_the_bound_is_refused_and_the_bound_can_be_raised(bomb, monkeypatch):
    monkeypatch.setenv("FRFT_MAX_UNPACKED", "1M")
    said = r"unpacks to more than 1.0 MiB. .*set the environment variable FRFT_MAX_UNPACKED"
    with pytest.raises(UnreadableError, match=said) as caught:
        read(bomb)
    assert str(bomb) in str(caught.value)
    monkeypatch.setenv("FRFT_MAX_UNPACKED", "1G")
    assert len(read(bomb)) in (100, 80_000)


def test_the_bound_is_stated(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(ROW)
    assert largest_unpacked(source_of(path)) == SMALLEST_BOUND == 256 * MEBIBYTE
    os.truncate(path, 2 * MEBIBYTE)
    assert largest_unpacked(source_of(path)) == 400 * MEBIBYTE
    monkeypatch.setenv("FRFT_MAX_UNPACKED", "many")
    with pytest.raises(UsageError, match="FRFT_MAX_UNPACKED: 'many' is not a size"):
        largest_unpacked(source_of(path))


def test_a_value_that_stands_once_in_a_parquet_file_and_in_every_row_takes_no_gigabytes(tmp_path):
    """4 MB of text in a dictionary, 1,000 rows: a few hundred bytes on disk, 4 GB as a column."""
    path = tmp_path / "rows.parquet"
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), pa.array(["x" * 4_000_000]))
    pq.write_table(pa.table({"chosen": column}), path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 5_000
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from frft.preferences.read import read_raw_rows\n"
        "from frft.preferences.sources import find_sources\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        "    sum(1 for _ in read_raw_rows(find_sources(Path(sys.argv[1])).found[0]))\n"
        "except Exception as error:\n"
        "    print(type(error).__name__)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    error, kilobytes = done.stdout.split()
    assert error == "UnreadableError"
    assert int(kilobytes) < 1.5 * 1024 * 1024
