"""Reward models that are linear in frozen features, by the Bradley-Terry loss with a ridge penalty.

    minimise over w:   sum_n log(1 + exp(-w . d_n)) + |w - w_0|^2 / 2C      d_n = features(chosen) - features(rejected)

w_0 is 0 from scratch, and the weights of the model that a training continues from otherwise. C is chosen by the log
loss of pairs held out within the pairs that are trained on, whole conversations at a time. To continue, C = 0 (stay as
it is) is among the candidates; the model continued from may have seen the pairs held out, which favours staying.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from frft.errors import ModelError
from frft.statistics.ridge import fit_preferences
from frft.store import atomic_folder, seal

if TYPE_CHECKING:
    import pyarrow as pa

    from frft.fixed_actor.texts import Features, PairTexts
    from frft.statistics.numbers import Floats

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
        differences_NF = self.differences(pairs)
        before_F = None if start is None else start.weights_F
        rng = np.random.default_rng([seed, 1])
        return LinearReward(fit_preferences(differences_NF, pairs["prompt"].to_pylist(), rng, before_F)), {}

    def margins(self, model: LinearReward, pairs: pa.Table) -> Floats:
        """As `RewardModelTrainer.margins`."""
        margins_N: Floats = self.differences(pairs) @ model.weights_F
        return margins_N

    def save(self, model: LinearReward, path: Path) -> None:
        """As `RewardModelTrainer.save`."""
        with atomic_folder(path) as folder:
            np.save(folder / _WEIGHTS, model.weights_F, allow_pickle=False)
            _ = seal(folder, {})

    def load(self, path: Path) -> LinearReward:
        """As `RewardModelTrainer.load`."""
        try:
            return LinearReward(np.load(path / _WEIGHTS, allow_pickle=False))
        except (OSError, ValueError) as error:
            raise ModelError(
                f"Cannot read the reward model {path}: {error}. Remove it, and it is trained again."
            ) from None

    def differences(self, pairs: pa.Table) -> Floats:
        """Features of the chosen completions of N pairs less those of the rejected ones, float64 (N, F)."""
        rows_N2 = self._texts.rows(pairs)
        parts = [rows_N2[start : start + _AT_ONCE] for start in range(0, len(rows_N2), _AT_ONCE)]
        return np.concatenate(
            [(self._features.of(rows[:, 0]) - self._features.of(rows[:, 1])).astype(np.float64) for rows in parts]
        )
