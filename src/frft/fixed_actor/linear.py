"""Reward models that are linear in frozen features, by the Bradley-Terry loss with a ridge penalty.

    minimise over w:   sum_n log(1 + exp(-w . d_n)) + |w - w_0|^2 / 2C      d_n = features(chosen) - features(rejected)

w_0 is 0 from scratch, and the weights of the model that a training continues from otherwise. C is chosen by the log
loss of pairs held out within the pairs that are trained on, whole conversations at a time. To continue, C = 0 (stay as
it is) is among the candidates; the model continued from may have seen the pairs held out, which favours staying.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from frft.conversation import opening
from frft.errors import ModelError
from frft.store import atomic_folder

if TYPE_CHECKING:
    import pyarrow as pa

    from frft.fixed_actor.texts import Features, PairTexts
    from frft.statistics.numbers import Floats

RIDGES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""Candidates for C, larger for a weaker penalty, for features with a mean square of about 1."""
RIDGE_FOLDS = 5
_WEIGHTS = "weights.npy"
_AT_ONCE = 2048


@dataclass(frozen=True)
class LinearReward:
    """A reward model linear in F frozen features.

    Attributes:
        weights_F: the reward is their dot product with the features, float64 (F,).
    """

    weights_F: Floats


class LinearTrainer:
    """Fits linear reward models to convergence; it has no steps, and draws only the folds by which C is chosen."""

    def __init__(self, texts: PairTexts, features: Features) -> None:
        self._texts, self._features = texts, features

    def train(
        self,
        pairs: pa.Table,
        start: LinearReward | None,
        steps: int,  # noqa: ARG002 - other trainers have steps
        seed: int,
    ) -> tuple[LinearReward, dict[str, int]]:
        """As `RewardModelTrainer.train`; `steps` has no meaning here."""
        differences_NF = self._differences(pairs)
        before_F = np.zeros(differences_NF.shape[1]) if start is None else start.weights_F
        given_N = differences_NF @ before_F
        x_NK, basis_FK = _coordinates(differences_NF)
        fold_N = _conversation_folds(pairs["prompt"].to_pylist(), np.random.default_rng([seed, 1]))
        ridge = _chosen_ridge(x_NK, given_N, fold_N, stay=start is not None)
        if not ridge:
            return LinearReward(before_F), {}
        change_K = fit_ridge(x_NK, given_N, ridge, np.zeros(x_NK.shape[1]))
        return LinearReward(before_F + (change_K if basis_FK is None else basis_FK @ change_K)), {}

    def margins(self, model: LinearReward, pairs: pa.Table) -> Floats:
        """As `RewardModelTrainer.margins`."""
        margins_N: Floats = self._differences(pairs) @ model.weights_F
        return margins_N

    def save(self, model: LinearReward, path: Path) -> None:
        """As `RewardModelTrainer.save`."""
        with atomic_folder(path) as folder:
            np.save(folder / _WEIGHTS, model.weights_F, allow_pickle=False)

    def load(self, path: Path) -> LinearReward:
        """As `RewardModelTrainer.load`."""
        try:
            return LinearReward(np.load(path / _WEIGHTS, allow_pickle=False))
        except (OSError, ValueError) as error:
            raise ModelError(
                f"Cannot read the reward model {path}: {error}. Remove it, and it is trained again."
            ) from None

    def _differences(self, pairs: pa.Table) -> Floats:
        rows_N2 = self._texts.rows(pairs)
        parts = [rows_N2[start : start + _AT_ONCE] for start in range(0, len(rows_N2), _AT_ONCE)]
        return np.concatenate(
            [(self._features.of(rows[:, 0]) - self._features.of(rows[:, 1])).astype(np.float64) for rows in parts]
        )


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
