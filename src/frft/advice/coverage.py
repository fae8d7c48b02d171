"""How much of what a policy writes has its like in a pool (after "coverage" of Naeem et al. 2002.09797, with k = 1)."""

from __future__ import annotations

import numpy as np

from frft.selection.density import EmbeddedCompletions
from frft.selection.similarity import Vectors
from frft.statistics.numbers import Floats

_ROWS_AT_ONCE = 1024
"""Texts of the pool that are compared at a time, which bounds memory."""
ROUNDING = 1e-6
"""Largest difference of one cosine between two float32 matrix products: texts that are equal must be equally near."""


def coverage(samples: EmbeddedCompletions, pool: EmbeddedCompletions) -> tuple[float, float]:
    """The share of samples to which a completion of the pool is at least as near as any other sample is.

    Near is by cosine; the scale is the samples' own, one for each of them. A text written to the sample's own prompt is
    no neighbour, on either side: it would be near for its topic. Equal texts to one prompt count once.

    Returns:
        The share, and what it is expected to be if the policy itself had written the pool: the nearest of M + S texts
        is then one of the pool's M as often as chance says, M / (M + S).
    """
    mine, theirs = _distinct(samples), _distinct(pool)
    number_of: dict[str, int] = {}
    prompts_S, prompts_M = (
        np.array([number_of.setdefault(prompt, len(number_of)) for prompt in each.prompts]) for each in (mine, theirs)
    )
    to_samples_S = _nearest(mine.vectors_ND, prompts_S, mine.vectors_ND, prompts_S)
    to_pool_S = _nearest(mine.vectors_ND, prompts_S, theirs.vectors_ND, prompts_M)
    # For each sample: the other samples, and the texts of the pool, that are on another prompt than its own.
    others = len(prompts_S) - np.bincount(prompts_S, minlength=len(number_of))[prompts_S]
    of_pool = len(prompts_M) - np.bincount(prompts_M, minlength=len(number_of))[prompts_S]
    return float((to_pool_S >= to_samples_S - ROUNDING).mean()), float(
        (of_pool / np.maximum(of_pool + others, 1)).mean()
    )


def _distinct(completions: EmbeddedCompletions) -> EmbeddedCompletions:
    """Each prompt with each different completion once, sorted: their order must decide nothing."""
    written = list(zip(completions.texts, completions.prompts, strict=True))
    first_of = {each: row for row, each in reversed(list(enumerate(written)))}
    rows = [first_of[each] for each in sorted(first_of)]
    return EmbeddedCompletions(
        [completions.prompts[row] for row in rows],
        [completions.texts[row] for row in rows],
        completions.vectors_ND[rows],
    )


def _nearest(left_SD: Vectors, left_S: Floats, right_MD: Vectors, right_M: Floats) -> Floats:
    """The largest cosine of each of S unit vectors with those of M whose prompt is another; -2 where there is none."""
    # -2 is below every cosine.
    best_S = np.full(len(left_SD), -2.0)
    for start in range(0, len(right_MD), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        cosines_SB = left_SD @ right_MD[rows].T
        cosines_SB[left_S[:, None] == right_M[None, rows]] = -2.0
        best_S = np.maximum(best_S, cosines_SB.max(axis=1))
    return best_S
