"""What arms gain over the control along dials, as an SVG of panels side by side, on one scale of gold reward."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from frft.config.model import VANILLA
from frft.experiment.picture import GRID, round_values
from frft.results.study import StudyPanel, StudyResults
from frft.statistics import Estimate
from frft.study.picture import arm_colours

WIDTH, HEIGHT = 300, 250
"""Size of a panel in pixels, with its labels."""
NARROWEST = 480
"""Least width of the picture in pixels, so that its heading and legend fit above a single panel."""
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 62, 44
DODGE = 5.0
"""Pixels between the marks of two arms at one point, so that their intervals do not cover each other."""


class _Mark(NamedTuple):
    """What an arm gains at a point: its place on the x axis, from 0 to 1, and the gain."""

    place: float
    gain: Estimate


def panels_picture(results: StudyResults) -> str | None:
    """An SVG of the study's panels: mean gold reward of arms above the control, with 95 % intervals over seeds.

    All panels have one scale of gold reward, on which 0 is. Points without finished cells are left out; None where the
    study has no panels.
    """
    config = results.config
    if not config.panels:
        return None
    drawn = {
        title: {arm: _marks(results, panel, arm) for arm in _arms(results, panel)} for title, panel in _of(results)
    }
    gains = [mark.gain for marks in drawn.values() for each in marks.values() for mark in each]
    ends = [end for gain in gains for end in (gain.low, gain.high, gain.mean) if end is not None]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    room = 0.05 * (high - low) or 1.0
    low, high = low - room, high + room
    names = list(dict.fromkeys(arm for marks in drawn.values() for arm in marks))
    colours = arm_colours(config, names)
    legend = [
        f'<tspan fill="{colours[arm]}" dx="{18 if number else 0}">{escape(config.with_role(arm))}</tspan>'
        for number, arm in enumerate(names)
    ]
    bodies = [
        _panel(title, panel, drawn[title], colours, (low, high), WIDTH * number)
        for number, (title, panel) in enumerate(_of(results))
    ]
    head = f"Gold reward above {config.control}, mean and 95 % interval over seeds"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{max(WIDTH * len(bodies), NARROWEST)}" height="{HEIGHT}" '
        'font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n'
        f'<text x="10" y="16" font-weight="bold">{escape(head)}</text>\n<text x="10" y="34">{"".join(legend)}</text>\n'
        + "\n".join(bodies)
        + "\n</svg>\n"
    )


def _of(results: StudyResults) -> Sequence[tuple[str, StudyPanel]]:
    return list(results.config.panels.items())


def _arms(results: StudyResults, panel: StudyPanel) -> list[str]:
    """The arms of a panel by name: those that it lists, or those of every point but vanilla and the control."""
    config = results.config
    others = [arm for arm in config.everywhere if arm not in (VANILLA, config.control)]
    return [config.arm_of(name) for name in panel.arms] or others


def _marks(results: StudyResults, panel: StudyPanel, arm: str) -> list[_Mark]:
    """The marks of an arm from left to right."""
    place = {point: math.log(number) if panel.log else number for point, number in panel.points.items()}
    first, last = min(place.values()), max(place.values())
    marks = []
    for point in sorted(place, key=place.__getitem__):
        arms = results.points[point].arms if point in results.points else {}
        against = arms[arm].against_control if arm in arms else None
        if against is not None:
            marks.append(_Mark((place[point] - first) / ((last - first) or 1.0), against.gold))
    return marks


def _panel(
    title: str,
    panel: StudyPanel,
    arms: Mapping[str, Sequence[_Mark]],
    colours: Mapping[str, str],
    ends: tuple[float, float],
    left: int,
) -> str:
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    # The outermost points keep off the frame, so that no mark is drawn on it.
    inset = DODGE * len(arms) / 2 + 8

    def x(place: float) -> float:
        return left + LEFT + inset + (wide - 2 * inset) * place

    def y(value: float) -> float:
        return round(TOP + high * (ends[1] - value) / (ends[1] - ends[0]), 1)

    parts = [
        f'<text x="{left + LEFT}" y="{TOP - 8}" font-weight="bold">{escape(title)}</text>',
        f'<text x="{left + LEFT + wide / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(panel.x)}</text>',
        f'<rect x="{left + LEFT}" y="{TOP}" width="{wide}" height="{high}" fill="none" stroke="#888"/>',
    ]
    for value, label in round_values(*ends):
        stroke = GRID if value else 'stroke="#888"'
        parts.append(f'<text x="{left + LEFT - 5}" y="{y(value) + 4}" text-anchor="end">{label}</text>')
        parts.append(f'<line x1="{left + LEFT}" x2="{left + LEFT + wide}" y1="{y(value)}" y2="{y(value)}" {stroke}/>')
    for place, label in _ticks(panel):
        parts.append(f'<text x="{x(place):.1f}" y="{TOP + high + 15}" text-anchor="middle">{label}</text>')
    for number, (arm, marks) in enumerate(arms.items()):
        aside, colour = DODGE * (number - (len(arms) - 1) / 2), colours[arm]
        at = [(round(x(mark.place) + aside, 1), mark.gain) for mark in marks]
        path = " ".join(f"{right},{y(gain.mean)}" for right, gain in at)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-opacity="0.45"/>')
        for right, gain in at:
            if gain.interval is not None:
                bottom, top = map(y, gain.interval)
                parts.append(f'<line x1="{right}" x2="{right}" y1="{bottom}" y2="{top}" stroke="{colour}"/>')
            parts.append(f'<circle cx="{right}" cy="{y(gain.mean)}" r="3" fill="{colour}"/>')
    return "\n".join(parts)


def _ticks(panel: StudyPanel) -> list[tuple[float, str]]:
    """A tick for each point of a panel: its place, from 0 to 1, and its number."""
    numbers = sorted(set(panel.points.values()))
    places = [math.log(number) if panel.log else number for number in numbers]
    span = (places[-1] - places[0]) or 1.0
    return [((place - places[0]) / span, f"{number:,g}") for place, number in zip(places, numbers, strict=True)]
