"""The refresh itself, rehearsed within the pool on a small reward model: is a selection better than as many at random?

In each fold of the prompts, one Bradley-Terry model is fitted to the quarter of the other folds' pairs with the highest
density ratios, and others to quarters drawn at random; all are tested on the near pairs of the fold, which no fit has
seen. Near pairs stand for what the policy writes, and their published labels for its own, which nobody has.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from frft.advice.locality import LOCALITY_FOLDS, prompt_folds, scaled
from frft.progress import SILENT, Progress
from frft.statistics.numbers import Floats
from frft.statistics.ridge import fit_preferences

REHEARSED_SHARE = 0.25
"""Share of the pairs that is kept, as in `frft bench fixed-actor`'s main comparison."""
RANDOM_DRAWS = 3
"""Random quarters that the selected one is compared with; their mean is."""


def rehearsed_gains(
    steps_NF: Floats,
    log_ratio_N: Floats,
    near_N: npt.NDArray[np.bool_],
    prompts: Sequence[str],
    seed: int,
    progress: Progress = SILENT,
) -> Floats:
    """How much more often each near pair is ordered as labelled by a fit to selected pairs than by one to random pairs.

    Args:
        steps_NF: F features of the chosen completions of N pairs, less those of the rejected ones.
        log_ratio_N: log density ratio of each pair, policy to pool.
        near_N: true at the near pairs.
        prompts: the prompt of each pair; the pairs of one prompt are in one fold.
        seed: decides the folds and the random draws.

    Returns:
        From -1 to 1 at near pairs, and 0 at all others: float64 (N,).

    Raises:
        SelectionError: there are too few different prompts to hold some out.
    """
    fold_N, x_NF = prompt_folds(prompts, seed), scaled(steps_NF)
    gain_N = np.zeros(len(fold_N))
    with progress.task("Rehearsing a refresh", LOCALITY_FOLDS) as task:
        for fold in range(LOCALITY_FOLDS):
            rng = np.random.default_rng([seed, 7, fold])
            tested, rest = np.flatnonzero(near_N & (fold_N == fold)), np.flatnonzero(fold_N != fold)
            size = max(1, round(REHEARSED_SHARE * len(rest)))
            selected = rest[np.argsort(-log_ratio_N[rest], kind="stable")[:size]]
            right = []
            for rows in (selected, *(rng.permutation(rest)[:size] for _ in range(RANDOM_DRAWS))):
                weights_F = fit_preferences(x_NF[rows], [prompts[row] for row in rows], rng)
                right.append((np.sign(x_NF[tested] @ weights_F) + 1) / 2)
            gain_N[tested] = right[0] - np.mean(right[1:], axis=0)
            task.advance(1)
    return gain_N
