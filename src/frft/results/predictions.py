"""What became of a study's predictions: parts of study.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from frft.statistics import Estimate
from frft.store import OMITTED, StoredValue

Expected = Literal["above", "below", "none"]
Outcome = Literal["held", "not held", "undecided", "not run"]


@dataclass(frozen=True, kw_only=True)
class PredictionVerdict(StoredValue):
    """The outcome of a prediction (docs/study.md).

    Attributes:
        name: short name.
        statement: the prediction in words.
        expected: predicted sign of the statistic: above 0, below 0, or none (within the margin).
        margin: the smallest size that matters, in the statistic's unit.
        outcome: held, not held, undecided (too few seeds to say), or not run.
        missing: what was not measured; left out unless the outcome is "not run".
        why: why there is no estimate although its cells were run; left out where there is one.
        confidence: confidence level of the interval; left out where it is 0.95.
        family: the family of predictions over which p is corrected; left out where there is none.
        p: two-sided p-value of the statistic against 0; left out where there is no family, or no estimate.
        p_holm: p corrected by Holm over the family; one that is not below 0.05 is not held.
        estimate: the statistic over seeds; None: not run, or undecided because it has no two bounds.
    """

    name: str
    statement: str
    expected: Expected
    margin: float
    outcome: Outcome
    missing: Annotated[str | None, OMITTED] = None
    why: Annotated[str | None, OMITTED] = None
    confidence: Annotated[float | None, OMITTED] = None
    family: Annotated[str | None, OMITTED] = None
    p: Annotated[float | None, OMITTED] = None
    p_holm: Annotated[float | None, OMITTED] = None
    estimate: Estimate | None


@dataclass(frozen=True)
class SanityVerdict(StoredValue):
    """The prediction without which no other counts, because the study could not have told.

    Attributes:
        prediction: its name.
        otherwise: what is not shown where it did not hold.
        held: whether it held.
    """

    prediction: str
    otherwise: str
    held: bool


@dataclass(frozen=True)
class ClaimVerdict(StoredValue):
    """What may be said where several predictions hold together.

    Attributes:
        statement: what is claimed.
        needs: names of the predictions that it needs.
        holds: whether all of them held.
    """

    statement: str
    needs: list[str]
    holds: bool
