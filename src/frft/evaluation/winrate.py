"""Win rates with both orders, ties, and an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from frft.errors import DataError
from frft.evaluation.judge import Judge


@dataclass(frozen=True)
class WinRate:
    """How often one policy's completions beat another's, over n prompts.

    Attributes:
        rate: mean over prompts of the preference, each the mean of both orders; ties count one half.
        interval: 95 % interval of `rate` over prompts: BCa bootstrap (Efron 1987), or Wilson's where all prompts
            agree and a bootstrap sees no variance.
        wins, ties, losses: prompts by their preference above, at and below one half.
        flips: prompts where the two orders preferred different sides.
        n: prompts.
    """

    rate: float
    interval: tuple[float, float]
    wins: int
    ties: int
    losses: int
    flips: int
    n: int

    def as_dict(self) -> dict[str, Any]:
        """Everything, for a results file."""
        return asdict(self)


def win_rate(
    judge: Judge,
    prompts: Sequence[str],
    completions: Sequence[str],
    baseline: Sequence[str],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> WinRate:
    """Compare completions with a baseline's, prompt by prompt, in both orders.

    Args:
        judge: who decides.
        prompts: n prompts.
        completions, baseline: one each for every prompt.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        DataError: no prompts, or numbers that differ.
    """
    if not prompts or not len(prompts) == len(completions) == len(baseline):
        raise DataError(
            f"A win rate needs prompts and one completion of each side for every one of them; got {len(prompts)} "
            f"prompts, {len(completions)} and {len(baseline)} completions."
        )
    forward = judge.prefer(prompts, completions, baseline)
    backward = judge.prefer(prompts, baseline, completions)
    preferences = [(first + 1 - second) / 2 for first, second in zip(forward, backward, strict=True)]
    return WinRate(
        rate=sum(preferences) / len(preferences),
        interval=_interval(preferences, resamples, seed),
        wins=sum(preference > 0.5 for preference in preferences),
        ties=sum(preference == 0.5 for preference in preferences),
        losses=sum(preference < 0.5 for preference in preferences),
        flips=sum((first - 0.5) * (second - 0.5) > 0 for first, second in zip(forward, backward, strict=True)),
        n=len(preferences),
    )


def _interval(preferences: Sequence[float], resamples: int, seed: int) -> tuple[float, float]:
    import numpy as np
    from scipy import stats

    if len(set(preferences)) == 1:
        wins = preferences[0] * len(preferences)
        # Half-integers (all ties) widen to the whole numbers on both sides.
        low = stats.binomtest(int(np.floor(wins)), len(preferences)).proportion_ci(method="wilson").low
        high = stats.binomtest(int(np.ceil(wins)), len(preferences)).proportion_ci(method="wilson").high
        return float(low), float(high)
    interval = stats.bootstrap(
        (np.array(preferences),),
        np.mean,
        n_resamples=resamples,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)
