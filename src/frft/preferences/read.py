"""A source -> its raw rows, one by one, each a JSON-like object or the reason why it cannot be read as one.

What counts as a row: a line of JSON Lines that is not blank; an element of a JSON list; a position in a JSON
object of equally long columns; a CSV record after the header that is not blank; a row of a Parquet or Arrow table. A
`.json` file may hold any of a list of rows, an object of columns, or JSON Lines.

Faults of a single row are rejections. Faults that leave no telling where the next row begins (a truncated
archive, an unclosed quote, a broken JSON list, a file that is not what its ending says) are errors that name
the file.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from frft.errors import UnreadableError
from frft.preferences.hub import READ_ROWS, hub_tables
from frft.preferences.rejects import Reason, RowError, quoted
from frft.preferences.sources import FileSource, HubSource, Source
from frft.preferences.unpacking import BoundedStream, bounded_batches
from frft.store import sha256_file, verify_beside

LARGEST_CSV_FIELD = 2**31 - 1
"""Characters; Python's own limit of 131,072 is below what long dialogues need."""

UTF8_BOM = b"\xef\xbb\xbf"
SIGNATURES = {
    b"PAR1": "parquet",
    b"\xff\xff\xff\xff": "arrow",
    b"ARROW1": "an Arrow file for random access, not a stream",
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "a ZIP archive",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"version https://git-lfs": "a Git LFS pointer (fetch the file itself with `git lfs pull`)",
}
"""First bytes by which a file shows what it is, whatever its name says."""


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as it was read.

    Attributes:
        file: name of the source.
        number: 1-based line of a JSON Lines file, else 1-based row.
        value: the row; where `error` is set, what could be read of it.
        error: why the row is no object; None: it is one.
        line: the row's own bytes without the line's end, where it is a line of JSON Lines; else None.
        position: bytes of the source that had been read by then (an estimate, for progress).
    """

    file: str
    number: int
    value: Any
    error: RowError | None = None
    line: bytes | None = None
    position: int = 0

    @property
    def place(self) -> str:
        """Where the row stands, for messages."""
        return f"{self.file}, {'row' if self.line is None else 'line'} {self.number}"

    @property
    def text(self) -> str:
        """The row as JSON: as it stands in the file where that is JSON Lines, else rendered anew."""
        if self.line is not None:
            return self.line.decode("utf-8", "backslashreplace")
        try:
            return json.dumps(self.value, ensure_ascii=False, default=str)
        except RecursionError:
            return "(nested too deeply to be shown)"


def read_raw_rows(source: Source) -> Iterator[RawRow]:
    """All rows of a source, in order.

    Raises:
        UnreadableError: the source is missing, unreadable, damaged as a whole, or holds no rows.
        ArtifactError: a manifest of frft's beside the file (in the folder of a world) lists it with another checksum.
    """
    count = 0
    for row in _read_hub(source) if isinstance(source, HubSource) else _read_file(source):
        count += 1
        yield row
    if count == 0:
        raise UnreadableError(f"{source.name} holds no rows. Leave it out, or check how it was written.")


def count_rows(source: Source) -> int | None:
    """Number of rows of a source; None where it cannot be read to the end."""
    try:
        if isinstance(source, FileSource) and source.kind == "parquet":
            return int(pq.read_metadata(source.path).num_rows)
        return sum(1 for _ in read_raw_rows(source))
    except (UnreadableError, OSError, pa.ArrowInvalid):
        return None


def digest_source(source: Source) -> str:
    """SHA-256 of a source's content: of a file's bytes, or of a Hub data set's Arrow batches.

    Raises:
        UnreadableError: the source cannot be read.
    """
    if isinstance(source, FileSource):
        with _readable(source):
            return sha256_file(source.path)
    digest = hashlib.sha256()
    for table in hub_tables(source):
        for batch in table.to_batches():
            digest.update(batch.serialize())
    return digest.hexdigest()


@contextmanager
def _readable(source: FileSource) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise UnreadableError(f"{source.name} does not exist any more.") from error
    except (OSError, pa.ArrowInvalid) as error:
        raise UnreadableError(
            f"{source.name} cannot be read: {error}. It may be cut short or damaged (fetch it again), or "
            "closed to you (check its permissions)."
        ) from error


def _read_file(source: FileSource) -> Iterator[RawRow]:
    with _readable(source), source.path.open("rb") as file:
        verify_beside(source.path)
        expected = source.kind if source.kind in ("parquet", "arrow") else source.codec
        _check_signature(source, file.peek(32)[:32], expected)
        if source.kind == "parquet":
            yield from _read_parquet(source, file)
            return
        if source.kind == "arrow":
            yield from _read_arrow(source, file)
            return
        stream = file
        if source.codec is not None:
            decompressed: Any = pa.CompressedInputStream(file, source.codec)
            stream = io.BufferedReader(BoundedStream(source, decompressed))
            _check_signature(source, stream.peek(32)[:32], None)
        readers = {"jsonl": _read_lines, "json": _read_json, "csv": _read_csv}
        for row in readers[source.kind](source, stream):
            # Of the file itself, not of the decompressed stream: progress is told in bytes of `source.size`.
            yield replace(row, position=file.tell())


def _check_signature(source: FileSource, head: bytes, expected: str | None) -> None:
    actual = next((kind for signature, kind in SIGNATURES.items() if head.startswith(signature)), None)
    if not head:
        raise UnreadableError(f"{source.name} is empty. Leave it out, or check how it was written.")
    if actual != expected:
        raise UnreadableError(
            f"{source.name} is {actual or f'not {expected}'}, which is not what its ending says. "
            "Rename it to what it is, or convert it to JSON Lines in UTF-8."
        )


def _read_lines(source: FileSource, stream: Iterable[bytes]) -> Iterator[RawRow]:
    for number, raw in enumerate(stream, start=1):
        line = (raw.removeprefix(UTF8_BOM) if number == 1 else raw).rstrip(b"\r\n")
        if not line.strip():
            continue
        try:
            yield RawRow(source.name, number, _parse_object(line), line=line)
        except RowError as error:
            yield RawRow(source.name, number, None, error, line)


def _parse_object(line: bytes) -> dict[str, Any]:
    try:
        value: Any = json.loads(line.decode(), object_pairs_hook=_without_duplicates)
    except UnicodeDecodeError as error:
        raise RowError(Reason.BAD_ENCODING, f"byte {error.start + 1} is not UTF-8") from error
    except RecursionError as error:
        raise RowError(Reason.BROKEN_JSON, "nested too deeply") from error
    except json.JSONDecodeError as error:
        raise RowError(Reason.BROKEN_JSON, f"{error.msg} at character {error.pos + 1}") from error
    except ValueError as error:
        raise RowError(Reason.BROKEN_JSON, str(error)) from error
    if not isinstance(value, dict):
        raise RowError(Reason.NOT_AN_OBJECT, f"a row must be an object, this is {quoted(value)}")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # `json` would keep the last of two values in silence.
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RowError(Reason.DUPLICATE_KEY, f"{quoted(twice)} stands twice in one object")
    return value


def _read_json(source: FileSource, stream: io.BufferedReader) -> Iterator[RawRow]:
    content = stream.read().removeprefix(UTF8_BOM)
    first_line = content.lstrip().split(b"\n", 1)[0]
    if not first_line.startswith(b"[") and _is_object(first_line) and not _is_columns(content):
        yield from _read_lines(source, io.BytesIO(content))
        return
    try:
        text = content.decode()
        rows = _list_elements(text) if text.lstrip().startswith("[") else _column_rows(text)
        for number, (value, error) in enumerate(rows, start=1):
            yield RawRow(source.name, number, value, error)
    except (ValueError, RecursionError, RowError) as error:
        raise UnreadableError(
            f"{source.name} is no JSON list of rows, object of equally long columns, or JSON Lines: {error}. "
            "Repair it, or convert it to JSON Lines (.jsonl), of which single lines can be rejected."
        ) from error


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _is_columns(content: bytes) -> bool:
    """Whether this is one JSON object of lists. A single line of JSON Lines is an object as well."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and all(isinstance(column, list) for column in value.values())


