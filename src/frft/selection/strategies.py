"""The strategies: from similarities, or log density ratios, to a ranking of the pool's rows, as pure functions.

A strategy returns the rows that qualify, best first; keeping `size` rows means taking the first `size` of
them. Rows stand in ascending order of their ids, and of two rows that tie, the one with the smaller id comes
first. A row without similarities (NaN: no sample of its prompt) never qualifies where the strategy looks at
them.

To add a strategy: write its function, enter it in `STRATEGIES`, and name it in `frft.config.sections.Strategy`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from frft.statistics.numbers import Floats, Indices


@dataclass(frozen=True)
class Candidates:
    """What a strategy chooses from.

    Attributes:
        similarity_chosen: cosines of N pairs' chosen completions with the policy's samples; NaN: no sample.
        similarity_rejected: the same of the rejected completions.
        threshold: cosine that part1 must exceed and `either` must reach.
        duplicates: whether part2 takes a row that is top by both once or twice.
        rng: the source of chance.
        log_ratios: log of how much likelier each pair is under the policy; NaN where the strategy looks at none.
        from_source: whether both completions come from the source asked for.
    """

    similarity_chosen: Floats
    similarity_rejected: Floats
    threshold: float
    duplicates: Literal["once", "twice"]
    rng: np.random.Generator
    log_ratios: Floats = field(default_factory=lambda: np.empty(0))
    from_source: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, dtype=bool))


Ranking = Callable[[Candidates], Indices]


def part1(pool: Candidates) -> Indices:
    """Both cosines above the threshold; best by their sum (the paper's "overall", RM1)."""
    passes_N = GATES["part1"](pool.similarity_chosen, pool.similarity_rejected) > pool.threshold
    return _best_first(pool.similarity_chosen + pool.similarity_rejected, passes_N)


def part2(pool: Candidates) -> Indices:
    """Half by the chosen, half by the rejected (RM2): the best by chosen and the best by rejected in turn.

    The first `size` rows of c1, r1, c2, r2, ... are the top half of each list (chosen has the odd one). With
    duplicates `twice` a row that is in both halves stands there twice, and so trains twice, as in the
    authors' code; with `once` it stands where it first occurs, and the walk goes further down both lists for
    those that it misses.
    """
    walk = np.stack([part4(pool), part3(pool)], axis=1).ravel()
    if pool.duplicates == "twice":
        return walk
    _, first = np.unique(walk, return_index=True)
    return walk[np.sort(first)]


def part3(pool: Candidates) -> Indices:
    """Best by the cosine of the rejected completion (RM3)."""
    return _best_first(pool.similarity_rejected, _known(pool))


def part4(pool: Candidates) -> Indices:
    """Best by the cosine of the chosen completion (RM4)."""
    return _best_first(pool.similarity_chosen, _known(pool))


def either(pool: Candidates) -> Indices:
    """Any cosine at or above the threshold (the authors' earlier filter); best by the larger (a reading)."""
    larger_N = GATES["either"](pool.similarity_chosen, pool.similarity_rejected)
    return _best_first(larger_N, larger_N >= pool.threshold)


def by_log_ratio(pool: Candidates) -> Indices:
    """Best by the log density ratio: of the policy to the pool (density), or to the SFT model (policy_ratio)."""
    return _best_first(pool.log_ratios, ~np.isnan(pool.log_ratios))


def source(pool: Candidates) -> Indices:
    """Pairs of one source, in random order: the filter that knows what the similarity has to guess."""
    return pool.rng.permutation(np.flatnonzero(pool.from_source))


def random(pool: Candidates) -> Indices:
    """Every row, also those without a sample, in random order: the control of equal size."""
    return pool.rng.permutation(len(pool.similarity_chosen))


def everything(pool: Candidates) -> Indices:
    """Every row: the refresh without a filter."""
    return np.arange(len(pool.similarity_chosen))


STRATEGIES: dict[str, Ranking] = {
    "part1": part1,
    "part2": part2,
    "part3": part3,
    "part4": part4,
    "either": either,
    "density": by_log_ratio,
    "policy_ratio": by_log_ratio,
    "source": source,
    "random": random,
    "all": everything,
}

GATES: dict[str, Callable[[Floats, Floats], Floats]] = {"part1": np.minimum, "either": np.maximum}
"""For the strategies with a threshold: the value, of both cosines, that is held against it."""


def _best_first(score_N: Floats, qualifies_N: npt.NDArray[np.bool_]) -> Indices:
    rows = np.flatnonzero(qualifies_N)
    return rows[np.argsort(-score_N[rows], kind="stable")]


def _known(pool: Candidates) -> npt.NDArray[np.bool_]:
    return ~(np.isnan(pool.similarity_chosen) | np.isnan(pool.similarity_rejected))
