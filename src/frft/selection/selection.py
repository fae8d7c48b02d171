"""A selection of preference pairs: how close each pair of the pool is to the policy, whether it was kept, and why."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from frft.errors import ArtifactError, SelectionError
from frft.selection.controls import with_shuffled_labels
from frft.store import atomic_write

SELECTION_FORMAT = "frft selection 2"
METADATA_KEY = b"frft"

KEPT = "kept"
NO_SAMPLE = "no sample of its prompt"
BELOW_CUT = "ranked below the cut"
NOT_DRAWN = "not drawn"

SELECTION_COLUMNS: dict[str, pa.DataType] = {
    "id": pa.string(),
    "similarity_chosen": pa.float64(),
    "similarity_rejected": pa.float64(),
    "score": pa.float64(),
    "kept": pa.bool_(),
    "split": pa.string(),
    "rank": pa.int64(),
    "copies": pa.int64(),
    "reason": pa.string(),
}
SCHEMA = pa.schema(SELECTION_COLUMNS)


@dataclass(frozen=True)
class Selection:
    """The result of one selection from a pool.

    Attributes:
        table: one row per row of the pool, in the pool's order. `similarity_chosen`, `similarity_rejected`:
            cosines (null: no sample of its prompt, or the strategy reads none); `score`: log density ratio of
            the pair in nats (null: the strategy reads none); `kept`; `split`: "train" or "test", null where
            not kept; `rank`: 1 for the row that the strategy ranks first, null where not kept; `copies`: how
            often the row was taken, 0 where not kept, more than 1 only with part2's duplicates `twice` and where
            pairs are drawn by weight (take: sample); `reason`: "kept", or why not. With `shuffle_labels`, chosen and
            rejected are those after the shuffling; `pairs` gives the texts.
        metadata: format, every setting of the selection by its name, seed, embedder (digest, or null where none was
            needed), density (AUC, log loss and strength of the classifier, or null: see `DensityRatios`), weights (tau
            and effective_sample_size of the pairs drawn from, or null), counts (see `counts`) and, for a strategy of an
            installed package, strategy_origin (see `frft.strategies.strategy_origin`). JSON-able.
    """

    table: pa.Table
    metadata: dict[str, Any]

    @property
    def counts(self) -> dict[str, Any]:
        """Counts of pairs and samples by name, as in `frft.reward.SelectionInfo`; reasons sum to pool_rows.

        pool_rows; samples, samples_of_pool_prompts, samples_empty; with_similarity; qualifying (rows that the
        strategy ranks); wanted and taken (places to fill and filled; a row taken twice fills two places); kept,
        train, test (rows; kept = train + test); reasons (rows by reason); truncated (chosen, rejected, samples: texts
        that were longer than the embedder's window).
        """
        counts: dict[str, Any] = self.metadata["counts"]
        return counts

    @property
    def train_ids(self) -> list[str]:
        """Ids of the pairs to train on, best first; an id with several copies is listed as often."""
        return self._ids("train")

    @property
    def test_ids(self) -> list[str]:
        """Ids of the pairs, selected by the same rule, to test on, in the same form. No id is in both lists."""
        return self._ids("test")

    def pairs(self, pool_table: pa.Table, split: str) -> pa.Table:
        """The selected pairs of a split, in the order of `train_ids` or `test_ids`.

        With `shuffle_labels`, chosen and rejected are as they were shuffled for the selection.

        Args:
            pool_table: the pool that the selection was made from.
            split: "train" or "test".

        Raises:
            SelectionError: the pool has other ids than the one that the selection was made from.
        """
        position = {row_id: row for row, row_id in enumerate(pool_table["id"].to_pylist())}
        if set(position) != set(self.table["id"].to_pylist()):
            raise SelectionError(
                "The pool is not the one that the selection was made from: its ids differ. Give that pool, or select "
                "again."
            )
        if self.metadata["shuffle_labels"]:
            pool_table = with_shuffled_labels(pool_table, self.metadata["seed"])
        return pool_table.take(np.array([position[row_id] for row_id in self._ids(split)], dtype=np.int64))

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
        if not isinstance(metadata, dict) or metadata.get("format") != SELECTION_FORMAT:
            raise ArtifactError(f"{path} is not in the format {SELECTION_FORMAT!r}. Make it again with this version.")
        table = table.replace_schema_metadata(None)
        if table.schema != SCHEMA or table_counts(table) != {
            name: metadata.get("counts", {}).get(name) for name in table_counts(table)
        }:
            raise ArtifactError(f"{path} is damaged: its rows do not agree with the counts in it. Make it again.")
        return cls(table, metadata)


def table_counts(table: pa.Table) -> dict[str, Any]:
    """The counts that follow from a selection's table alone; `Selection.read` checks the stored ones against them."""
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
