"""Whether what is learned from the pairs nearest to the policy holds for the farthest ones, and the other way round.

The quarter of the pairs with the highest density ratios is near here, that with the lowest far. In each fold of the
prompts one Bradley-Terry model is fitted to the near pairs of the other folds and one to their far pairs, and both are
tested on the fold's near and far pairs, which neither has seen. The *transfer gap* is the accuracy of each on pairs of
its own kind, less that on them of the model of the other kind: what is lost by exchanging the two (the difference of
in-domain and cross-domain accuracy, Ben-David et al. 2010). With one rule for all pairs it is about 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from frft.advice.locality import LOCALITY_FOLDS, prompt_folds, scaled
from frft.progress import SILENT, Progress
from frft.statistics.numbers import Floats
from frft.statistics.ridge import fit_preferences

TRANSFER_SHARE = 0.25
"""Share of the pairs that is near, and that is far: the size of the selections in `frft bench fixed-actor`."""


def transfer_gaps(
    steps_NF: Floats, log_ratio_N: Floats, prompts: Sequence[str], seed: int, progress: Progress = SILENT
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """How much more often each near or far pair is ordered as labelled by the model of its own kind than by the other.

    Args:
        steps_NF: F features of the chosen completions of N pairs, less those of the rejected ones.
        log_ratio_N: log density ratio of each pair, policy to pool.
        prompts: the prompt of each pair; the pairs of one prompt are in one fold.
        seed: decides the folds.

    Returns:
        -1 to 1 at near and far pairs, and 0 at all others, float64 (N,); and which pairs are near or far, bool (N,).

    Raises:
        SelectionError: there are too few different prompts to hold some out.
    """
    fold_N, x_NF = prompt_folds(prompts, seed), scaled(steps_NF)
    size = max(1, round(TRANSFER_SHARE * len(fold_N)))
    order = np.argsort(-log_ratio_N, kind="stable")
    kind_N = np.zeros(len(fold_N), dtype=np.int64)
    kind_N[order[:size]], kind_N[order[-size:]] = 1, -1
    gap_N = np.zeros(len(fold_N))
    with progress.task("Exchanging near and far pairs", LOCALITY_FOLDS) as task:
        for fold in range(LOCALITY_FOLDS):
            rng = np.random.default_rng([seed, 7, fold])
            tested = np.flatnonzero((fold_N == fold) & (kind_N != 0))
            right = {}
            for kind in (1, -1):
                rows = np.flatnonzero((fold_N != fold) & (kind_N == kind))
                weights_F = fit_preferences(x_NF[rows], [prompts[row] for row in rows.tolist()], rng)
                right[kind] = (np.sign(x_NF[tested] @ weights_F) + 1) / 2
            gap_N[tested] = kind_N[tested] * (right[1] - right[-1])
            task.advance(1)
    return gap_N, kind_N != 0
