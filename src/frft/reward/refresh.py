"""What a refresh makes, and what its files are called."""

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


@dataclass(frozen=True)
class Refresh:
    """One refresh: the selection that was made, the reward model that was trained on it, and what the gate said."""

    selection: Artifact
    reward_model: Artifact
    gate: Artifact | None = None

    @property
    def accepted(self) -> bool:
        """Whether the reward model took the place of the one before."""
        verdict = self.verdict
        return verdict is None or verdict.accepted

    @property
    def verdict(self) -> GateInfo | None:
        """What the gate said; None: there is none, or it was not asked yet, as in a plan."""
        return None if self.gate is None or not self.gate.info else self.gate.info_as(GateInfo)

    def read_selection(self) -> Selection:
        """The selection, row by row."""
        return Selection.read(self.selection.path / SELECTION_FILE)


def read_pairs(pool: pa.Table | Artifact) -> pa.Table:
    """Preference pairs, from the artifact that holds them where they are not at hand."""
    if not isinstance(pool, Artifact):
        return pool
    import pyarrow.parquet as pq

    return pq.read_table(pool.path / PAIRS_FILE)
