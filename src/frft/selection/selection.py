"""A selection: for every row of the pool, how close it lies to the policy, whether it was kept, and why."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from frft.errors import ArtifactError
from frft.store import atomic_write

FORMAT = "frft selection 1"
METADATA_KEY = b"frft"

KEPT = "kept"
NO_SAMPLE = "no sample of its prompt"
BELOW_THRESHOLD = "below the threshold"
BELOW_CUT = "ranked below the cut"

COLUMNS: dict[str, pa.DataType] = {
    "id": pa.string(),
    "similarity_chosen": pa.float64(),
    "similarity_rejected": pa.float64(),
    "kept": pa.bool_(),
    "split": pa.string(),
    "rank": pa.int64(),
    "copies": pa.int64(),
    "reason": pa.string(),
}
SCHEMA = pa.schema(COLUMNS)


@dataclass(frozen=True)
class Selection:
    """What one filter made of a pool.

    Attributes:
        table: one row per row of the pool, in the pool's order. `similarity_chosen`, `similarity_rejected`:
            cosines (null: no sample of its prompt, or the strategy looks at none); `kept`; `split`: "train"
            or "test", null where not kept; `rank`: 1 for the row that the strategy ranks first, null where
            not kept; `copies`: how often the row trains, 0 where not kept, 2 only with part2's duplicates
            `twice`; `reason`: "kept", or why not.
        metadata: format, strategy, threshold, size, test_size, duplicates, match, seed, embedder (digest, or
            null where none was needed) and counts (see `counts`). JSON-able.
    """

    table: pa.Table
    metadata: dict[str, Any]

    @property
    def counts(self) -> dict[str, Any]:
        """The counts. They add up: reasons sum to pool_rows, train + test = kept.

        pool_rows; samples, samples_of_pool_prompts, samples_empty; with_similarity; qualifying (rows that the
        strategy ranks); wanted and taken (places to fill and filled; a row kept twice takes two); kept,
        train, test (rows); reasons (rows by reason); truncated (chosen, rejected, samples: texts that were
        longer than the embedder's window).
        """
        counts: dict[str, Any] = self.metadata["counts"]
        return counts

    @property
    def train_ids(self) -> list[str]:
        """Ids of the pairs to train on, best first; an id with two copies stands there twice."""
        return self._ids("train")

    @property
    def test_ids(self) -> list[str]:
        """Ids of the pairs kept by the same rule to test on, as `train_ids`. No id is in both."""
        return self._ids("test")

    def _ids(self, split: str) -> list[str]:
        rows = self.table.select(["rank", "id", "copies", "split"]).to_pylist()
        ranked = sorted((row["rank"], row["id"], row["copies"]) for row in rows if row["split"] == split)
        return [id_ for _, id_, copies in ranked for _ in range(copies)]

    def write(self, path: Path) -> None:
        """Write one parquet file, whole or not at all; the metadata is JSON under the schema's key `frft`."""
        text = json.dumps(self.metadata, ensure_ascii=False, allow_nan=False)
        table = self.table.replace_schema_metadata({METADATA_KEY: text.encode()})
        with atomic_write(path) as file:
            pq.write_table(table, file, compression="zstd", write_page_checksum=True)

    @classmethod
    def read(cls, path: Path) -> Selection:
        """Read what `write` wrote.

        Raises:
            ArtifactError: the file is missing, damaged, or no selection of this format.
        """
        try:
            # One plain file: a folder of that name must not be read as a data set of many.
            with path.open("rb") as file:
                table = pq.read_table(file, page_checksum_verification=True)
            metadata = json.loads((table.schema.metadata or {})[METADATA_KEY])
        except KeyError:
            raise ArtifactError(f"{path} is a parquet file, but not a selection written by frft.") from None
        except (OSError, ValueError, pa.ArrowException) as error:
            raise ArtifactError(f"Cannot read the selection {path}: {error}. Make it again.") from error
        if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
            raise ArtifactError(f"{path} is not in the format {FORMAT!r}. Make it again with this version.")
        table = table.replace_schema_metadata(None)
        if table.schema != SCHEMA or table_counts(table) != {
            name: metadata.get("counts", {}).get(name) for name in table_counts(table)
        }:
            raise ArtifactError(f"{path}: its rows are not those that its metadata counts. Make it again.")
        return cls(table, metadata)


def table_counts(table: pa.Table) -> dict[str, Any]:
    """The counts that can be read off a selection's table."""
    splits = Counter(table["split"].to_pylist())
    return {
        "pool_rows": table.num_rows,
        "with_similarity": table.num_rows - table["similarity_chosen"].null_count,
        "taken": sum(table["copies"].to_pylist()),
        "kept": sum(table["kept"].to_pylist()),
        "train": splits["train"],
        "test": splits["test"],
        "reasons": dict(sorted(Counter(table["reason"].to_pylist()).items())),
    }
