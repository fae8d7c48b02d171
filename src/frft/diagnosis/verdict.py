"""The verdict on a reward (healthy, broken or undecided), and its grounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from frft.diagnosis.links import Link
from frft.reward.alarm import Alarm

RewardVerdict = Literal["healthy", "broken", "undecided"]


@dataclass(frozen=True)
class Ground:
    """One reason for a verdict.

    Attributes:
        found: an alarm that fired, or a link that does not hold.
        advice: what to do about it.
    """

    found: str
    advice: str


def verdict_of(links: Sequence[Link], alarms: Sequence[Alarm]) -> tuple[RewardVerdict, list[Ground]]:
    """The verdict on a reward, and its grounds; a healthy one has none.

    - broken: an alarm fired, or a link is broken.
    - healthy: nothing is broken, and every link was measured and holds. A link whose interval contains the value under
      chance is no evidence of health.
    - undecided: nothing is broken, but too little was measured to say more.
    """
    broken = [Ground(f"alarm: {alarm.name}", f"{alarm.meaning} {alarm.advice}") for alarm in alarms if alarm.fired]
    broken += [Ground(f"broken link: {link.name}", link.advice) for link in links_in("broken", links)]
    if broken:
        return "broken", broken
    open_ = [
        Ground(f"{state}: {link.name}", link.advice)
        for state in ("unclear", "not measured")
        for link in links_in(state, links)
    ]
    return ("undecided", open_) if open_ or not links else ("healthy", [])


def links_in(state: str, links: Sequence[Link]) -> list[Link]:
    """The links in this state, in their order."""
    return [link for link in links if link.state == state]
