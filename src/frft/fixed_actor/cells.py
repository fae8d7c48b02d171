"""Cells of tables of accuracies."""

from __future__ import annotations

from frft.statistics import Estimate


def estimate_cell(estimate: Estimate | None, sign: str = "") -> str:
    """An estimate of a share or difference in per cent, with its interval; a dash for None."""
    if estimate is None:
        return "–"
    mean = f"{100 * estimate.mean:{sign}.1f}"
    if estimate.interval is None:
        return mean
    return f"{mean} [{', '.join(f'{100 * bound:{sign}.1f}' for bound in estimate.interval)}]"
