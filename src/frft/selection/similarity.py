"""Cosine similarity of preference pairs and policy samples.

Every cosine is computed pair by pair in float64 from the float32 vectors, so it depends on the two vectors
alone: not on the order of the rows, the size of a block, or the machine's matrix product. A vector's cosine
with itself is exactly 1, and equal texts give equal cosines, so ties are exact. (A float32 matrix product only
finds the candidates for the nearest sample.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from frft.errors import SelectionError
from frft.progress import SILENT, Progress
from frft.statistics.numbers import Floats, Indices

Vectors = npt.NDArray[np.float32]
"""Embeddings, float32 (N, D)."""

COSINES_AT_ONCE = 8192
"""Cosines computed at once; bounds the memory of their float64 products."""
SAMPLES_AT_ONCE = 4096
"""Samples in one matrix product with a block of completions."""


def match_prompt(
    pair_prompts: Sequence[str],
    chosen_ND: Vectors,
    rejected_ND: Vectors,
    sample_prompts: Sequence[str],
    samples_SD: Vectors,
) -> tuple[Floats, Floats]:
    """Cosines of each pair's completions with the policy's sample for the same prompt (the paper's way).

    Where a prompt has several samples, a completion's cosine is the largest of its cosines with them. The paper draws
    one sample per prompt and leaves this case open.

    Args:
        pair_prompts: prompts of N pairs.
        chosen_ND: embeddings of their chosen completions.
        rejected_ND: embeddings of their rejected completions.
        sample_prompts: prompts of S samples, compared exactly.
        samples_SD: embeddings of the samples.

    Returns:
        Cosines of chosen and of rejected, shape (N,) each; NaN where the prompt has no sample.
    """
    samples_of: defaultdict[str, list[int]] = defaultdict(list)
    for sample, prompt in enumerate(sample_prompts):
        samples_of[prompt].append(sample)
    matches = [(pair, s) for pair, prompt in enumerate(pair_prompts) for s in samples_of.get(prompt, ())]
    pairs_M, samples_M = np.array(matches, dtype=np.intp).reshape(-1, 2).T

    def best(completions_ND: Vectors) -> Floats:
        similarity_N = np.full(len(pair_prompts), np.nan)
        # fmax takes the number where the other value is NaN, which stands for "no sample yet".
        np.fmax.at(similarity_N, pairs_M, _cosines(completions_ND, pairs_M, samples_SD, samples_M))
        return similarity_N

    return best(chosen_ND), best(rejected_ND)


def match_nearest(
    chosen_ND: Vectors,
    rejected_ND: Vectors,
    samples_SD: Vectors,
    *,
    block: int = 2048,
    progress: Progress = SILENT,
) -> tuple[Floats, Floats]:
    """Cosine of each completion with its nearest sample, whatever the prompts. Exact, not approximate.

    Args:
        chosen_ND: embeddings of N chosen completions.
        rejected_ND: embeddings of N rejected completions.
        samples_SD: embeddings of S samples, at least one.
        block: completions compared at once; bounds the memory (about 32 MB at 2,048), not the result.
        progress: receives the number of completions done.

    Returns:
        Cosines of chosen and of rejected completions, float64 (N,) each.

    Raises:
        SelectionError: there are no samples, or an embedding is zero or not finite.
    """
    if not len(samples_SD):
        raise SelectionError("There are no policy samples to compare the pairs with. Give at least one.")
    # Policies repeat themselves ("I'm sorry, ..."): equal samples are compared once.
    distinct_SD = np.unique(np.ascontiguousarray(samples_SD), axis=0)
    units_SD = _unit(distinct_SD)
    with progress.task("Comparing with samples", total=len(chosen_ND) + len(rejected_ND)) as task:

        def nearest(completions_ND: Vectors) -> Floats:
            similarity_N = np.empty(len(completions_ND))
            for start in range(0, len(completions_ND), block):
                rows = slice(start, start + block)
                similarity_N[rows] = _nearest_of_block(completions_ND[rows], distinct_SD, units_SD)
                task.advance(len(completions_ND[rows]))
            return similarity_N

        return nearest(chosen_ND), nearest(rejected_ND)


def _nearest_of_block(completions_BD: Vectors, samples_SD: Vectors, units_SD: Vectors) -> Floats:
    """Cosine of each of B completions with its nearest sample; `units_SD` are the samples scaled to length 1."""
    units_BD = _unit(completions_BD)
    # Each float32 dot product of unit vectors of D numbers is off by at most (D + 4) 2^-24, in any order of
    # summation; whatever comes within twice that of the largest so far may be the nearest.
    slack = np.float32(2 * (samples_SD.shape[1] + 4) * 2.0**-24)
    largest_B = np.full(len(units_BD), -2.0, dtype=np.float32)
    best_B = np.full(len(units_BD), -1.0)
    for start in range(0, len(units_SD), SAMPLES_AT_ONCE):
        rough_BS = units_BD @ units_SD[start : start + SAMPLES_AT_ONCE].T
        largest_here_B = rough_BS.max(axis=1)
        rows_L = np.flatnonzero(largest_here_B >= largest_B - slack)
        np.maximum(largest_B, largest_here_B, out=largest_B)
        at_L, samples_M = np.nonzero(rough_BS[rows_L] >= (largest_B[rows_L] - slack)[:, None])
        pairs_M = rows_L[at_L]
        np.maximum.at(best_B, pairs_M, _cosines(completions_BD, pairs_M, samples_SD, samples_M + start))
    return best_B


def _cosines(left_ND: Vectors, left_M: Indices, right_SD: Vectors, right_M: Indices) -> Floats:
    """Cosine of `left_ND[left_M[i]]` and `right_SD[right_M[i]]` for every i, in float64, shape (M,)."""
    cosines_M = np.empty(len(left_M))
    for start in range(0, len(left_M), COSINES_AT_ONCE):
        rows = slice(start, start + COSINES_AT_ONCE)
        left, right = left_ND[left_M[rows]], right_SD[right_M[rows]]
        # One root of the product, not the product of two roots: x / sqrt(x * x) is exactly 1.
        lengths_M = np.sqrt(_squared_lengths(left) * _squared_lengths(right))
        cosines_M[rows] = _dots(left, right) / lengths_M
    return np.clip(cosines_M, -1.0, 1.0)


def _dots(left_MD: Vectors, right_MD: Vectors) -> Floats:
    products_MD = left_MD.astype(np.float64) * right_MD
    dots_M: Floats = products_MD.sum(axis=1)
    return dots_M


def _squared_lengths(vectors_MD: Vectors) -> Floats:
    squares_M = _dots(vectors_MD, vectors_MD)
    if not np.all(np.isfinite(squares_M) & (squares_M > 0)):
        raise SelectionError(
            "An embedding is zero or not finite, so it has no direction to compare. Use another embedder."
        )
    return squares_M


def _unit(vectors_ND: Vectors) -> Vectors:
    unit_ND = np.empty(vectors_ND.shape, dtype=np.float32)
    for start in range(0, len(vectors_ND), COSINES_AT_ONCE):
        rows = slice(start, start + COSINES_AT_ONCE)
        unit_ND[rows] = vectors_ND[rows] / np.sqrt(_squared_lengths(vectors_ND[rows]))[:, None]
    return unit_ND
