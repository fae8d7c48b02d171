"""The training curves of all arms in one SVG file, which any browser shows.

Drawn by hand: it is lines and labels, and a plotting library would be a dependency for nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from xml.sax.saxutils import escape

from frft.results import RunResults, StepMetrics

WIDTH, HEIGHT = 380, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 34, 40
LEGEND_ROW = 18
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
"""Okabe and Ito's palette, which colour-blind people can tell apart; from the ninth arm on, lines are also dashed."""
REFRESHED = 'stroke="#888" stroke-dasharray="2 3"'
MOST_POINTS = 24
"""Most points of a line. Where a training has more steps, each point is the mean of several: single steps are noisy."""
GRID = 'stroke="#e4e4e4"'

Series = Sequence[tuple[float, float]]
"""Points (step, value) of one line."""


def draw_picture(results: RunResults) -> str:
    """An SVG with panels of the reward model's score, the KL from SFT and, in a world, the gold reward, over the steps.

    Each panel has a line for each arm, and a dotted vertical line where an arm's reward model was refreshed: scores
    before and after it come from two models.
    """
    panels: list[tuple[str, Callable[[StepMetrics], float]]] = [
        ("score of the reward model (what training raises)", lambda row: row.score),
        ("KL from SFT (nats a completion)", lambda row: row.kl_sft_k1),
    ]
    steps = {name: arm.ppo for name, arm in results.arms.items()}
    if results.in_a_world:
        panels.insert(0, ("gold reward (what is wanted)", lambda row: math.nan if row.gold is None else row.gold))
    refreshes = sorted(_refresh_steps(results))
    bodies = [
        _panel(
            title,
            {name: _thinned([(row.step, figure(row)) for row in rows]) for name, rows in steps.items()},
            refreshes,
            WIDTH * number,
        )
        for number, (title, figure) in enumerate(panels)
    ]
    entries = [
        (_stroke(number), f"{name} (PAR: scores from 0 to 1)" if results.arms[name].references else name)
        for number, name in enumerate(steps)
    ]
    entries += [(REFRESHED, "a reward model was refreshed: later scores are those of another")] * bool(refreshes)
    height = HEIGHT + LEGEND_ROW * len(entries) + 8
    legend = [
        f'<line x1="{LEFT}" x2="{LEFT + 24}" y1="{y}" y2="{y}" {stroke}/>'
        f'<text x="{LEFT + 32}" y="{y + 4}">{escape(text)}</text>'
        for number, (stroke, text) in enumerate(entries)
        for y in [HEIGHT + LEGEND_ROW * number + 6]
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH * len(panels)}" height="{height}" '
        f'font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n'
        + "\n".join([*bodies, *legend])
        + "\n</svg>\n"
    )


def _refresh_steps(results: RunResults) -> set[int]:
    """Steps after which some arm got another reward model."""
    return {refresh.after_step for arm in results.arms.values() for refresh in arm.accepted}


def _thinned(points: Series) -> Series:
    size = -(-len(points) // MOST_POINTS)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]


def _panel(title: str, lines: dict[str, Series], refreshes: Sequence[int], left: int) -> str:
    # NaN and infinity have no place on an axis; they stand in results.json.
    lines = {name: [point for point in points if math.isfinite(point[1])] for name, points in lines.items()}
    every = [point for points in lines.values() for point in points] or [(0.0, 0.0)]
    low_x, high_x = _range([x for x, _ in every])
    low_y, high_y = _range([y for _, y in every])
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        right, up = (x - low_x) / (high_x - low_x), (y - low_y) / (high_y - low_y)
        return round(left + LEFT + wide * right, 1), round(TOP + high * (1 - up), 1)

    parts = [
        f'<text x="{left + LEFT}" y="{TOP - 14}" font-weight="bold">{escape(title)}</text>',
        f'<text x="{left + LEFT + wide / 2}" y="{HEIGHT - 8}" text-anchor="middle">step</text>',
        f'<rect x="{left + LEFT}" y="{TOP}" width="{wide}" height="{high}" fill="none" stroke="#888"/>',
    ]
    for value, label in round_values(low_x, high_x, finest=1):
        x, _ = at(value, low_y)
        parts.append(f'<text x="{x}" y="{TOP + high + 15}" text-anchor="middle">{label}</text>')
    for value, label in round_values(low_y, high_y):
        _, y = at(low_x, value)
        parts.append(f'<text x="{left + LEFT - 5}" y="{y + 4}" text-anchor="end">{label}</text>')
        parts.append(f'<line x1="{left + LEFT}" x2="{left + LEFT + wide}" y1="{y}" y2="{y}" {GRID}/>')
    for step in refreshes:
        # Between the last step with the old reward model and the first with the new one, but within the panel.
        x, _ = at(min(max(step + 0.5, low_x), high_x), low_y)
        parts.append(f'<line x1="{x}" x2="{x}" y1="{TOP}" y2="{TOP + high}" {REFRESHED}/>')
    for number, points in enumerate(lines.values()):
        path = " ".join(f"{x},{y}" for x, y in (at(*point) for point in points))
        parts.append(f'<polyline points="{path}" fill="none" {_stroke(number)}/>')
    return "\n".join(parts)


def round_values(low: float, high: float, *, finest: float = 0.0) -> list[tuple[float, str]]:
    """Tick marks of an axis from `low` to `high`: at most eight multiples of 1, 2 or 5 times 10^k, with their labels.

    Args:
        low, high: the ends of the axis, low < high.
        finest: the smallest distance between two marks; 1 for an axis of whole numbers.
    """
    # (high - low) / decade is in [10, 100): 20 decades leave at most five intervals. 1e-9 absorbs rounding.
    decade = 10.0 ** math.floor(math.log10(high - low) - 1)
    step = next(
        step for many in (1, 2, 5, 10, 20) if (high - low) / (step := many * decade) < 8 - 1e-9 and step >= finest
    )
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    multiples = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    return [(number * step, f"{number * step:.{decimals}f}") for number in multiples]


def _stroke(number: int) -> str:
    again, colour = divmod(number, len(COLOURS))
    dashes = f' stroke-dasharray="{6 - again % 3} {2 + again % 3}"' if again else ""
    return f'stroke="{COLOURS[colour]}" stroke-width="1.8"{dashes}'


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
