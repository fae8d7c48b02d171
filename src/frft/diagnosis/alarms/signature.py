"""The form of failure signatures: what they examine, and how an estimate becomes an alarm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from frft.diagnosis.links import Movement
from frft.diagnosis.overoptimisation import GaoFit
from frft.diagnosis.subject import RewardSpread, Subject
from frft.reward.alarm import Alarm, Side
from frft.statistics.estimates import Estimate


@dataclass(frozen=True)
class Examined:
    """The data in which failures are looked for.

    Attributes:
        subject: the subject of the diagnosis.
        spread: mean and variance of the scores of the policy's completions; None where fewer than two prompts have two.
        earlier: mean and variance of the scores of completions from before training; None likewise.
        movement: changes of proxy and judge in training; None where nobody judged both sides.
        fit: Gao's curve over the steps; None where there are too few steps, or no judge.
        looks: number of times that over-optimisation is tested for in one training; the tests share their significance
            level (Bonferroni).
    """

    subject: Subject
    spread: RewardSpread | None = None
    earlier: RewardSpread | None = None
    movement: Movement | None = None
    fit: GaoFit | None = None
    looks: int = 1


@dataclass(frozen=True)
class FailureSignature:
    """A failure that every diagnosis looks for.

    Attributes:
        name: name of the failure and of its alarm.
        look: returns the alarm, fired or silent; None where the data that it needs are missing.
        why_not: returns the reason why there is no alarm, for the list of what was not measured.
        of_refresh: whether it can be seen in a refresh's selection and the scores of the policy's samples alone, so
            that a gate looks for it, too.
        over_optimised: whether `monitor.stop` ends a training where the alarm fires.
    """

    name: str
    look: Callable[[Examined], Alarm | None]
    why_not: Callable[[Examined], str]
    of_refresh: bool = False
    over_optimised: bool = False


def above(name: str, measured: str, found: Estimate, threshold: float, meaning: str, advice: str) -> Alarm:
    """An alarm that fires where the whole interval is above the threshold; never without an interval."""
    fired = found.low is not None and found.low > threshold
    return Alarm(name, fired, measured, found.mean, found.interval, threshold, meaning, advice, ">")


def below(
    name: str, measured: str, found: Estimate, threshold: float, meaning: str, advice: str, side: Side = "<"
) -> Alarm:
    """An alarm that fires where the whole interval is below the threshold; never without an interval."""
    fired = found.high is not None and found.high < threshold
    return Alarm(name, fired, measured, found.mean, found.interval, threshold, meaning, advice, side)


def silent(alarm: Alarm) -> Alarm:
    """This alarm with its figures, but not fired."""
    return replace(alarm, fired=False)
