"""Figures of a look at an arm during training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from frft.diagnosis import DiagnosisFigures, GaoFit, Link, Movement
from frft.diagnosis.verdict import RewardVerdict
from frft.statistics import Estimate
from frft.store import OMITTED, StoredValue


@dataclass(frozen=True)
class GoldView(StoredValue):
    """The figures of a look with the gold reward as its judge, for comparison with the judge that decided.

    Attributes:
        fired: names of the alarms that fired, and of broken links.
        links: the links of objective mismatch.
        movement: how the policy moved, by proxy and gold; None: there is nothing to compare with.
        gao: Gao's curve of the gold reward; None: too few steps.
    """

    fired: list[str]
    links: list[Link]
    movement: Movement | None
    gao: GaoFit | None


@dataclass(frozen=True, kw_only=True)
class LookInfo(DiagnosisFigures, StoredValue):
    """A look at an arm while it is trained (stage `look`), against its last refresh or its start.

    Attributes:
        step: steps completed.
        drift: probability (AUC) that a classifier tells a text of now from one of then; 0.5: nothing has moved. None:
            not measured, or nothing was trained since.
        fired: names of the alarms that fired, and of broken links.
        verdict: healthy, broken or undecided.
        decided_by: the grounds of the verdict, a line each.
        by_gold: the look with the gold reward as judge; None: it is the judge already, or the run is not in a world.
        judge_counts: other counts of the judge for this look, as in `EvaluationInfo`; left out where there are none.
    """

    step: int
    drift: Estimate | None
    fired: list[str]
    verdict: RewardVerdict
    decided_by: list[str]
    by_gold: GoldView | None
    judge_counts: Annotated[dict[str, Any] | None, OMITTED] = None
