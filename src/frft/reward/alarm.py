"""The outcome of looking for one failure; which failures there are is defined in `frft.diagnosis.alarms`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Side = Literal["<", ">", ">=", "|.| <"]


@dataclass(frozen=True)
class Alarm:
    """One failure signature that was looked for, and whether it was found.

    Attributes:
        name: name of the failure.
        fired: whether the failure was found.
        measured: what `figure` measures, with its unit.
        figure: the measured value.
        interval: 95 % confidence interval of the figure; None where none is computed.
        threshold: value of the figure at which the failure begins.
        meaning: what the failure does to a run.
        advice: what to do about the failure.
        side: where failing figures lie: "<" below the threshold, ">" above it, ">=" at or above it, "|.| <" nearer to 0
            than the threshold, whatever their sign.
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
