"""What an alarm is: a failure that was looked for, and whether it was found. All are in `frft.diagnosis.alarms`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Side = Literal["<", ">", ">=", "|.| <"]


@dataclass(frozen=True)
class Alarm:
    """One failure signature that was looked for.

    Attributes:
        name: of the failure.
        fired: whether it was found.
        measured: what the figure is, with its unit.
        figure: the number.
        interval: its 95 % interval; None: it has none.
        threshold: where it begins to be a failure.
        meaning: what the failure does.
        advice: what to do about it.
        side: of the threshold on which the figure is a failure; "|.| <": nearer to 0 than it, on either side.
    """

    name: str
    fired: bool
    measured: str
    figure: float
    interval: tuple[float, float] | None
    threshold: float
    meaning: str
    advice: str
    side: Side
