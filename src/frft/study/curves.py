"""What arms gain against how many labels they asked for, as an SVG of panels side by side."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from xml.sax.saxutils import escape

from frft.experiment.picture import COLOURS, GRID, LEGEND_ROW, round_values
from frft.results.study import StudyCurve, StudyResults
from frft.statistics import Estimate
from frft.study.panels import DODGE

WIDTH, HEIGHT = 460, 300
"""Size of a panel in pixels, without its legend."""
LEFT, RIGHT, TOP, BOTTOM = 48, 62, 62, 44
NAME_HEIGHT = 13.0
"""Least distance of the names of two levels, in pixels."""
INTERVAL_REACH = 1.0
"""How far intervals may widen the y axis beyond all means, 0 and the ceiling, as a share of these; farther, they are
cut and end in an arrow."""
_WHAT = {"gain": "gold reward above vanilla", "recovery": "recovery: share of the ceiling's gain over vanilla"}
_OF = {"labels": "labels asked for in all uses", "distinct_labels": "different labels trained on"}


class _Mark(NamedTuple):
    labels: float
    height: Estimate


@dataclass(frozen=True)
class _Drawn:
    """What a panel shows.

    Attributes:
        lines: the marks of each line, from few labels to many.
        missing: of each line the arms that have no mark, with the reason.
        ceiling: the height of the ceiling, with its interval; None: it was not measured.
        ceiling_labels: the labels that it asked for; None: it asked for none.
    """

    lines: Mapping[str, Sequence[_Mark]]
    missing: Mapping[str, Sequence[str]]
    ceiling: Estimate | None
    ceiling_labels: Estimate | None


def curves_picture(results: StudyResults) -> str | None:
    """An SVG of the study's curves: mean gain or recovery of arms, with 95 % intervals, by their number of labels.

    Arms without finished cells or without a recovery are named below the panel. None where the study has no curves.
    """
    curves = results.config.curves
    if not curves:
        return None
    drawn = {title: _drawn(results, curve) for title, curve in curves.items()}
    # A row for each line, one for the ceiling, and one for arrows.
    rows = max(len(each.lines) for each in drawn.values()) + 2
    names = list(dict.fromkeys(name for each in drawn.values() for name in each.lines))
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
    bodies = [
        _panel(results, title, curve, drawn[title], colours, WIDTH * number)
        for number, (title, curve) in enumerate(curves.items())
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH * len(bodies)}" height="{HEIGHT + LEGEND_ROW * rows}" '
        'font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n'
        '<text x="10" y="16" font-weight="bold">What labels bring: means and 95 % intervals over seeds</text>\n'
        + "\n".join(bodies)
        + "\n</svg>\n"
    )


def _drawn(results: StudyResults, curve: StudyCurve) -> _Drawn:
    arms = results.points[curve.point].arms if curve.point in results.points else {}

    def height(name: str) -> Estimate | None:
        arm = arms[name]
        gain = None if arm.against_vanilla is None else arm.against_vanilla.gold
        return gain if curve.y == "gain" else arm.recovery

    lines: dict[str, list[_Mark]] = {}
    missing: dict[str, list[str]] = {}
    for line, names in curve.lines.items():
        lines[line], missing[line] = [], []
        for name in map(results.config.arm_of, names):
            labels = getattr(arms[name], curve.x) if name in arms else None
            if name not in arms:
                missing[line].append(f"{name} not run")
            elif (found := height(name)) is None:
                missing[line].append(f"{name} has no {curve.y}")
            elif labels is None or (curve.log and not labels.mean):
                missing[line].append(f"{name} has no labels")
            else:
                lines[line].append(_Mark(labels.mean, found))
        lines[line].sort(key=lambda mark: mark.labels)
    ceiling = results.config.ceiling
    there = ceiling in arms
    return _Drawn(lines, missing, height(ceiling) if there else None, arms[ceiling].labels if there else None)


def _y_ends(drawn: _Drawn) -> tuple[float, float]:
    """The ends of the y axis: means, 0 and the ceiling are on it, and intervals as far as `INTERVAL_REACH` allows."""
    heights = [mark.height for marks in drawn.lines.values() for mark in marks]
    heights += [] if drawn.ceiling is None else [drawn.ceiling]
    means = [0.0, *(each.mean for each in heights)]
    low, high = min(means), max(means)
    ends = [end for each in heights for end in each.interval or ()]
    reach = INTERVAL_REACH * ((high - low) or 1.0)
    low, high = max(min([low, *ends]), low - reach), min(max([high, *ends]), high + reach)
    room = 0.05 * ((high - low) or 1.0)
    return low - room, high + room


def _panel(
    results: StudyResults, title: str, curve: StudyCurve, drawn: _Drawn, colours: Mapping[str, str], left: int
) -> str:
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    low_y, high_y = _y_ends(drawn)
    numbers = sorted({mark.labels for marks in drawn.lines.values() for mark in marks}) or [1.0]
    first, last = (math.log(each) if curve.log else each for each in (numbers[0], numbers[-1]))
    inset = DODGE * len(drawn.lines) / 2 + 10

    def x(number: float) -> float:
        at = math.log(number) if curve.log else number
        return left + LEFT + inset + (wide - 2 * inset) * (at - first) / ((last - first) or 1.0)

    def y(value: float) -> float:
        inside = min(max(value, low_y), high_y)
        return round(TOP + high * (high_y - inside) / (high_y - low_y), 1)

    middle, right = left + LEFT + wide / 2, left + LEFT + wide
    parts = [
        f'<text x="{left + LEFT}" y="{TOP - 22}" font-weight="bold">{escape(title)}</text>',
        f'<text x="{left + LEFT}" y="{TOP - 8}">{escape(f"{_WHAT[curve.y]}, at {curve.point}")}</text>',
        f'<text x="{middle}" y="{HEIGHT - 10}" text-anchor="middle">{escape(_OF[curve.x])}</text>',
    ]
    # That of a recovery is 1, without an interval.
    band = None if drawn.ceiling is None or curve.y == "recovery" else drawn.ceiling.interval
    if band is not None:
        bottom, top = map(y, band)
        parts.append(
            f'<rect x="{left + LEFT}" y="{top}" width="{wide}" '
            f'height="{round(bottom - top, 1)}" fill="#888" fill-opacity="0.12"/>'
        )
    for value, label in round_values(low_y, high_y):
        parts.append(f'<text x="{left + LEFT - 5}" y="{y(value) + 4}" text-anchor="end">{label}</text>')
        parts.append(f'<line x1="{left + LEFT}" x2="{right}" y1="{y(value)}" y2="{y(value)}" {GRID}/>')
    parts.append(f'<rect x="{left + LEFT}" y="{TOP}" width="{wide}" height="{high}" fill="none" stroke="#888"/>')
    parts += _levels(drawn, left + LEFT, right, y)
    for number, label in _x_ticks(numbers, curve.log):
        at, foot = round(x(number), 1), TOP + high
        parts.append(f'<line x1="{at}" x2="{at}" y1="{foot}" y2="{foot + 4}" stroke="#888"/>')
        parts.append(f'<text x="{at}" y="{foot + 16}" text-anchor="middle">{label}</text>')
    for number, (line, marks) in enumerate(drawn.lines.items()):
        aside = DODGE * (number - (len(drawn.lines) - 1) / 2)
        placed = [(round(x(mark.labels) + aside + beside, 1), mark.height) for mark, beside in _beside(marks)]
        parts += _line(placed, colours[line], y, (low_y, high_y))
    parts += _legend(results, drawn, colours, left + LEFT, (low_y, high_y), banded=band is not None)
    return "\n".join(parts)


def _beside(marks: Sequence[_Mark]) -> list[tuple[_Mark, float]]:
    """The marks of a line, those at one number of labels beside each other: by so many pixels to the right."""
    seen: Counter[float] = Counter()
    found = []
    for mark in marks:
        found.append((mark, DODGE * seen[mark.labels]))
        seen[mark.labels] += 1
    return found


def _levels(drawn: _Drawn, left: float, right: float, y: Callable[[float], float]) -> list[str]:
    """The lines of vanilla and of the ceiling across a panel, with their names beside it."""
    levels = [("vanilla", 0.0, 'stroke="#555"')]
    if drawn.ceiling is not None:
        levels.append(("ceiling", drawn.ceiling.mean, 'stroke="#555" stroke-dasharray="6 3"'))
    parts = [
        f'<line x1="{left}" x2="{right}" y1="{y(value)}" y2="{y(value)}" {stroke}/>' for _, value, stroke in levels
    ]
    places = [y(value) for _, value, _ in levels]
    if len(places) == 2 and abs(places[0] - places[1]) < NAME_HEIGHT:
        # Two levels near each other: their names keep apart.
        upper = min(range(2), key=places.__getitem__)
        middle = sum(places) / 2
        places = [middle + NAME_HEIGHT / 2 * (-1 if number == upper else 1) for number in range(2)]
    return parts + [
        f'<text x="{right + 5}" y="{round(place + 4, 1)}" fill="#555">{name}</text>'
        for (name, _, _), place in zip(levels, places, strict=True)
    ]


def _line(
    marks: Sequence[tuple[float, Estimate]], colour: str, y: Callable[[float], float], ends: tuple[float, float]
) -> list[str]:
    """The marks of a line, joined; an interval that leaves the axis ends in an arrow."""
    path = " ".join(f"{right},{y(height.mean)}" for right, height in marks)
    parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-opacity="0.45"/>']
    for right, height in marks:
        if height.interval is not None:
            low, high = height.interval
            parts.append(f'<line x1="{right}" x2="{right}" y1="{y(low)}" y2="{y(high)}" stroke="{colour}"/>')
            cut = [(ends[0], -6)] * (low < ends[0]) + [(ends[1], 6)] * (high > ends[1])
            for end, back in cut:
                head = f"{right - 4},{y(end) + back} {right},{y(end)} {right + 4},{y(end) + back}"
                parts.append(f'<polyline points="{head}" fill="none" stroke="{colour}" class="cut"/>')
        parts.append(f'<circle cx="{right}" cy="{y(height.mean)}" r="3" fill="{colour}"/>')
    return parts


def _legend(
    results: StudyResults,
    drawn: _Drawn,
    colours: Mapping[str, str],
    left: float,
    ends: tuple[float, float],
    *,
    banded: bool,
) -> list[str]:
    """A row for each line of a panel, with the arms that have no mark; then the ceiling, and what is cut."""
    rows = []
    for line in drawn.lines:
        words = [_seeds(drawn.lines[line]), *drawn.missing[line]]
        rows.append((f'stroke="{colours[line]}" stroke-width="2"', f"{line} ({'; '.join(filter(None, words))})"))
    ceiling, labels = results.config.ceiling, drawn.ceiling_labels
    asked = "" if labels is None else f", {labels.mean:,.0f} labels"
    band = "; grey: its interval" if banded else ""
    rows.append(
        ('stroke="#555" stroke-dasharray="6 3"', f"ceiling: {ceiling}{asked}{band}")
        if drawn.ceiling is not None
        else ("", f"no ceiling: {ceiling} was not run, or has no gain to recover")
    )
    if _is_cut(drawn, ends):
        rows.append(("", "an arrow: the interval goes on beyond the axis"))
    parts = []
    for number, (stroke, text) in enumerate(rows):
        at = HEIGHT + LEGEND_ROW * number + 8
        if stroke:
            parts.append(f'<line x1="{left}" x2="{left + 22}" y1="{at}" y2="{at}" {stroke}/>')
        parts.append(f'<text x="{left + 30}" y="{at + 4}">{escape(text)}</text>')
    return parts


def _seeds(marks: Sequence[_Mark]) -> str:
    """Over how many seeds the means of a line are."""
    counts = sorted({mark.height.n for mark in marks})
    return f"{'–'.join(map(str, counts[:: max(1, len(counts) - 1)]))} seeds" if counts else ""


def _is_cut(drawn: _Drawn, ends: tuple[float, float]) -> bool:
    heights = [mark.height for marks in drawn.lines.values() for mark in marks]
    return any(each.interval and (each.interval[0] < ends[0] or each.interval[1] > ends[1]) for each in heights)


def _x_ticks(numbers: Sequence[float], log: bool) -> list[tuple[float, str]]:
    """Round numbers of labels between the fewest and the most."""
    low, high = numbers[0], numbers[-1]
    if low == high:
        return [(low, f"{low:,.0f}")]
    if log:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        found = [float(many * 10**decade) for decade in decades for many in (1, 2, 5)]
        if len(found := [each for each in found if low <= each <= high]) > 1:
            return [(each, f"{each:,.0f}") for each in found]
    return [(value, f"{value:,.0f}") for value, _ in round_values(low, high, finest=1)]
