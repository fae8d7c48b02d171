"""What is common to all failure signatures: what they look at, and how a figure becomes an alarm."""

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
    """What a failure can be looked for in.

    Attributes:
        subject: what is diagnosed.
        spread: of the scores under the policy; None: it wrote no two texts to a prompt.
        earlier: the same under the policy before training.
        movement: how the policy moved, by proxy and by judge; None: nobody judged both.
        fit: Gao's curve over the steps; None: too few steps, or no judge.
        looks: how often the tests of over-optimisation are made in one training, which share their level.
    """

    subject: Subject
    spread: RewardSpread | None = None
    earlier: RewardSpread | None = None
    movement: Movement | None = None
    fit: GaoFit | None = None
    looks: int = 1


@dataclass(frozen=True)
class FailureSignature:
    """A failure that every diagnosis looks for: all that the rest of the package knows of it.

    Attributes:
        name: of the failure, and of its alarm.
        look: the alarm, fired or silent; None: what it takes is not there.
        why_not: why there is no alarm, for the list of what was not measured.
        of_refresh: whether a refresh shows it at once, from its selection and from the scores of the policy's samples
            alone: then a gate looks for it, too.
        over_optimised: whether `monitor.stop` ends a training where it fires.
    """

    name: str
    look: Callable[[Examined], Alarm | None]
    why_not: Callable[[Examined], str]
    of_refresh: bool = False
    over_optimised: bool = False


def above(name: str, measured: str, found: Estimate, threshold: float, meaning: str, advice: str) -> Alarm:
    """An alarm that fires where the whole interval is above the threshold."""
    fired = found.low is not None and found.low > threshold
    return Alarm(name, fired, measured, found.mean, found.interval, threshold, meaning, advice, ">")


def below(
    name: str, measured: str, found: Estimate, threshold: float, meaning: str, advice: str, side: Side = "<"
) -> Alarm:
    """An alarm that fires where the whole interval is below the threshold."""
    fired = found.high is not None and found.high < threshold
    return Alarm(name, fired, measured, found.mean, found.interval, threshold, meaning, advice, side)


def silent(alarm: Alarm) -> Alarm:
    """The same alarm, which does not fire."""
    return replace(alarm, fired=False)
