"""The strategies that come with the package: their rank functions, and the table `BUILT_IN`.

A rank function returns the rows that qualify, best first; keeping `size` rows means taking the first `size` of them.
Rows stand in ascending order of their ids, and of two rows that tie, the one with the smaller id comes first. A row
without cosines (NaN: no sample of its prompt) never qualifies where the strategy reads them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from frft.errors import SelectionError
from frft.strategies.strategy import Candidates, Strategy, ThresholdRule, best_first

if TYPE_CHECKING:
    from frft.statistics.numbers import Floats, Indices

SOURCES = ("chosen_source", "rejected_source")
"""The columns that say who wrote the two completions of a pair."""
VALUES_NAMED = 5
"""Number of sources, or of values of a column, that an error message lists, the most frequent first."""
_BELOW = "below the threshold"


def smaller(chosen_N: Floats, rejected_N: Floats) -> Floats:
    """The smaller of two cosines, for N pairs."""
    import numpy as np

    return np.minimum(chosen_N, rejected_N)


def larger(chosen_N: Floats, rejected_N: Floats) -> Floats:
    """The larger of two cosines, for N pairs."""
    import numpy as np

    return np.maximum(chosen_N, rejected_N)


BOTH = ThresholdRule(value=smaller, named="the smaller of its two cosines", relation="exceeds")
ANY = ThresholdRule(value=larger, named="the larger of its two cosines", relation="reaches")


def part1(pool: Candidates) -> Indices:
    """Both cosines above the threshold; best by their sum (the paper's "overall", RM1)."""
    return best_first(pool.similarity_chosen + pool.similarity_rejected, BOTH.passes(pool))


def part2(pool: Candidates) -> Indices:
    """Half by the chosen, half by the rejected cosine (RM2): the best by chosen and the best by rejected in turn.

    The first `size` rows of c1, r1, c2, r2, ... are the top half of each list (chosen has the odd one). With
    duplicates `twice` a row that is in both halves stands there twice, and so trains twice, as in the
    authors' code; with `once` it stands where it first occurs, and the walk goes further down both lists for
    those that it misses.
    """
    import numpy as np

    walk = np.stack([part4(pool), part3(pool)], axis=1).ravel()
    if pool.duplicates == "twice":
        return walk
    _, first = np.unique(walk, return_index=True)
    return walk[np.sort(first)]


def part3(pool: Candidates) -> Indices:
    """Best by the cosine of the rejected completion (RM3)."""
    return best_first(pool.similarity_rejected, pool.compared)


def part4(pool: Candidates) -> Indices:
    """Best by the cosine of the chosen completion (RM4)."""
    return best_first(pool.similarity_chosen, pool.compared)


def either(pool: Candidates) -> Indices:
    """Any cosine at or above the threshold (the authors' earlier filter); best by the larger (a reading)."""
    return best_first(ANY.value(pool.similarity_chosen, pool.similarity_rejected), ANY.passes(pool))


def by_log_ratio(pool: Candidates) -> Indices:
    """Best by the log ratio: of densities of the policy's samples and the pool (density), or of pi_t and pi_SFT."""
    import numpy as np

    return best_first(pool.log_ratios, ~np.isnan(pool.log_ratios))


def of_one_source(pool: Candidates) -> Indices:
    """Pairs of one source, in random order: a perfect filter, which knows what similarity can only estimate.

    Raises:
        SelectionError: no pair has both completions from it.
    """
    missing = f"No pair has both completions from {pool.source!r}. The pool has both from"
    return _of_value(pool, SOURCES, pool.source, missing, "source")


def of_one_value(pool: Candidates) -> Indices:
    """Pairs with one value in one column of the pool, in random order: those of a domain, of an annotator, ...

    Raises:
        SelectionError: no pair has that value.
    """
    assert pool.column is not None
    missing = f"The column {pool.column!r} says {pool.value!r} of no pair. It says"
    return _of_value(pool, (pool.column,), pool.value, missing, "value")


def _of_value(pool: Candidates, columns: Sequence[str], wanted: str | None, missing: str, setting: str) -> Indices:
    """Pairs that have the wanted value, as text, in each of these columns, in random order.

    Args:
        missing: the beginning of the error where there are none, which goes on with the values that there are.
        setting: the key of `selection` that wants the value.
    """
    import numpy as np

    rows = zip(*(pool.columns[name] for name in columns), strict=True)
    common = [None if len(set(values)) > 1 or values[0] is None else str(values[0]) for values in rows]
    found = np.flatnonzero([value == wanted for value in common])
    if not found.size:
        there_are = Counter(value for value in common if value is not None).most_common(VALUES_NAMED)
        named = ", ".join(f"{value!r} ({count} pairs)" for value, count in there_are) or f"no {setting} at all"
        other = f"Choose a strategy that needs no {setting}s."
        advice = f"Set selection.{setting} to one of these." if there_are else other
        raise SelectionError(f"{missing} {named}. {advice}")
    return pool.rng.permutation(found)


def at_random(pool: Candidates) -> Indices:
    """Every row, also those without a sample, in random order: the control of equal size."""
    return pool.rng.permutation(len(pool))


def everything(pool: Candidates) -> Indices:
    """Every row: the refresh without a filter."""
    import numpy as np

    return np.arange(len(pool))


BUILT_IN = (
    Strategy(
        name="part1",
        description="both cosines above the threshold, best by their sum (the paper's RM1)",
        rank=part1,
        reads="cosines",
        threshold=BOTH,
        unqualified=_BELOW,
    ),
    Strategy(
        name="part2",
        description="best by the chosen and best by the rejected completion's cosine in turn (RM2)",
        rank=part2,
        reads="cosines",
    ),
    Strategy(
        name="part3",
        description="best by the rejected completion's cosine (RM3)",
        rank=part3,
        reads="cosines",
    ),
    Strategy(
        name="part4",
        description="best by the chosen completion's cosine (RM4)",
        rank=part4,
        reads="cosines",
    ),
    Strategy(
        name="either",
        description="any cosine at or above the threshold, best by the larger (the authors' earlier filter)",
        rank=either,
        reads="cosines",
        threshold=ANY,
        unqualified=_BELOW,
    ),
    Strategy(
        name="density",
        description="best by how much likelier a classifier finds both completions among all samples than in the pool",
        rank=by_log_ratio,
        reads="density ratio",
    ),
    Strategy(
        name="density_prompt",
        description="best by how much likelier the prompt is where the policy was sampled than in the pool",
        rank=by_log_ratio,
        reads="prompt density ratio",
    ),
    Strategy(
        name="density_joint",
        description="best by how much likelier prompt and completions together are of the policy than of the pool",
        rank=by_log_ratio,
        reads="joint density ratio",
    ),
    Strategy(
        name="policy_ratio",
        description="best by log pi_t - log pi_SFT of both completions (OCRM)",
        rank=by_log_ratio,
        reads="policy ratio",
    ),
    Strategy(
        name="source",
        description="pairs whose completions both come from `source`, in random order",
        rank=of_one_source,
        columns=SOURCES,
        unqualified="from another source",
        needs_source=True,
    ),
    Strategy(
        name="near_source",
        description="pairs of the source that the policy's texts before its training are taken for, in random order",
        rank=of_one_source,
        reads="nearest source",
        columns=SOURCES,
        unqualified="from another source",
    ),
    Strategy(
        name="column",
        description="pairs with `value` in the column `column` of the pool, in random order",
        rank=of_one_value,
        unqualified="another value",
        needs_column=True,
    ),
    Strategy(
        name="random",
        description="any pairs, in random order: the control of the same size",
        rank=at_random,
    ),
    Strategy(
        name="all",
        description="every pair, whatever the size: a refresh without a filter",
        rank=everything,
        takes_all=True,
    ),
    Strategy(
        name="none",
        description="no pairs: the reward model stays as it is",
        rank=None,
    ),
)
"""The strategies that come with frft, in the order of help and documentation."""
