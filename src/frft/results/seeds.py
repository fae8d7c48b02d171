"""results.json of a run with several seeds: the figures of every arm over the seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from frft.statistics import Estimate
from frft.store import StoredValue


@dataclass(frozen=True)
class OverSeeds(StoredValue):
    """A figure of one arm with every seed.

    Attributes:
        values: the figure as the run with each seed has it, in the order of the seeds; None: that run has none.
        over_seeds: their mean, and Student's 95 % interval over the seeds.
        less_vanilla: the same of the differences to vanilla with the same seed; None for vanilla itself, and for
            the win rate, which is against vanilla already.
    """

    values: list[float | None]
    over_seeds: Estimate
    less_vanilla: Estimate | None


@dataclass(frozen=True)
class SeedsResults(StoredValue):
    """What OUT/results.json holds after a run with several seeds.

    Attributes:
        format: of this file.
        kind: "seeds": not the results of a single run.
        frft: the version that wrote it.
        config: the configuration, with the seeds.
        seeds: the seeds.
        runs: by seed, the folder of its run, relative to OUT.
        judge: who judges: "gold", "reward_model" (trained by the run), or "named".
        arms: the figures of every arm by name. Their names and definitions are those of an arm's evaluation in the
            results of a run; `held_out` is the accuracy of its last reward model on unfiltered held-out pairs.
        seconds: the time that all stages of all runs took when they were built.
        seconds_of_this_start: how long this call took.
        peak_memory_bytes: the most that a process held.
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