def _list_elements(text: str) -> Iterator[tuple[Any, RowError | None]]:
    """Elements of a JSON list one after the other, so that one with duplicate keys spoils no other."""
    strict, lenient = json.JSONDecoder(object_pairs_hook=_without_duplicates), json.JSONDecoder()
    end = text.index("[")
    if text[_skip_space(text, end + 1) :].strip() == "]":
        return
    while text[end] in "[,":
        start = _skip_space(text, end + 1)
        try:
            value, end = strict.raw_decode(text, start)
            error = None if isinstance(value, dict) else RowError(Reason.NOT_AN_OBJECT, f"this is {quoted(value)}")
        except RowError as duplicate:
            value, end = lenient.raw_decode(text, start)
            error = duplicate
        yield value, error
        end = _skip_space(text, end)
        if text[end : end + 1] not in (",", "]"):
            raise ValueError(f"line {text.count(chr(10), 0, end) + 1}: expected ',' or ']' after an element")
    if text[end + 1 :].strip():
        raise ValueError("text follows the end of the list")


def _skip_space(text: str, start: int) -> int:
    while text[start : start + 1] in (" ", "\t", "\n", "\r"):
        start += 1
    return start


def _column_rows(text: str) -> Iterator[tuple[Any, RowError | None]]:
    columns = json.loads(text, object_pairs_hook=_without_duplicates)
    if not isinstance(columns, dict) or not all(isinstance(column, list) for column in columns.values()):
        raise ValueError("the outermost value is something else")
    if len({len(column) for column in columns.values()}) > 1:
        lengths = ", ".join(f"{quoted(name)}: {len(column)}" for name, column in columns.items())
        raise ValueError(f"the columns differ in length ({lengths})")
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True)), None


