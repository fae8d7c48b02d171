"""Which of N candidate pairs to have labelled: scores of each pair alone, and choices of several pairs together.

In all of this file, `differences_ND` are the D features of the last layer for the first completion of each pair less
those for the second, and `margins_N` the reward model's score of the first less that of the second. Which completion is
first does not matter: exchanging the two changes no score and no choice. Every choice takes at most `per_prompt` pairs
of a prompt, gives indices in the order in which they were chosen, and takes the smaller index where pairs tie. Nothing
is drawn here: choices change with the reward model and the candidates. Random draws, their control, are in `draw.py`.

A choice that maximises a monotone submodular function greedily (`d_optimal_pairs`, `representative_pairs`) reaches at
least 1 - 1/e of the maximum, and one half of it where `per_prompt` binds (Nemhauser et al. 1978; Fisher et al. 1978).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from frft.errors import SelectionError
from frft.statistics.numbers import Floats, Indices

_DIGITS = 7
"""Decimals to which gains are compared, so that sums in another order do not break ties; those of float32."""
_BLOCK = 1024
"""Candidates whose first gains are computed at once."""


def most_pairs(prompts: Sequence[Hashable], per_prompt: int) -> int:
    """The largest number of pairs that can be chosen from N candidates with at most `per_prompt` of a prompt.

    Args:
        prompts: prompt of each candidate, N.
        per_prompt: largest number of pairs of a prompt, at least 1.

    Raises:
        SelectionError: per_prompt is below 1.
    """
    if per_prompt < 1:
        raise SelectionError(f"At most {per_prompt} pairs of a prompt can be no choice; give at least 1.")
    return sum(min(count, per_prompt) for count in Counter(prompts).values())


def highest_pairs(scores_N: Floats, prompts: Sequence[Hashable], size: int, per_prompt: int) -> Indices:
    """Pairs with the highest scores; O(N log N).

    Args:
        scores_N: score of each candidate.
        prompts: prompt of each candidate, N.
        size: number of pairs to choose.
        per_prompt: largest number of pairs of a prompt.

    Raises:
        SelectionError: a score is NaN, lengths differ, or fewer than `size` pairs can be chosen.
    """
    _check(scores_N, (len(prompts),), "scores")
    return _first_of_each(np.argsort(-scores_N, kind="stable").tolist(), prompts, size, per_prompt)


def head_disagreement(margins_KN: Floats) -> Floats:
    """Variance of each pair's margin over K >= 2 reward heads, (N,), in squared units of reward; O(K N).

    A head's scale counts: normalise the scores of each head before, unless they share one.

    Raises:
        SelectionError: there are fewer than two heads, or a margin is not finite.
    """
    if margins_KN.ndim != 2 or len(margins_KN) < 2:
        raise SelectionError(f"Disagreement takes margins of two heads or more, (K, N); got {margins_KN.shape}.")
    _check(margins_KN, margins_KN.shape, "margins")
    variance_N: Floats = margins_KN.var(axis=0, ddof=1)
    return variance_N


def laplace_precision(differences_MD: Floats, margins_M: Floats, prior_precision: float) -> Floats:
    """Precision matrix (D, D) of the last layer's weights given M labelled pairs, by Laplace's method; O(M D^2).

    With a prior N(0, I / lambda) and Bradley-Terry likelihoods at the fitted weights w,

        H = lambda I + sum_m p_m (1 - p_m) d_m d_m',     p_m = sigmoid(w . d_m)

    (MacKay 1992, Neural Computation 4:720; last layer: Daxberger et al. 2106.14806). Without labelled pairs (M = 0) it
    is the prior's. It does not depend on the labels given the margins.

    Args:
        differences_MD: features of the labelled pairs; (0, D) where there are none.
        margins_M: the fitted margins w . d_m.
        prior_precision: lambda, above 0; of a fit with weight decay, the factor of |w|^2 / 2 in the summed loss.

    Raises:
        SelectionError: lambda is not above 0, shapes disagree, or a value is not finite.
    """
    if not (np.isfinite(prior_precision) and prior_precision > 0):
        raise SelectionError(f"The prior precision must be above 0, got {prior_precision}.")
    _check_features(differences_MD, margins_M)
    weighted_MD = differences_MD * _information(margins_M)[:, None]
    precision_DD: Floats = prior_precision * np.eye(differences_MD.shape[1]) + differences_MD.T @ weighted_MD
    return precision_DD


def laplace_variance(precision_DD: Floats, differences_ND: Floats) -> Floats:
    """Posterior variance d' H^-1 d of each pair's margin, (N,), in squared units of reward; O(D^3 + N D^2).

    Args:
        precision_DD: H, from `laplace_precision`.
        differences_ND: features of the candidates.

    Raises:
        SelectionError: H is not positive definite, shapes disagree, or a value is not finite.
    """
    whitened_ND = _whitened(precision_DD, differences_ND)
    variance_N: Floats = np.einsum("nd,nd->n", whitened_ND, whitened_ND)
    return variance_N


def moderate_gap(margins_N: Floats, quantile: float) -> Floats:
    """Minus the distance of each |margin| from a quantile of all |margins|, (N,), in units of reward; O(N log N).

    Pairs with a small gap are decided by noise, pairs with a large one known before they are labelled.

    Args:
        margins_N: margins of the candidates, at least one.
        quantile: 0 for the smallest gap, 0.5 for the median, 1 for the largest.

    Raises:
        SelectionError: quantile is outside 0 to 1, there are no candidates, or a margin is not finite.
    """
    if not 0 <= quantile <= 1:
        raise SelectionError(f"The quantile of the reward gap must be from 0 to 1, got {quantile}.")
    if not len(margins_N):
        raise SelectionError("There are no candidate pairs to take the quantile of the reward gap of.")
    _check(margins_N, (len(margins_N),), "margins")
    gap_N = np.abs(margins_N)
    nearness_N: Floats = -np.abs(gap_N - np.quantile(gap_N, quantile))
    return nearness_N


def d_optimal_pairs(
    precision_DD: Floats,
    differences_ND: Floats,
    margins_N: Floats,
    prompts: Sequence[Hashable],
    size: int,
    per_prompt: int,
) -> Indices:
    """Pairs that together tell most about the last layer's weights, greedily; O(D^3 + N D^2 + size (N D + D^2)).

    Each next pair maximises the log-determinant of the Fisher information of Bradley-Terry preferences,

        log det(H + w d d') - log det H = log(1 + w d' H^-1 d),     w = p (1 - p),     p = sigmoid(margin)

    (Shen et al. 2502.04354: D-optimal design; past-aware where H holds the labelled pairs). H^-1 follows by Sherman and
    Morrison's formula. Pairs that resemble those already chosen gain little, unlike in `laplace_variance`.

    Args:
        precision_DD: H before the choice, from `laplace_precision`.
        differences_ND: features of the candidates.
        margins_N: their margins under the fitted weights.
        prompts: prompt of each candidate, N.
        size: number of pairs to choose.
        per_prompt: largest number of pairs of a prompt.

    Raises:
        SelectionError: H is not positive definite, shapes disagree, a value is not finite, or fewer than `size` pairs
            can be chosen.
    """
    _check_features(differences_ND, margins_N)
    _check_size(prompts, size, per_prompt, len(margins_N))
    # In coordinates where H is the identity, z = L^-1 d, the updates start from a well-conditioned matrix.
    z_ND, weight_N = _whitened(precision_DD, differences_ND), _information(margins_N)
    inverse_DD = np.eye(z_ND.shape[1])
    variance_N = np.einsum("nd,nd->n", z_ND, z_ND)
    open_N, left = np.ones(len(prompts), bool), _Places(prompts, per_prompt)
    chosen: list[int] = []
    while len(chosen) < size:
        # log(1 + gain) rises with the gain, so the gain itself is compared.
        best = _first_best(np.where(open_N, weight_N * variance_N, -np.inf))
        chosen.append(best)
        open_N[best] = False
        open_N[left.filled_by(best)] = False
        u_D = inverse_DD @ z_ND[best]
        shrink = weight_N[best] / (1 + weight_N[best] * variance_N[best])
        inverse_DD -= shrink * np.outer(u_D, u_D)
        variance_N = np.maximum(variance_N - shrink * (z_ND @ u_D) ** 2, 0)
    return np.array(chosen, np.intp)


def representative_pairs(
    vectors_ND: npt.NDArray[Any],
    samples_SD: npt.NDArray[Any],
    prompts: Sequence[Hashable],
    size: int,
    per_prompt: int,
) -> Indices:
    """Pairs that together lie near all of the policy's samples: greedy facility location over cosines.

    Each next pair maximises the sum over S samples of the cosine with the nearest chosen pair, as k-medoids does with
    distances (Wei et al. 2015, "Submodularity in data subset selection"). Gains only fall as pairs are chosen, so that
    most need not be computed again (Minoux 1978). O(N S D), then at most O(size N S) and mostly far less. The cosines
    take 4 N S bytes.

    Args:
        vectors_ND: an embedding of each candidate pair.
        samples_SD: embeddings of the policy's samples, at least one.
        prompts: prompt of each candidate, N.
        size: number of pairs to choose.
        per_prompt: largest number of pairs of a prompt.

    Raises:
        SelectionError: there are no samples, widths disagree, an embedding is zero or not finite, or fewer than `size`
            pairs can be chosen.
    """
    if (
        vectors_ND.ndim != 2
        or samples_SD.ndim != 2
        or vectors_ND.shape[1] != samples_SD.shape[1]
        or not len(samples_SD)
    ):
        raise SelectionError(
            "A representative choice needs embeddings (N, D) of pairs and (S, D) of at least one sample; got "
            f"{vectors_ND.shape} and {samples_SD.shape}."
        )
    _check_size(prompts, size, per_prompt, len(vectors_ND))
    cosines_NS = _directions(vectors_ND) @ _directions(samples_SD).T
    # No cosine is below -1, so with this start all gains are at least 0.
    nearest_S = np.full(len(samples_SD), -1, np.float32)

    def gains(rows: slice) -> list[float]:
        gain_B = np.maximum(cosines_NS[rows] - nearest_S, 0).mean(axis=1, dtype=np.float64)
        return [round(float(gain), _DIGITS) for gain in gain_B]

    # A heap of (-gain, pair): gains computed earlier are upper bounds, and of equal ones the smaller index comes first.
    starts = range(0, len(cosines_NS), _BLOCK)
    first_gains = [gain for start in starts for gain in gains(slice(start, start + _BLOCK))]
    heap = [(-gain, pair) for pair, gain in enumerate(first_gains)]
    heapq.heapify(heap)
    left, chosen = _Places(prompts, per_prompt), list[int]()
    while len(chosen) < size:
        _, pair = heapq.heappop(heap)
        if not left.free(pair):
            continue
        now = (-gains(slice(pair, pair + 1))[0], pair)
        if heap and heap[0] < now:
            heapq.heappush(heap, now)
            continue
        chosen.append(pair)
        left.filled_by(pair)
        np.maximum(nearest_S, cosines_NS[pair], out=nearest_S)
    return np.array(chosen, np.intp)


class _Places:
    """Counts the pairs chosen of each prompt."""

    def __init__(self, prompts: Sequence[Hashable], per_prompt: int) -> None:
        self._prompts, self._per_prompt, self._count = prompts, per_prompt, Counter[Hashable]()
        self._rows: dict[Hashable, list[int]] = {}
        for row, prompt in enumerate(prompts):
            self._rows.setdefault(prompt, []).append(row)

    def free(self, pair: int) -> bool:
        """Whether another pair of this pair's prompt may be chosen."""
        return self._count[self._prompts[pair]] < self._per_prompt

    def filled_by(self, pair: int) -> list[int]:
        """Count a chosen pair; the rows that cannot be chosen any more because its prompt is full."""
        prompt = self._prompts[pair]
        self._count[prompt] += 1
        return [] if self.free(pair) else self._rows[prompt]


