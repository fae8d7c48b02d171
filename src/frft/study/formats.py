"""How a study's tables write a figure."""

from __future__ import annotations

from collections.abc import Sequence

from frft.results.study import PointResults
from frft.statistics import Estimate

NO_FIGURE = "–"
"""Shown where there is no figure."""
Rows = list[tuple[str, ...]]
"""Rows of a table, as wide as its columns."""


def row_name(found: PointResults, name: str) -> str:
    """The name of an arm, with the number of its seeds where the point has more."""
    gold = found.arms[name].gold
    return name if gold is None or gold.n == len(found.seeds) else f"{name} ({gold.n} seeds)"


def markdown_table(columns: Sequence[str], rows: Rows) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _interval(estimate: Estimate, form: str, times: float = 1.0) -> str:
    if estimate.interval is None:
        return ""
    return f" [{', '.join(format(times * end, form) for end in estimate.interval)}]"


def signed_estimate(estimate: Estimate | None) -> str:
    """A mean with its sign, and its interval."""
    return NO_FIGURE if estimate is None else f"{estimate.mean:+.2f}{_interval(estimate, '+.2f')}"


def plain_estimate(estimate: Estimate | None) -> str:
    """A mean with two decimals, and its interval."""
    return NO_FIGURE if estimate is None else f"{estimate.mean:.2f}{_interval(estimate, '.2f')}"


def whole_estimate(estimate: Estimate | None) -> str:
    """A mean as a whole number, without its interval."""
    return NO_FIGURE if estimate is None else f"{estimate.mean:.0f}"


def percent_estimate(estimate: Estimate | None, *, interval: bool = True) -> str:
    """A mean share in percent, with its interval where that is wanted."""
    if estimate is None:
        return NO_FIGURE
    return f"{100 * estimate.mean:.1f} %{_interval(estimate, '.1f', 100) if interval else ''}"


def p_value(p: float | None) -> str:
    """A p-value with three decimals."""
    return NO_FIGURE if p is None else f"{p:.3f}"
