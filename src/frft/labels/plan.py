"""How many labels a purpose takes, by how often the labeller is right and how often the answer is a tie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from frft.errors import DataError
from frft.labels.sequential import audit_labels_needed
from frft.statistics.power import POWER, prompts_needed

MOST_AUDIT_LABELS = 500
"""Largest number of telling labels of one source that a plan considers; exact figures for more take minutes."""


@dataclass(frozen=True)
class PlannedLabels:
    """Labels for one purpose, ties included.

    Attributes:
        size: for an audit, the share of a source's labels that are right; for a gate, the gain in accuracy: 0 to 1.
        labels: number of labels with which the right answer has a probability of 80 %; None: more than an audit of
            MOST_AUDIT_LABELS labels takes, or nothing can be found.
    """

    size: float
    labels: int | None


@dataclass(frozen=True)
class LabelPlan:
    """Budgets of labels.

    Attributes:
        labeller: probability that a label other than a tie is right.
        ties: share of labels that are ties.
        sources: number of sources audited together.
        audits: labels of each source, at most, by how often it is right.
        disagreement: share of pairs on which the old and the new reward model disagree.
        gates: labels of a gate, by how much more often the new reward model is right.
    """

    labeller: float
    ties: float
    sources: int
    audits: list[PlannedLabels]
    disagreement: float
    gates: list[PlannedLabels]


def plan_labels(
    labeller: float,
    ties: float = 0.0,
    sources: int = 1,
    right: Sequence[float] = (0.13, 0.3, 0.715, 0.9),
    gains: Sequence[float] = (0.02, 0.05, 0.1),
    disagreement: float = 0.3,
) -> LabelPlan:
    """The labels that audits and gates take, with a power of 80 % at a level of 5 %.

    An audit is that of `audit_sources`. A gate compares the accuracies of two reward models on the same pairs, of which
    the share D has different outcomes. With labels that are right with probability q, independently of both models, a
    gain g shrinks to (2 q - 1) g, and the difference on a pair, -1, 0 or 1, has the variance D - ((2 q - 1) g)^2. The
    test is Student's, two-sided, over pairs.

    Args:
        labeller: q, above 0.5.
        ties: share of labels that are ties or skips, which tell nothing: 0 to 1, not 1.
        sources: number of sources that are audited together, at least 1.
        right: for audits, shares of right labels of a source, 0 to 1; not 0.5.
        gains: for gates, gains in accuracy, above 0.
        disagreement: D, at least every gain, at most 1.

    Raises:
        DataError: a value is outside its range.
    """
    if not 0.5 < labeller <= 1:
        raise DataError(
            f"A labeller must be right more often than not (--labeller-accuracy): above 0.5 and at most 1, got "
            f"{labeller}."
        )
    if not 0 <= ties < 1:
        raise DataError(f"The share of ties is {ties} (--ties); it must be at least 0 and below 1.")
    if sources < 1:
        raise DataError(f"{sources} sources can be no audit; give at least 1 (--sources).")
    for share in right:
        if not 0 <= share <= 1 or share == 0.5:
            raise DataError(
                f"A source that is right in {share} of its pairs (--right): give 0 to 1, and not 0.5, a coin."
            )
    for gain in gains:
        if not 0 < gain <= disagreement <= 1:
            raise DataError(
                f"A gain of {gain} (--gains) where the models differ on {disagreement} of the pairs (--disagreement): "
                "give a gain above 0 and at most the disagreement, which is at most 1."
            )

    def with_ties(count: int | None) -> int | None:
        # Rounded first: 90 / 0.9 is meant as 100.
        return None if count is None else math.ceil(round(count / (1 - ties), 6))

    def gate(gain: float) -> int | None:
        seen = (2 * labeller - 1) * gain
        return prompts_needed(seen, math.sqrt(disagreement - seen**2), power=POWER)

    audits = [
        PlannedLabels(share, with_ties(audit_labels_needed(share, labeller, sources, POWER, MOST_AUDIT_LABELS)))
        for share in right
    ]
    return LabelPlan(
        labeller, ties, sources, audits, disagreement, [PlannedLabels(gain, with_ties(gate(gain))) for gain in gains]
    )