def _first_of_each(order: Iterable[int], prompts: Sequence[Hashable], size: int, per_prompt: int) -> Indices:
    """The first `size` rows of an order whose prompts are not full."""
    _check_size(prompts, size, per_prompt, len(prompts))
    left, chosen = _Places(prompts, per_prompt), list[int]()
    for pair in order:
        if len(chosen) == size:
            break
        if left.free(pair):
            left.filled_by(pair)
            chosen.append(pair)
    return np.array(chosen, np.intp)


def _first_best(gain_N: Floats) -> int:
    """The first row whose gain is the largest, up to rounding."""
    largest = float(gain_N.max())
    return int(np.argmax(gain_N >= largest - 10.0**-_DIGITS * abs(largest)))


def _information(margins_N: Floats) -> Floats:
    """Fisher information p (1 - p) of a Bradley-Terry preference about its margin, without overflow."""
    information_N: Floats = np.exp(-np.logaddexp(0, margins_N) - np.logaddexp(0, -margins_N))
    return information_N


def _whitened(precision_DD: Floats, differences_ND: Floats) -> Floats:
    """L^-1 d for each pair, (N, D), where H = L L': its squared length is d' H^-1 d."""
    from scipy.linalg import solve_triangular

    width = len(precision_DD)
    _check(precision_DD, (width, width), "the precision matrix")
    _check(differences_ND, (len(differences_ND), width), "differences")
    try:
        lower_DD = np.linalg.cholesky(precision_DD)
    except np.linalg.LinAlgError as error:
        raise SelectionError(
            "The precision matrix of the last layer is not positive definite. Take it from laplace_precision, with a "
            "larger prior precision."
        ) from error
    whitened_DN: Floats = solve_triangular(lower_DD, differences_ND.T, lower=True)
    return np.ascontiguousarray(whitened_DN.T)