def _read_csv(source: FileSource, stream: io.BufferedReader) -> Iterator[RawRow]:
    csv.field_size_limit(LARGEST_CSV_FIELD)
    # Bytes that are no UTF-8 become lone surrogates, which UTF-8 cannot hold: they are found row by row.
    with io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
        records = csv.reader(text, strict=True)
        number = 0
        try:
            header = [name or f"column_{place}" for place, name in enumerate(next(records, []), start=1)]
            twice = {name for name in header if header.count(name) > 1}
            if twice:
                raise UnreadableError(f"{source.name}: the header names {quoted(min(twice))} twice. Rename one.")
            for record in records:
                if record:
                    number += 1
                    yield _csv_row(source, number, header, record)
        except csv.Error as error:
            raise UnreadableError(
                f"{source.name}, after row {number} (line {records.line_num}): {error}. Put fields with "
                'commas, quotes or line breaks in quotes, and double the quotes in them ("").'
            ) from error


def _csv_row(source: FileSource, number: int, header: list[str], record: list[str]) -> RawRow:
    value: Any = dict(zip(header, record, strict=False))
    error = None
    try:
        "".join(record).encode()
    except UnicodeEncodeError:
        error = RowError(Reason.BAD_ENCODING, "bytes that are not UTF-8")
    if len(record) != len(header):
        error = RowError(Reason.UNEVEN_ROW, f"{len(record)} fields, but the header has {len(header)}")
        value = record
    return RawRow(source.name, number, value, error)


def _read_parquet(source: FileSource, stream: io.BufferedReader) -> Iterator[RawRow]:
    with pq.ParquetFile(stream) as file:
        names = file.schema_arrow.names
        if len(set(names)) < len(names):
            raise UnreadableError(f"{source.name} has two columns of one name. Rename one of them.")
        # Rows are read from column chunks, so the position in the file says little; bytes in proportion to rows do.
        share = source.size / max(1, file.metadata.num_rows)
        batches = _sound(bounded_batches(source, file, READ_ROWS))
        for number, (value, error) in enumerate(_table_rows(batches), start=1):
            yield RawRow(source.name, number, value, error, position=int(number * share))


def _read_arrow(source: FileSource, stream: io.BufferedReader) -> Iterator[RawRow]:
    """A stream of record batches, as `save_to_disk` of the `datasets` library writes it."""
    with pa.ipc.open_stream(stream) as batches:
        small = (batch.slice(start, READ_ROWS) for batch in batches for start in range(0, batch.num_rows, READ_ROWS))
        for number, (value, error) in enumerate(_table_rows(_sound(small)), start=1):
            yield RawRow(source.name, number, value, error, position=stream.tell())


def _read_hub(source: HubSource) -> Iterator[RawRow]:
    batches = (batch for table in hub_tables(source) for batch in table.to_batches())
    for number, (value, error) in enumerate(_table_rows(batches), start=1):
        yield RawRow(source.name, number, value, error)


def _sound(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Batches whose insides fit together: of damaged offsets, Arrow would read beyond its memory without a word.

    Raises:
        pa.ArrowInvalid: something but bytes that are not UTF-8, which are rejected row by row.
    """
    for batch in batches:
        for column in batch.columns:
            try:
                column.validate(full=True)
            except pa.ArrowInvalid as error:
                if "Invalid UTF8" not in str(error):
                    raise
        yield batch


def _table_rows(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[Any, RowError | None]]:
    """Rows of Arrow batches, each with None or the reason why it has no text."""
    for batch in batches:
        try:
            for value in batch.to_pylist():
                yield value, None
        except UnicodeDecodeError:
            # Row by row, to find those with bytes that are not UTF-8.
            for place in range(batch.num_rows):
                try:
                    yield batch.slice(place, 1).to_pylist()[0], None
                except UnicodeDecodeError as error:
                    yield None, RowError(Reason.BAD_ENCODING, str(error))
