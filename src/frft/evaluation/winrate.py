"""Win rates with both orders, ties, missing verdicts, and an interval."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from frft.errors import DataError
from frft.evaluation.annotations import StoredAnnotations
from frft.evaluation.judge import Judge
from frft.statistics.intervals import CONFIDENCE_LEVEL
from frft.statistics.power import prompts_needed
from frft.statistics.rates import rate_interval, rate_p_value
from frft.store import plain


@dataclass(frozen=True)
class Comparison:
    """What a judge made of N pairs of completions.

    Attributes:
        prompts: what tells the prompts apart; one with several samples stands here several times.
        preferences: for the first side, each the mean of both orders; None where either order has no verdict, for
            one order alone would be biased by it.
        flips: pairs where the two orders preferred different sides; None: the orders were not asked apart.
    """

    prompts: Sequence[Hashable]
    preferences: Sequence[float | None]
    flips: int | None = None

    def __post_init__(self) -> None:
        prompts, preferences = len(self.prompts), len(self.preferences)
        if prompts != preferences:
            raise DataError(f"{prompts} prompts and {preferences} preferences; every pair has one of each.")

    def by_prompt(self) -> dict[Hashable, float]:
        """The mean preference of each prompt that has one."""
        grouped: dict[Hashable, list[float]] = {}
        for prompt, preference in zip(self.prompts, self.preferences, strict=True):
            if preference is not None:
                grouped.setdefault(prompt, []).append(preference)
        return {prompt: sum(values) / len(values) for prompt, values in grouped.items()}


@dataclass(frozen=True)
class WinRate:
    """How often one policy's completions beat another's, over n prompts.

    Attributes:
        rate: mean over prompts of the preference; that of a prompt is the mean over its pairs of samples, that of a
            pair the mean of both orders; ties count one half.
        interval: its 95 % interval; samples of one prompt are not independent, so the prompt is what is counted.
            Student's t, or Wilson's where all prompts agree; see `rate_interval`.
        p_value: two-sided, of the rate against one half. Correct several by `holm`.
        wins, ties, losses: prompts by their preference above, at and below one half.
        flips: pairs where the two orders preferred different sides; None: they were not asked apart.
        n: prompts that the rate rests on.
        pairs: pairs of completions with a verdict in both orders, on these prompts.
        unjudged: pairs without, which are left out; prompts with no other pair are not among the n.
        sd: standard deviation of the preference over prompts.
        n_to_settle: where the interval holds 1/2, the prompts with which a difference would be seen with a power
            of 80 %, if its size and the spread over prompts are what they are here; None where it is decided, or
            where the rate is 1/2.
        level: confidence level of the interval.
    """

    rate: float
    interval: tuple[float, float]
    p_value: float
    wins: int
    ties: int
    losses: int
    flips: int | None
    n: int
    pairs: int
    unjudged: int
    sd: float
    n_to_settle: int | None
    level: float = CONFIDENCE_LEVEL

    def as_dict(self) -> dict[str, Any]:
        """Everything, for a results file."""
        return plain(self)


def win_rate(judge: Judge, prompts: Sequence[str], completions: Sequence[str], baseline: Sequence[str]) -> WinRate:
    """Compare completions with a baseline's, prompt by prompt, in both orders.

    Args:
        judge: who decides.
        prompts: of N pairs; a prompt that stands here several times is one prompt with several samples.
        completions, baseline: one each for every pair.

    Raises:
        DataError: no prompts, numbers that differ, or no verdict at all.
    """
    return rate_of(compare(judge, prompts, completions, baseline))


def compare(judge: Judge, prompts: Sequence[str], completions: Sequence[str], baseline: Sequence[str]) -> Comparison:
    """Ask a judge about N pairs, each in both orders; arguments and errors as `win_rate`."""
    if not prompts or not len(prompts) == len(completions) == len(baseline):
        raise DataError(
            f"A win rate needs prompts and one completion of each side for every one of them; got {len(prompts)} "
            f"prompts, {len(completions)} and {len(baseline)} completions."
        )
    forward = judge.prefer(prompts, completions, baseline)
    backward = judge.prefer(prompts, baseline, completions)
    preferences: list[float | None] = []
    flips = 0
    for first, second in zip(forward, backward, strict=True):
        if first is None or second is None:
            preferences.append(None)
        else:
            preferences.append((first + 1 - second) / 2)
            flips += (first - 0.5) * (second - 0.5) > 0
    return Comparison(list(prompts), preferences, None if isinstance(judge, StoredAnnotations) else flips)


def rate_of(comparison: Comparison) -> WinRate:
    """The win rate of the first side of a comparison.

    Raises:
        DataError: there is no verdict, or a preference is not between 0 and 1.
    """
    import numpy as np

    known = [each for each in comparison.preferences if each is not None]
    if not known:
        raise DataError(
            f"None of {len(comparison.preferences)} pairs has a verdict in both orders: no win rate. Stored "
            "annotations must quote the prompts and these very completions; a model that judges must be there, and "
            "answer in the form that it is asked for."
        )
    if not all(0 <= each <= 1 for each in known):
        raise DataError("A preference is a number from 0 (the second is better) to 1 (the first is).")
    values = list(comparison.by_prompt().values())
    rate, interval = float(np.mean(values)), rate_interval(values)
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return WinRate(
        rate=rate,
        interval=interval,
        p_value=rate_p_value(values),
        wins=sum(value > 0.5 for value in values),
        ties=sum(value == 0.5 for value in values),
        losses=sum(value < 0.5 for value in values),
        flips=comparison.flips,
        n=len(values),
        pairs=len(known),
        unjudged=len(comparison.preferences) - len(known),
        sd=sd,
        n_to_settle=prompts_needed(rate - 0.5, sd) if sd and interval[0] <= 0.5 <= interval[1] else None,
    )