def _directions(vectors_ND: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    lengths_N = np.linalg.norm(vectors_ND.astype(np.float64), axis=1)
    if not np.all(np.isfinite(lengths_N) & (lengths_N > 0)):
        raise SelectionError("An embedding is zero or not finite, so it has no direction to compare.")
    units_ND: npt.NDArray[np.float32] = (vectors_ND / lengths_N[:, None]).astype(np.float32)
    return units_ND


def _check_features(differences_ND: Floats, margins_N: Floats) -> None:
    if differences_ND.ndim != 2:
        raise SelectionError(f"Differences of features must be (N, D), got {differences_ND.shape}.")
    _check(differences_ND, differences_ND.shape, "differences")
    _check(margins_N, (len(differences_ND),), "margins")


def _check(values: Floats, shape: tuple[int, ...], name: str) -> None:
    if values.shape != shape:
        raise SelectionError(f"The shape of {name} must be {shape} to go with the rest, got {values.shape}.")
    if not np.isfinite(values).all():
        raise SelectionError(f"{int((~np.isfinite(values)).sum())} of {name} are not finite numbers.")


def _check_size(prompts: Sequence[Hashable], size: int, per_prompt: int, count: int) -> None:
    if len(prompts) != count:
        raise SelectionError(f"There are {count} candidate pairs but {len(prompts)} prompts; give one for each pair.")
    most = most_pairs(prompts, per_prompt)
    if not 0 <= size <= most:
        raise SelectionError(
            f"{size} pairs were asked for, but {most} can be chosen: there are {count} candidates, and at most "
            f"{per_prompt} of a prompt are taken. Ask for fewer, or take more of a prompt."
        )
