"""The artifacts that one refresh of a reward model makes, and the names of their files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from frft.reward.infos import GateInfo
from frft.selection import Selection
from frft.store import Artifact

if TYPE_CHECKING:
    import pyarrow as pa

SELECTION_FILE = "selection.parquet"
LOG_RATIOS_FILE = "log_ratios.npy"
PAIRS_FILE = "pairs.parquet"
LABELS_FILE = "labels.jsonl"


@dataclass(frozen=True)
class Refresh:
    """The artifacts of one refresh.

    Attributes:
        selection: the pairs selected.
        reward_model: the reward model fine-tuned on them.
        gate: the gate's verdict; None where no gate is configured.
        labels: the fresh labels asked for; None where none were.
        audit: the audit of the selected pairs; None where there was none.
    """

    selection: Artifact
    reward_model: Artifact
    gate: Artifact | None = None
    labels: Artifact | None = None
    audit: Artifact | None = None

    @property
    def accepted(self) -> bool:
        """Whether the refreshed reward model replaced the previous one: True unless a gate refused it."""
        verdict = self.verdict
        return verdict is None or verdict.accepted

    @property
    def verdict(self) -> GateInfo | None:
        """The gate's verdict; None where there is no gate, or it has not been asked yet (in a plan)."""
        return None if self.gate is None or not self.gate.info else self.gate.info_as(GateInfo)

    def read_selection(self) -> Selection:
        """Read the selection, with one row for each pair of the pool."""
        return Selection.read(self.selection.path / SELECTION_FILE)


def read_pairs(pool: pa.Table | Artifact) -> pa.Table:
    """A table of preference pairs: the one given, or the one that an artifact holds as pairs.parquet."""
    if not isinstance(pool, Artifact):
        return pool
    import pyarrow.parquet as pq

    return pq.read_table(pool.path / PAIRS_FILE)
