"""Sampling of pairs in proportion to importance weights exp(tau * log ratio) (OCRM, arXiv 2507.15507).

Training on the sampled pairs estimates the weighted loss without bias, with as many pairs as any other strategy. The
price is variance: N weighted pairs are worth (sum w)^2 / sum w^2 unweighted ones, the effective sample size (Kish
1965). tau < 1 tempers the weights where that would be too small.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from frft.errors import ArtifactError, SelectionError
from frft.statistics.numbers import Floats, Indices


@dataclass(frozen=True)
class LogRatios:
    """log pi_t(y|x) - log pi_SFT(y|x) of a pool's completions, summed over their tokens, in nats.

    Attributes:
        chosen_N: log ratios of the N chosen completions, in the pool's order, float64 (N,).
        rejected_N: log ratios of the N rejected completions, float64 (N,).

    Raises:
        SelectionError: the two differ in shape, or a ratio is not finite.
    """

    chosen_N: Floats
    rejected_N: Floats

    def __post_init__(self) -> None:
        if self.chosen_N.ndim != 1 or self.chosen_N.shape != self.rejected_N.shape:
            raise SelectionError(
                "Log ratios must be two rows of one length, one number for each pair of the pool; got shapes "
                f"{self.chosen_N.shape} and {self.rejected_N.shape}."
            )
        wrong = np.flatnonzero(~np.isfinite(self.chosen_N + self.rejected_N))
        if wrong.size:
            raise SelectionError(
                f"The log ratios of {wrong.size} of {len(self.chosen_N)} pairs are not finite, first row {wrong[0]}: "
                f"{self.chosen_N[wrong[0]]} and {self.rejected_N[wrong[0]]}. Look at the log-probabilities behind them."
            )

    @classmethod
    def read(cls, path: Path) -> LogRatios:
        """Read a .npy file written by `write`.

        Raises:
            ArtifactError: the file is another one, or damaged.
        """
        try:
            chosen_N, rejected_N = np.load(path, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ArtifactError(
                f"{path} holds no log ratios: {error}. Delete its folder and run again to make it anew."
            ) from error
        return cls(chosen_N, rejected_N)

    def write(self, path: Path) -> None:
        """Write a .npy file, float64 of shape (2, N): chosen, rejected."""
        np.save(path, np.stack([self.chosen_N, self.rejected_N]), allow_pickle=False)

    @property
    def identity(self) -> str:
        """SHA-256 of the values, for the inputs of a stage."""
        return hashlib.sha256(np.stack([self.chosen_N, self.rejected_N]).astype("<f8").tobytes()).hexdigest()


def effective_sample_size(log_weights_N: Floats) -> float:
    """Kish's effective sample size (sum w)^2 / sum w^2 of N weights, given their logarithms; between 1 and N."""
    # A common factor cancels, so the largest weight is set to 1: exp cannot overflow.
    weights_N = np.exp(log_weights_N - log_weights_N.max())
    return float(weights_N.sum() ** 2 / (weights_N**2).sum())


def temper(log_ratios_N: Floats, size: int) -> float:
    """The largest tau <= 1 at which weights exp(tau * log ratio) have an effective sample size of at least `size`.

    The effective sample size is N at tau = 0 and falls as tau rises, so that bisection finds it.

    Args:
        log_ratios_N: log ratios of N >= `size` pairs, in nats.
        size: smallest effective sample size, in pairs.

    Raises:
        SelectionError: there are fewer than `size` log ratios.
    """
    if len(log_ratios_N) < size:
        raise SelectionError(
            f"An effective sample size of {size} cannot be drawn from {len(log_ratios_N)} pairs. Lower selection.size."
        )
    enough, too_much = 0.0, 1.0
    if effective_sample_size(log_ratios_N) >= size:
        return 1.0
    # Until no float lies between the two bounds.
    while (tau := (enough + too_much) / 2) not in (enough, too_much):
        if effective_sample_size(tau * log_ratios_N) >= size:
            enough = tau
        else:
            too_much = tau
    return enough


def draw_rows(log_weights_N: Floats, number: int, rng: np.random.Generator) -> Indices:
    """Sample `number` of N rows with replacement, in proportion to their weights; the heaviest first.

    Systematic sampling, at equal distances from one random start: a row with a share p of the total weight is drawn
    floor or ceil of `number` * p times. This is as unbiased as independent draws, with less variance.

    Args:
        log_weights_N: logarithms of the weights, up to a common constant.
        number: number of draws.
        rng: source of the random start.

    Returns:
        Indices of rows, (number,).
    """
    weights_N = np.exp(log_weights_N - log_weights_N.max())
    ends_N = np.cumsum(weights_N) / weights_N.sum()
    places = (rng.random() + np.arange(number)) / number
    # Rounding may leave the last cumulative weight just below 1, and a place above it.
    rows = np.minimum(np.searchsorted(ends_N, places, side="right"), len(weights_N) - 1)
    return rows[np.argsort(-log_weights_N[rows], kind="stable")]
