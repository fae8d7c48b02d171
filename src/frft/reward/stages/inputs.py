"""What the stages of one refresh have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from frft.config.sections import RefreshConfig, RewardModelConfig
from frft.models.training import ReportTo
from frft.progress import Progress
from frft.reward.gate import Alarms
from frft.reward.model import RewardModel
from frft.reward.samples import PolicySamples
from frft.selection import VectorCache
from frft.store import Artifact

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class RefreshInputs:
    """The models, pairs and settings of one refresh.

    Attributes:
        number: refreshes of this reward before this one.
        current: the reward model to refresh.
        load: loads it, where an artifact is to be made.
        samples: what the policy writes.
        pool: the pairs to select from: D, or an artifact that holds freshly labelled ones (pairs.parquet).
        alarms: what else the gate asks.
        offline: D, which pairs are replayed from.
        config, training, backbone, reference_samples, held_out, gate_pairs, vectors, seed, progress, report_to,
            trust_remote_code: as `AlignedReward` has them.
    """

    number: int
    current: Artifact | str | Path
    load: Callable[[], RewardModel]
    samples: PolicySamples
    pool: pa.Table | Artifact
    config: RefreshConfig
    training: RewardModelConfig
    backbone: Artifact | str | Path | None
    reference_samples: PolicySamples | None
    offline: pa.Table
    held_out: pa.Table | None
    gate_pairs: pa.Table | None
    vectors: VectorCache
    seed: int
    progress: Progress
    alarms: Alarms | None
    report_to: ReportTo
    trust_remote_code: bool
