"""The stage of a refresh that asks the gate whether the refreshed reward model may replace the current one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frft.config.sections import GateConfig
from frft.reward.gate import examine
from frft.reward.identity import model_identity, pairs_identity
from frft.reward.refresh import Refresh
from frft.reward.stages.inputs import RefreshInputs
from frft.stages import Stage, Workload
from frft.store import digest_of, plain_inputs, source_of

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class GateStage(Stage):
    """Compares the two reward models and looks for alarms; its artifact holds the verdict and no files.

    Attributes:
        given: models, pairs and settings of the refresh.
        refresh: the refresh to accept or refuse.
        config: settings of the gate.
        pairs: unfiltered pairs that no training saw.
    """

    given: RefreshInputs
    refresh: Refresh
    config: GateConfig
    pairs: pa.Table

    kind = "gate"

    def inputs(self) -> Mapping[str, Any]:
        of, alarms = self.given, self.given.alarms
        return {
            "before": model_identity(of.current),
            "after": self.refresh.reward_model,
            "samples": of.samples.identity,
            "held_out": pairs_identity(self.pairs),
            "gate": self.config.model_dump(),
            "alarms": source_of(alarms) if alarms else None,
            "embedder": of.vectors.embedder.digest,
        }

    def build(self, folder: Path) -> Mapping[str, Any]:
        del folder
        of = self.given
        return examine(
            self.refresh,
            of.load(),
            of.samples,
            self.pairs,
            self.config,
            of.vectors,
            of.alarms,
            of.progress,
            of.trust_remote_code,
        ).as_dict()

    def flops(self, workload: Workload) -> float:
        held_out = self.pairs.num_rows
        # Two reward models score two texts of each pair that is looked at, and all pairs are embedded to find them.
        scoring = workload.flops(4 * min(self.config.pairs, held_out) * workload.read_tokens(self.given.training))
        return scoring + workload.embedding_flops(2 * held_out * workload.completion)

    def memory(self, workload: Workload) -> float:
        return max(2 * workload.classifier_bytes(self.given.training), workload.embedding_bytes())

    def embeds(self) -> str | None:
        return digest_of(plain_inputs(self.given.samples.identity))
