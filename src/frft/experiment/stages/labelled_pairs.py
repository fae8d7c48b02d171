"""In a world: pairs of a policy's own completions, labelled by the gold reward (`labels: gold`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from frft.config.sections import RefreshConfig
from frft.experiment.stages.completions import completions_of
from frft.experiment.stages.context import RunContext
from frft.experiment.texts import read_completions
from frft.results import LabelledInfo
from frft.reward.refresh import PAIRS_FILE
from frft.stages import Stage, Workload
from frft.store import Artifact
from frft.worlds import World


@dataclass(frozen=True)
class LabelledPairsStage(Stage):
    """pairs.parquet: one labelled preference pair for each prompt.

    Attributes:
        context: the run.
        prompts: the prompts.
        first, second: two independent completions by the policy of each prompt.
    """

    context: RunContext
    prompts: list[str]
    first: Artifact
    second: Artifact

    kind = "labelled"

    @property
    def _seed(self) -> int:
        return self.context.seed("labelled-pairs")

    def inputs(self) -> Mapping[str, Any]:
        world = self.context.config.data.model_dump()["world"]
        return {"first": self.first, "second": self.second, "world": world, "seed": self._seed}

    def build(self, folder: Path) -> Mapping[str, Any]:
        world = self.context.world
        assert isinstance(world, World)
        one, two = (read_completions(written).completions for written in (self.first, self.second))
        pairs = world.labelled_pairs(self.prompts, one, two, seed=self._seed)
        pq.write_table(pairs, folder / PAIRS_FILE)
        return LabelledInfo(pairs.num_rows).as_dict()

    def flops(self, workload: Workload) -> float:
        del workload
        return 0.0  # the gold reward is no network

    def memory(self, workload: Workload) -> float:
        del workload
        return 0.0  # beside the process, a table of texts


def labelled_pairs_of(context: RunContext, policy: Artifact, arm: RefreshConfig) -> Artifact:
    """Labelled pairs of completions by `policy`, as many as a refresh of this arm selects (with its test pairs)."""
    prompts = context.draw(context.splits.prompts, arm.selection.places, "labelled-pairs")
    sampling = arm.sampling or context.config.ppo.sampling
    first, second = (completions_of(context, policy, prompts, sampling, which) for which in ("first", "second"))
    return context.make(LabelledPairsStage(context, prompts, first, second))
