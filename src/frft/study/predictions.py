"""Predictions of a study, as its file states them, and whether they held.

Each names one statistic, what it is expected to be, and a margin: the smallest size that matters. The statistic's
interval decides, at 95 % unless the prediction names another confidence:

    above   held: wholly above 0.         not held: not above 0, and wholly below the margin
    below   held: wholly below 0.         not held: not below 0, and wholly above minus the margin
    none    held: wholly within +- margin.  not held: wholly above 0, or wholly below

and anything else is undecided: the seeds are too few to say. Of predictions in one family, one is held only if its
two-sided p-value after Holm's correction over the family is below 5 %, too; else what the interval holds is undecided.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from frft.config.sections import Section
from frft.results.predictions import ClaimVerdict, Expected, Outcome, PredictionVerdict, SanityVerdict
from frft.statistics import holm
from frft.statistics.estimates import Estimate
from frft.statistics.intervals import CONFIDENCE_LEVEL, SIGNIFICANCE_LEVEL
from frft.study.measured import NotMeasuredError, StudyMeasurements
from frft.study.statistic import (
    DifferenceStatistic,
    GainStatistic,
    MeanStatistic,
    RecoveryStatistic,
    Roles,
    SlopeStatistic,
    StatisticFound,
)

PredictionName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _-]{0,63}$")]
FamilyName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _-]{0,63}$")]
STATISTICS = ("gain", "difference", "slope", "mean", "recovery")
"""The keys of a prediction of which it has one: the kinds of statistics."""


class Prediction(Section):
    """One statement, and the statistic that decides it."""

    statement: str = Field(min_length=1)
    """What is predicted, in a sentence; {primary}, {control}, {ceiling} and {perfect} stand for the arms' names."""
    expected: Expected
    """Whether the statistic is expected above 0, below 0, or at 0 (`none`)."""
    margin: float = Field(ge=0)
    """The smallest size that matters, in the statistic's unit."""
    confidence: float = Field(default=CONFIDENCE_LEVEL, ge=0.5, lt=1)
    """Confidence level of the two-sided interval that decides; 0.9 for one-sided bounds of 95 %."""
    family: FamilyName | None = None
    """The family of predictions over which its p-value is corrected; none: it stands for itself."""
    gain: GainStatistic | None = None
    """The statistic: how much more of a measure one arm has than another, at one point."""
    difference: DifferenceStatistic | None = None
    """The statistic: the gain at one point less that at another."""
    slope: SlopeStatistic | None = None
    """The statistic: the slope of the gain over points that differ in a number."""
    mean: MeanStatistic | None = None
    """The statistic: the mean of a measure of one arm, less a constant."""
    recovery: RecoveryStatistic | None = None
    """The statistic: the share of the ceiling's gain that an arm has, less a constant."""

    @model_validator(mode="after")
    def _has_one_statistic(self) -> Self:
        given = [name for name in STATISTICS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of {', '.join(STATISTICS)}, not {' and '.join(given) or 'none'}")
        if self.family is not None and self.expected == "none":
            raise ValueError(
                "family corrects p-values of differences from 0, and expected: none says that there is no difference; "
                "leave one of them out"
            )
        return self

    @property
    def kind(self) -> str:
        """The key of its statistic."""
        return next(name for name in STATISTICS if getattr(self, name) is not None)

    @property
    def statistic(self) -> GainStatistic | DifferenceStatistic | SlopeStatistic | MeanStatistic | RecoveryStatistic:
        """Its statistic."""
        found = self.gain or self.difference or self.slope or self.mean or self.recovery
        assert found is not None
        return found

    def verdict(self, name: str, measured: StudyMeasurements, roles: Roles) -> PredictionVerdict:
        """The verdict on the prediction of this name, by the rule at the top of this file but for its family."""

        def told(how: Outcome, found: StatisticFound, missing: str | None = None) -> PredictionVerdict:
            return PredictionVerdict(
                name=name,
                statement=filled_in(self.statement, roles),
                expected=self.expected,
                margin=self.margin,
                outcome=how,
                missing=missing,
                why=found.why,
                confidence=None if self.confidence == CONFIDENCE_LEVEL else self.confidence,
                family=self.family,
                p=None if self.family is None else found.p,
                estimate=found.estimate,
            )

        try:
            found = self.statistic.found(measured, roles, self.confidence)
        except NotMeasuredError as missing:
            return told("not run", StatisticFound(None, None), str(missing))
        if found.estimate is None:
            return told("undecided", found)
        return told(outcome(found.estimate, self.expected, self.margin), found)


def verdicts_on(
    predictions: Mapping[str, Prediction], measured: StudyMeasurements, roles: Roles
) -> list[PredictionVerdict]:
    """The verdicts on all predictions by name, corrected within their families."""
    verdicts = {name: each.verdict(name, measured, roles) for name, each in predictions.items()}
    for family in dict.fromkeys(each.family for each in predictions.values()):
        if family is None:
            continue
        members = [name for name, each in predictions.items() if each.family == family]
        # One without a p-value counts in the family's size, which must not depend on what was run.
        raw = {name: p for name in members if (p := verdicts[name].p) is not None}
        corrected = holm(dict.fromkeys(members, 1.0) | raw)
        for name in raw:
            held = verdicts[name].outcome == "held" and corrected[name] >= SIGNIFICANCE_LEVEL
            changed: Outcome = "undecided" if held else verdicts[name].outcome
            verdicts[name] = replace(verdicts[name], p_holm=corrected[name], outcome=changed)
    return list(verdicts.values())


class SanityCheck(Section):
    """The prediction without which no other counts."""

    prediction: str
    """Its name."""
    otherwise: str = Field(min_length=1)
    """What is not shown where it does not hold, in a sentence without a full stop."""


class Claim(Section):
    """What may be said where several predictions hold together."""

    statement: str = Field(min_length=1)
    """What is claimed: the subject of "... can be claimed"."""
    needs: list[str] = Field(min_length=1)
    """Names of the predictions that must all hold."""


def placeholders(statement: str) -> list[str]:
    """The names in braces in a statement."""
    return re.findall(r"\{([^{}]*)\}", statement)


def filled_in(statement: str, roles: Roles) -> str:
    """A statement with the names of arms in place of their roles in braces."""
    return re.sub(r"\{([^{}]*)\}", lambda found: roles[found[1]], statement)


def outcome(found: Estimate, expected: Expected, margin: float) -> Outcome:
    """Whether a prediction held, by the rule at the top of this file."""
    if found.low is None or found.high is None:
        return "undecided"
    # Below 0 is above 0 for the mirrored interval.
    low, high = (-found.high, -found.low) if expected == "below" else (found.low, found.high)
    if expected == "none":
        if -margin < low and high < margin:
            return "held"
        return "not held" if low > 0 or high < 0 else "undecided"
    if low > 0:
        return "held"
    return "not held" if high < margin else "undecided"


def sanity_verdict(check: SanityCheck | None, verdicts: Sequence[PredictionVerdict]) -> SanityVerdict | None:
    """Whether the prediction held without which no other counts; None where the study names none."""
    if check is None:
        return None
    return SanityVerdict(check.prediction, check.otherwise, check.prediction in _held(verdicts))


def claim_verdict(claim: Claim | None, verdicts: Sequence[PredictionVerdict]) -> ClaimVerdict | None:
    """Whether all predictions held that a claim needs; None where the study claims nothing."""
    if claim is None:
        return None
    return ClaimVerdict(claim.statement, claim.needs, _held(verdicts).issuperset(claim.needs))


def _held(verdicts: Sequence[PredictionVerdict]) -> set[str]:
    return {verdict.name for verdict in verdicts if verdict.outcome == "held"}
