"""results.json of a run with several seeds: the figures of every arm over the seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from frft.statistics import Estimate
from frft.store import StoredValue


@dataclass(frozen=True)
class OverSeeds(StoredValue):
    """A figure of one arm over the seeds.

    Attributes:
        values: the figure in the run with each seed, in the order of the seeds; None: that run has none.
        over_seeds: mean of the values, with Student's 95 % interval over the seeds.
        less_vanilla: mean difference to vanilla with the same seed, with Student's 95 % interval; None for vanilla
            itself, and for the win rate, which is against vanilla already.
    """

    values: list[float | None]
    over_seeds: Estimate
    less_vanilla: Estimate | None


@dataclass(frozen=True)
class SeedsResults(StoredValue):
    """The content of OUT/results.json of a run with several seeds.

    Attributes:
        format: format number of the file.
        kind: "seeds", which tells the file from the results of a single run.
        frft: version of frft that wrote it.
        config: the configuration, with the seeds.
        seeds: the seeds.
        runs: by seed, the folder of its run, relative to OUT.
        judge: kind of the judge: "gold", "reward_model" (trained by the run), or "named" (evaluation.judge).
        arms: the figures of every arm by name. Their names and definitions are those of an arm's evaluation in the
            results of a run; `held_out` is the accuracy of its last reward model on unfiltered held-out pairs.
        seconds: seconds of all stages of all runs, whenever they ran.
        seconds_of_this_start: seconds of the start that finished the runs.
        peak_memory_bytes: largest peak memory of a single process.
    """

    format: int
    kind: str
    frft: str
    config: dict[str, Any]
    seeds: list[int]
    runs: dict[str, str]
    judge: str
    arms: dict[str, dict[str, OverSeeds]]
    seconds: float
    seconds_of_this_start: float
    peak_memory_bytes: int
