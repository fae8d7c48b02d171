"""Ranking of several arms by a Bradley-Terry model of pairwise comparisons."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from frft.errors import DataError, UsageError
from frft.evaluation.winrate import Comparison
from frft.statistics.intervals import CONFIDENCE_LEVEL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RANKING_RESAMPLES = 1000
_TOLERANCE, _MOST_ROUNDS = 1e-9, 1000


@dataclass(frozen=True)
class Ranked:
    """Strength and rank of one arm.

    Attributes:
        arm: name of the arm.
        strength: log strength s; an arm beats another with odds exp(s - s'). The mean over arms is 0.
        interval: 95 % percentile bootstrap interval of the strength, resampling prompts.
        ranks: 95 % bootstrap interval of the rank (best, worst); 1 is the strongest.
        win_rate: the model's probability of beating another arm, averaged over the other arms.
    """

    arm: str
    strength: float
    interval: tuple[float, float]
    ranks: tuple[int, int]
    win_rate: float

    def as_dict(self) -> dict[str, Any]:
        """All fields as JSON-able values, for a results file."""
        return {**asdict(self), "interval": list(self.interval), "ranks": list(self.ranks)}


def rank(
    comparisons: Mapping[tuple[str, str], Comparison], *, resamples: int = RANKING_RESAMPLES, seed: int = 0
) -> list[Ranked]:
    """Rank arms by the Bradley-Terry model, the strongest first; a tie counts as half a win for each arm.

    Each prompt of a comparison is one game, whose result is the mean preference there. Intervals come from resampling
    prompts with all their games, since games on one prompt are not independent. As a prior, each arm gets half a win
    and half a loss against an arm of average strength (Newman, JMLR 24, 2023, gives one of each), so that an arm that
    never loses has a finite strength.

    Args:
        comparisons: comparisons by the names of their two arms; not every pair of arms must have one.
        resamples: number of bootstrap resamples, at least 2.
        seed: seed of the resampling.

    Raises:
        DataError: there are fewer than two arms, an arm is compared with itself, or the comparisons leave arms
            unconnected.
        UsageError: fewer than two resamples.
    """
    import numpy as np

    arms = list(dict.fromkeys(name for pair in comparisons for name in pair))
    if len(arms) < 2 or any(first == second for first, second in comparisons):
        raise DataError(f"A ranking needs comparisons of different arms, and two or more; got {', '.join(arms)}.")
    if resamples < 2:
        raise UsageError(f"An interval needs at least two resamples; got {resamples}.")
    wins_PKK = _games(arms, comparisons)
    _check_connected(arms, wins_PKK.sum(axis=0))
    P, K = len(wins_PKK), len(arms)
    strength_K = bradley_terry(wins_PKK.sum(axis=0)[None])[0]
    # A bootstrap draw of P prompts with replacement, as the number of times that each prompt is drawn.
    weights_RP = np.random.default_rng(seed).multinomial(P, np.full(P, 1 / P), size=resamples)
    resampled_RK = bradley_terry((weights_RP @ wins_PKK.reshape(P, K * K)).reshape(resamples, K, K))
    ends = [(1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2]
    low_K, high_K = np.quantile(resampled_RK, ends, axis=0)
    rank_RK = (-resampled_RK).argsort(axis=1).argsort(axis=1) + 1
    best_K, worst_K = np.quantile(rank_RK, ends, axis=0, method="nearest")
    chance_KK = 1 / (1 + np.exp(strength_K[None, :] - strength_K[:, None]))
    return [
        Ranked(
            arm=arms[k],
            strength=float(strength_K[k]),
            interval=(float(low_K[k]), float(high_K[k])),
            ranks=(int(best_K[k]), int(worst_K[k])),
            # Less the arm's chance against itself, 1/2.
            win_rate=float((chance_KK[k].sum() - 0.5) / (K - 1)),
        )
        for k in np.argsort(-strength_K, kind="stable")
    ]


def bradley_terry(wins_RKK: Floats) -> Floats:
    """Log strengths of K arms, with mean 0, for each of R tables of wins, float64 (R, K), by maximum a posteriori.

    The s that maximise, with w_ij the wins of i over j,

        sum_ij w_ij log sigma(s_i - s_j) + 1/2 sum_i (log sigma(s_i) + log sigma(-s_i))

    by Newton's method with the damped steps of Sun and Tran-Dinh (2019, generalized self-concordance), which converge
    from any start.

    Args:
        wins_RKK: [r, i, j] is how often i beat j, a tie counting one half for each; the diagonal is 0.
    """
    import numpy as np
    from scipy.special import expit

    R, K, _ = wins_RKK.shape
    games_RKK = wins_RKK + wins_RKK.transpose(0, 2, 1)
    s_RK = np.zeros((R, K))
    diagonal = np.arange(K)
    for _ in range(_MOST_ROUNDS):
        chance_RKK = expit(s_RK[:, :, None] - s_RK[:, None, :])
        average_RK = expit(s_RK)
        gradient_RK = (wins_RKK - games_RKK * chance_RKK).sum(axis=2) + 0.5 - average_RK
        curvature_RKK = -games_RKK * chance_RKK * (1 - chance_RKK)
        curvature_RKK[:, diagonal, diagonal] = average_RK * (1 - average_RK) - curvature_RKK.sum(axis=2)
        step_RK = np.linalg.solve(curvature_RKK, gradient_RK[:, :, None])[:, :, 0]
        # Damped step log(1 + c) / c, with c a bound on the step's change of any s_i - s_j or s_i: the curvature changes
        # by at most a factor exp(c) within the step.
        change_R1 = np.ptp(step_RK, axis=1, keepdims=True) + np.abs(step_RK).max(axis=1, keepdims=True)
        s_RK += step_RK * np.log1p(change_R1) / np.maximum(change_R1, _TOLERANCE)
        if change_R1.max() < _TOLERANCE:
            break
    return np.asarray(s_RK - s_RK.mean(axis=1, keepdims=True))


def _games(arms: list[str], comparisons: Mapping[tuple[str, str], Comparison]) -> Floats:
    """Wins of arm i over arm j on each of P prompts, in [0, 1] as the mean preference there: float64 (P, K, K)."""
    import numpy as np

    by_pair = {pair: comparison.by_prompt() for pair, comparison in comparisons.items()}
    number: dict[Hashable, int] = {}
    for prompts in by_pair.values():
        for prompt in prompts:
            number.setdefault(prompt, len(number))
    wins_PKK = np.zeros((len(number), len(arms), len(arms)))
    for (first, second), preferences in by_pair.items():
        i, j = arms.index(first), arms.index(second)
        for prompt, preference in preferences.items():
            wins_PKK[number[prompt], i, j] += preference
            wins_PKK[number[prompt], j, i] += 1 - preference
    return wins_PKK


def _check_connected(arms: list[str], wins_KK: Floats) -> None:
    from scipy.sparse.csgraph import connected_components

    number, part_K = connected_components(wins_KK + wins_KK.T > 0, directed=False)
    if number > 1:
        apart = [arm for arm, part in zip(arms, part_K, strict=True) if part != part_K[0]]
        raise DataError(
            f"No verdict connects {', '.join(apart)} with {arms[0]}, so they cannot be ranked together. Compare one of "
            "them with an arm of the others."
        )
