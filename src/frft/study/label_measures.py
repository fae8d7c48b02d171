"""What the fresh labels of an arm cost, were, and were used for: measures of a study's cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from frft.results.cell import CellArm, CellRecord, CellRefresh

CellMeasure: TypeAlias = Callable[[CellRecord, str], float | None]
"""A figure of the arm of a name in a cell; None: the arm has none."""


def asks_for_labels(cell: CellRecord) -> bool:
    """Whether any arm of a cell asked for fresh labels by the section `refresh.labels`."""
    return any(refresh.labels is not None for arm in cell.arms.values() for refresh in arm.refreshes)


def _labels(cell: CellRecord, name: str) -> float:
    """Labels that all refreshes of an arm asked for, whatever they are for."""
    arm = cell.arms[name]
    if _all_are_gold(cell, name):
        return float(sum(refresh.selection.counts.pool_rows for refresh in arm.refreshes))
    return float(sum(refresh.asked for refresh in arm.refreshes))


def _distinct(cell: CellRecord, name: str) -> float | None:
    """Different labels that any refresh of an arm trained on."""
    refreshes = cell.arms[name].refreshes
    if _all_are_gold(cell, name) and refreshes:
        return float(sum(refresh.drawn.distinct for refresh in refreshes))
    fresh = [each for refresh in refreshes if (each := refresh.reward_model.fresh) is not None]
    # Those that an earlier refresh asked for were counted there.
    return float(sum(each.distinct - each.earlier for each in fresh)) if fresh else None


def _passes(cell: CellRecord, name: str) -> float | None:
    """How often each of these labels went through the optimizer, all refreshes together."""
    distinct, whole = _distinct(cell, name), _all_are_gold(cell, name)
    if not distinct:
        return None
    seen = 0.0
    for refresh in cell.arms[name].refreshes:
        model = refresh.reward_model
        rows = model.training.pairs - model.replayed if whole else 0 if model.fresh is None else model.fresh.rows
        # The rows of a training are shuffled, so that those with fresh labels are seen as often as all others.
        seen += refresh.pairs_seen * rows / model.training.pairs
    return seen / distinct


def _all_are_gold(cell: CellRecord, name: str) -> bool:
    """Whether all pairs of an arm's refreshes were given gold labels in place of the pool's (`labels: gold`)."""
    settings = cell.settings
    return bool(settings["arms"].get(name, {}).get("labels", settings["refresh"]["labels"]) == "gold")


def _by_gold(arm: CellArm) -> float | None:
    """Share of the fresh labels of all refreshes that the gold reward agrees with."""
    found = [each for refresh in arm.refreshes if (each := refresh.labels_by_gold) is not None and each.n]
    right = sum(each.n * each.accuracy for each in found if each.accuracy is not None)
    return right / sum(each.n for each in found) if found else None


def _used(refresh: CellRefresh) -> float | None:
    """Share of the selected training pairs whose labels an audit allowed; None: there was no audit, or no pair."""
    audit = refresh.audit
    pairs = 0 if audit is None else sum(audit.pairs.values())
    return None if audit is None or not pairs else audit.used / pairs


LABEL_MEASURES: dict[str, CellMeasure] = {
    "labels": _labels,
    "audit_labels": lambda cell, name: float(sum(each.asked_to_audit for each in cell.arms[name].refreshes)),
    "gate_labels": lambda cell, name: float(sum(each.asked_by_gate for each in cell.arms[name].refreshes)),
    "distinct_labels": _distinct,
    "label_passes": _passes,
    "labels_by_gold": lambda cell, name: _by_gold(cell.arms[name]),
    "audit_used_first": lambda cell, name: _used(cell.arms[name].refreshes[0]) if cell.arms[name].refreshes else None,
    "audit_used": lambda cell, name: _used(cell.arms[name].refreshes[-1]) if cell.arms[name].refreshes else None,
}
"""Each measure of labels by name, as in `frft.study.measured.MEASURES`; what each is, `ArmMeasures` says."""
