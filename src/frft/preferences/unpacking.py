"""How much a compressed file may unpack to: a few hundred bytes can hold gigabytes."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from frft.errors import UnreadableError
from frft.preferences.sources import FileSource
from frft.store import parse_bytes, readable_bytes

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

UNPACKED_VARIABLE = "FRFT_MAX_UNPACKED"
LARGEST_FACTOR = 200
"""Text is packed to a third to a thirtieth, in columns of equal values to less; what goes beyond was made for it."""
SMALLEST_BOUND = 256 * 1024**2
"""Bytes that any file may unpack to, however small it is."""


def largest_unpacked(source: FileSource) -> int:
    """Bytes that a file may unpack to: 200 times its size, at least 256 MiB; or the variable FRFT_MAX_UNPACKED.

    Raises:
        UsageError: the variable is not a size.
    """
    given = os.environ.get(UNPACKED_VARIABLE)
    return max(SMALLEST_BOUND, LARGEST_FACTOR * source.size) if given is None else parse_bytes(given, UNPACKED_VARIABLE)


class BoundedStream(io.RawIOBase):
    """The unpacked bytes of a file.

    Raises (when it is read):
        UnreadableError: there are more than `largest_unpacked`.
    """

    def __init__(self, source: FileSource, unpacked: pa.NativeFile) -> None:
        self._source, self._unpacked, self._left = source, unpacked, largest_unpacked(source)

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read into a buffer; returns the number of bytes, 0 at the end."""
        count = int(self._unpacked.readinto(buffer))
        self._left -= count
        if self._left < 0:
            raise _too_large(self._source)
        return count


def bounded_batches(source: FileSource, file: pq.ParquetFile, most_rows: int) -> Iterator[pa.RecordBatch]:
    """The batches of a parquet file, each so small that no batch can be above the bound.

    A value that stands once in the file may stand in every row: a row holds at most all that its row group unpacks to.

    Raises:
        UnreadableError: all rows together, or what the file says of itself, are above `largest_unpacked`.
    """
    bound, metadata = largest_unpacked(source), file.metadata
    groups = [metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups)]
    if sum(groups) > bound:
        raise _too_large(source)
    left = bound
    rows = max(1, min(most_rows, bound // max([1, *groups])))
    for batch in file.iter_batches(batch_size=rows, use_threads=False):
        left -= batch.nbytes
        if left < 0:
            raise _too_large(source)
        yield batch


def _too_large(source: FileSource) -> UnreadableError:
    bound = readable_bytes(largest_unpacked(source))
    return UnreadableError(
        f"{source.name} ({readable_bytes(source.size)}) unpacks to more than {bound}. If it is no mistake, set "
        f"the environment variable {UNPACKED_VARIABLE} to what it may take, such as 20G."
    )
