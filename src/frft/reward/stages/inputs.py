"""The inputs of one refresh of a reward model, which its stages share."""

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
        load: returns the current reward model, loaded; called only if an artifact has to be made.
        samples: completions of the policy as it is now.
        pool: the pairs to select from: the offline pairs D, others, or an artifact that holds them (pairs.parquet).
        fresh: artifacts of fresh labels to train on beside the selection, oldest first.
        alarms: function that looks for failures for which the gate refuses a model; None: the gate looks for none.
        offline: the offline pairs D, from which pairs are replayed.
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
    fresh: tuple[Artifact, ...] = ()
