"""What arms gain at every point of a study, as an SVG; drawn by hand as `frft.experiment.picture` is."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape

from frft.config.model import VANILLA
from frft.experiment.picture import COLOURS, GRID, round_values
from frft.results.study import StudyResults, StudySettings


def arm_colours(config: StudySettings, arms: Iterable[str] = ()) -> dict[str, str]:
    """A colour for each arm of every point but vanilla, and for other `arms`; the same in all pictures of a study."""
    names = dict.fromkeys([*(name for name in config.everywhere if name != VANILLA), *arms])
    return {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}


def gains_picture(results: StudyResults) -> str:
    """An SVG of what each arm gains over vanilla in gold reward, point by point, with intervals."""
    arms = [name for name in results.config.everywhere if name != VANILLA]
    gains = {
        (point, arm): against.gold
        for point, found in results.points.items()
        for arm in arms
        if (against := found.arms[arm].against_vanilla) is not None
    }
    # 0 is always on the axis, because gains are read against it.
    ends = [end for gain in gains.values() for end in (gain.low, gain.high, gain.mean, 0.0) if end is not None]
    low, high = min(ends, default=0.0), max(ends, default=0.0)
    if low == high:
        low, high = low - 1.0, high + 1.0
    left, wide, row, top = 110, 480, 12, 52
    block = row * (len(arms) + 1)
    bottom = top + block * len(results.points)

    def x(value: float) -> float:
        return round(left + (value - low) * wide / (high - low), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + wide + 30}" height="{bottom + 30}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
        '<text x="10" y="16" font-weight="bold">Gold reward above vanilla, mean and 95 % interval over seeds</text>',
    ]
    for value, label in round_values(low, high):
        stroke = GRID if value else 'stroke="#888"'
        parts.append(f'<line x1="{x(value)}" x2="{x(value)}" y1="{top - 4}" y2="{bottom}" {stroke}/>')
        parts.append(f'<text x="{x(value)}" y="{bottom + 16}" text-anchor="middle">{label}</text>')
    for number, point in enumerate(results.points):
        y = top + block * number
        parts.append(f'<text x="10" y="{y + block / 2}">{escape(point)}</text>')
        if number:
            parts.append(f'<line x1="10" x2="{left + wide}" y1="{y}" y2="{y}" {GRID}/>')
    names = [escape(results.config.with_role(arm)) for arm in arms]
    colours = list(arm_colours(results.config).values())
    legend = [
        f'<tspan fill="{colour}" dx="{18 if number else 0}">{name}</tspan>'
        for number, (name, colour) in enumerate(zip(names, colours, strict=True))
    ]
    parts.append(f'<text x="10" y="36">{"".join(legend)}</text>')
    for number, (arm, colour) in enumerate(zip(arms, colours, strict=True)):
        for block_number, point in enumerate(results.points):
            y = top + block * block_number + row * (number + 1)
            gain = gains[point, arm]
            if gain.interval is not None:
                low_x, high_x = map(x, gain.interval)
                parts.append(f'<line x1="{low_x}" x2="{high_x}" y1="{y}" y2="{y}" stroke="{colour}"/>')
            parts.append(f'<circle cx="{x(gain.mean)}" cy="{y}" r="3" fill="{colour}"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"
