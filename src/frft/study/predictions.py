"""Predictions of a study, as its file states them, and whether they held.

Each names one statistic with a value for every seed, what it is expected to be, and a margin: the smallest size that
matters. The 95 % interval of its mean decides:

    above   held: wholly above 0.         not held: not above 0, and wholly below the margin
    below   held: wholly below 0.         not held: not below 0, and wholly above minus the margin
    none    held: wholly within +- margin.  not held: wholly above 0, or wholly below

and anything else is undecided: the seeds are too few to say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from frft.config.sections import Section
from frft.results.study import ClaimVerdict, Expected, Outcome, PredictionVerdict, SanityVerdict
from frft.statistics.estimates import Estimate, estimate
from frft.study.measured import NotMeasuredError, StudyMeasurements
from frft.study.statistic import DifferenceStatistic, GainStatistic, MeanStatistic, Roles, SlopeStatistic

PredictionName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _-]{0,63}$")]
STATISTICS = ("gain", "difference", "slope", "mean")
"""The keys of a prediction of which it has one: the kinds of statistics."""


class Prediction(Section):
    """One statement, and the statistic that decides it."""

    statement: str = Field(min_length=1)
    """What is predicted, in a sentence; {primary}, {control}, {ceiling} and {perfect} stand for the arms' names."""
    expected: Expected
    """Whether the statistic is expected above 0, below 0, or at 0 (`none`)."""
    margin: float = Field(ge=0)
    """The smallest size that matters, in the statistic's unit."""
    gain: GainStatistic | None = None
    """The statistic: how much more of a measure one arm has than another, at one point."""
    difference: DifferenceStatistic | None = None
    """The statistic: the gain at one point less that at another."""
    slope: SlopeStatistic | None = None
    """The statistic: the slope of the gain over points that differ in a number."""
    mean: MeanStatistic | None = None
    """The statistic: the mean of a measure of one arm, less a constant."""

    @model_validator(mode="after")
    def _has_one_statistic(self) -> Self:
        given = [name for name in STATISTICS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of {', '.join(STATISTICS)}, not {' and '.join(given) or 'none'}")
        return self

    @property
    def kind(self) -> str:
        """The key of its statistic."""
        return next(name for name in STATISTICS if getattr(self, name) is not None)

    @property
    def statistic(self) -> GainStatistic | DifferenceStatistic | SlopeStatistic | MeanStatistic:
        """Its statistic."""
        found = self.gain or self.difference or self.slope or self.mean
        assert found is not None
        return found

    def verdict(self, name: str, measured: StudyMeasurements, roles: Roles) -> PredictionVerdict:
        """The verdict on the prediction of this name, by the rule at the top of this file."""

        def told(how: Outcome, found: Estimate | None, missing: str | None = None) -> PredictionVerdict:
            return PredictionVerdict(
                name=name,
                statement=filled_in(self.statement, roles),
                expected=self.expected,
                margin=self.margin,
                outcome=how,
                missing=missing,
                estimate=found,
            )

        try:
            found = estimate(self.statistic.values(measured, roles))
        except NotMeasuredError as missing:
            return told("not run", None, str(missing))
        return told(outcome(found, self.expected, self.margin), found)


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
