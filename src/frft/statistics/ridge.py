"""Bradley-Terry regression with a ridge penalty, whose strength is chosen by the loss of held-out conversations.

    minimise over w:   sum_n log(1 + exp(-w . d_n)) + |w - w_0|^2 / 2C

d_n are the features of the chosen completion of pair n, less those of the rejected one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from frft.conversation import opening
from frft.statistics.numbers import Floats

RIDGES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""Candidates for C, larger for a weaker penalty, for features with a mean square of about 1."""
RIDGE_FOLDS = 5


def fit_preferences(
    differences_NF: Floats, prompts: Sequence[str], rng: np.random.Generator, before_F: Floats | None = None
) -> Floats:
    """The weights (F,), with C chosen by the log loss of conversations held out within these pairs.

    Args:
        differences_NF: F features of the chosen completions of N pairs, less those of the rejected ones.
        prompts: the prompt of each pair.
        rng: draws the folds by which C is chosen.
        before_F: weights w_0 to continue from; no change of them is then among the candidates. None: from 0.
    """
    start_F = np.zeros(differences_NF.shape[1]) if before_F is None else before_F
    given_N = differences_NF @ start_F
    x_NK, basis_FK = _coordinates(differences_NF)
    fold_N = _conversation_folds(prompts, rng)
    ridge = _chosen_ridge(x_NK, given_N, fold_N, stay=before_F is not None)
    if not ridge:
        return start_F
    change_K = fit_ridge(x_NK, given_N, ridge, np.zeros(x_NK.shape[1]))
    weights_F: Floats = start_F + (change_K if basis_FK is None else basis_FK @ change_K)
    return weights_F


def fit_ridge(x_NK: Floats, given_N: Floats, ridge: float, start_K: Floats) -> Floats:
    """The weights (K,) that minimise sum_n log(1 + exp(-(given_n + w . x_n))) + |w|^2 / (2 ridge).

    Args:
        x_NK: N differences of K features.
        given_N: what the margin of each pair is without the weights.
        ridge: C, above 0; larger for a weaker penalty.
        start_K: where the search starts; the minimum is unique.
    """
    from scipy.optimize import minimize

    count = len(x_NK)

    def loss(w_K: Floats) -> tuple[float, Floats]:
        margins_N = given_N + x_NK @ w_K
        losses_N = np.logaddexp(0, -margins_N)
        # d/dm log(1 + exp(-m)) = -sigmoid(-m) = -exp(-log(1 + exp(m))), without overflow.
        slope_N = -np.exp(-np.logaddexp(0, margins_N))
        penalty = w_K @ w_K / (2 * ridge)
        return float(losses_N.sum() + penalty) / count, (slope_N @ x_NK + w_K / ridge) / count

    found = minimize(loss, start_K, jac=True, method="L-BFGS-B", options={"maxiter": 1000, "ftol": 1e-8})
    weights_K: Floats = found.x
    return weights_K


def _coordinates(differences_NF: Floats) -> tuple[Floats, Floats | None]:
    """Coordinates (N, K) of the N differences in an orthonormal basis (F, K) of their span, where that is smaller.

    Neither the loss nor the norm sees what is orthogonal to all differences, so the solution lies in the span; with
    fewer pairs than features the search is in fewer dimensions. The basis is None where it would not be smaller.
    """
    count, width = differences_NF.shape
    if count >= width:
        return differences_NF, None
    # D D' = U S^2 U', so U S are coordinates and D' U / S the basis.
    squares_N, left_NN = np.linalg.eigh(differences_NF @ differences_NF.T)
    spans = squares_N > 1e-10 * squares_N[-1]
    lengths_K, left_NK = np.sqrt(squares_N[spans]), left_NN[:, spans]
    return left_NK * lengths_K, differences_NF.T @ left_NK / lengths_K


def _chosen_ridge(x_NK: Floats, given_N: Floats, fold_N: npt.NDArray[np.int64], *, stay: bool) -> float:
    """The candidate with the smallest held-out log loss, the stronger of equal ones; 0, if `stay`, for no change."""
    losses = np.zeros(len(RIDGES) + 1)
    losses[0] = np.logaddexp(0, -given_N).sum()
    for fold in set(fold_N.tolist()):
        out_N = fold_N == fold
        weights_K = np.zeros(x_NK.shape[1])
        for number, ridge in enumerate(RIDGES, start=1):
            weights_K = fit_ridge(x_NK[~out_N], given_N[~out_N], ridge, weights_K)
            losses[number] += np.logaddexp(0, -(given_N[out_N] + x_NK[out_N] @ weights_K)).sum()
    candidates = (0.0, *RIDGES)
    first = 0 if stay else 1
    return candidates[first + int(losses[first:].argmin())]


def _conversation_folds(prompts: Sequence[str], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """The fold of each pair, 0 to RIDGE_FOLDS - 1, whole conversations in one; a single conversation is cut."""
    openings = [opening(prompt) for prompt in prompts]
    different = sorted(set(openings))
    if len(different) == 1:
        return rng.permutation(len(prompts)) % RIDGE_FOLDS
    place_of = {text: int(place) for text, place in zip(different, rng.permutation(len(different)), strict=True)}
    return np.array([place_of[text] % RIDGE_FOLDS for text in openings])
