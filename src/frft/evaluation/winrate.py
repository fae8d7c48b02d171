"""Win rates of one policy against another: pairs judged in both orders, with ties, missing verdicts and intervals."""

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
    """A judge's preferences on N pairs of completions.

    Attributes:
        prompts: the prompt of each pair, or a key of it; a prompt with several samples occurs several times.
        preferences: preference for the first side, 0 to 1, as the mean over both orders; None where either order has no
            verdict, since one order alone has the judge's position bias.
        flips: number of pairs where the judge preferred whichever completion came first, or whichever came second; None
            where the orders were not asked separately.
    """

    prompts: Sequence[Hashable]
    preferences: Sequence[float | None]
    flips: int | None = None

    def __post_init__(self) -> None:
        prompts, preferences = len(self.prompts), len(self.preferences)
        if prompts != preferences:
            raise DataError(f"There are {prompts} prompts but {preferences} preferences; give one of each per pair.")

    def by_prompt(self) -> dict[Hashable, float]:
        """Mean preference of each prompt that has a verdict."""
        grouped: dict[Hashable, list[float]] = {}
        for prompt, preference in zip(self.prompts, self.preferences, strict=True):
            if preference is not None:
                grouped.setdefault(prompt, []).append(preference)
        return {prompt: sum(values) / len(values) for prompt, values in grouped.items()}


@dataclass(frozen=True)
class WinRate:
    """How often one policy's completions beat another's, over n prompts.

    Attributes:
        rate: mean preference over prompts, 0 to 1; that of a prompt is the mean over its pairs of samples, that of a
            pair the mean of both orders; ties count one half.
        interval: 95 % interval of the rate, with the prompt as the unit, since samples of one prompt are not
            independent: Student's t, or Wilson's where all prompts agree; see `rate_interval`.
        p_value: two-sided p-value of the rate against one half. Correct several by `holm`.
        wins, ties, losses: numbers of prompts with a preference above, at and below one half.
        flips: number of pairs where the judge preferred whichever completion came first, or whichever came second; None
            where the orders were not asked separately.
        n: number of prompts with a verdict.
        pairs: number of pairs of completions with a verdict in both orders.
        unjudged: number of pairs without a verdict in both orders, which are left out.
        sd: standard deviation of the preference over prompts; 0 for a single prompt.
        n_to_settle: number of prompts with which a difference of this size and spread would be significant with a power
            of 80 %; None where the interval excludes 1/2, the rate is exactly 1/2, or all prompts agree.
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
        """All fields as JSON-able values, for a results file."""
        return plain(self)


def win_rate(judge: Judge, prompts: Sequence[str], completions: Sequence[str], baseline: Sequence[str]) -> WinRate:
    """Compare completions with those of a baseline, prompt by prompt, in both orders.

    Args:
        judge: gives the preferences.
        prompts: prompts of N pairs; a prompt that occurs several times is one prompt with several samples.
        completions, baseline: the two completions of each pair, N each.

    Raises:
        DataError: there are no prompts, the numbers differ, the judge gave no verdict at all, or a
            preference that is not from 0 to 1.
    """
    return rate_of(compare(judge, prompts, completions, baseline))


def _checked(preferences: Sequence[float | None], prompts: Sequence[str]) -> Sequence[float | None]:
    """The preferences of a judge, if each is None or from 0 to 1; raises as `win_rate`."""
    for row, each in enumerate(preferences):
        if each is not None and not 0 <= each <= 1:
            raise DataError(
                f"The judge's preference for pair {row} (counting from 0) is {each}; it must be from 0 (the second "
                f"completion is better) to 1 (the first is). The prompt ends {prompts[row][-60:]!a}. Correct the judge."
            )
    return preferences


def compare(judge: Judge, prompts: Sequence[str], completions: Sequence[str], baseline: Sequence[str]) -> Comparison:
    """Ask a judge about N pairs, each in both orders; arguments and errors as `win_rate`."""
    if not prompts or not len(prompts) == len(completions) == len(baseline):
        raise DataError(
            f"A win rate needs prompts and one completion of each side for every one of them; got {len(prompts)} "
            f"prompts, {len(completions)} and {len(baseline)} completions."
        )
    forward = _checked(judge.prefer(prompts, completions, baseline), prompts)
    backward = _checked(judge.prefer(prompts, baseline, completions), prompts)
    preferences: list[float | None] = []
    flips = 0
    for first, second in zip(forward, backward, strict=True):
        if first is None or second is None:
            preferences.append(None)
        else:
            # `second` is the preference for the baseline's completion: the mean of both orders cancels position bias.
            preferences.append((first + 1 - second) / 2)
            flips += (first - 0.5) * (second - 0.5) > 0
    return Comparison(list(prompts), preferences, None if isinstance(judge, StoredAnnotations) else flips)


def rate_of(comparison: Comparison) -> WinRate:
    """The win rate of the first side of a comparison.

    Raises:
        DataError: no pair has a verdict, or a preference is not between 0 and 1.
    """
    import numpy as np

    known = [each for each in comparison.preferences if each is not None]
    if not known:
        raise DataError(
            f"None of {len(comparison.preferences)} pairs has a verdict in both orders, so there is no win rate. "
            "Stored annotations must hold exactly these prompts and completions; a chat model must be reachable, and "
            "answer in the form that it is asked for."
        )
    if not all(0 <= each <= 1 for each in known):
        raise DataError(
            "The judge gave a preference outside 0 (the second completion is better) to 1 (the first is). Correct the "
            "judge."
        )
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
