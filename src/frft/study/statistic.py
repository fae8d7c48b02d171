"""The statistics that predictions are about: each a form in the study's file, and its value for every seed.

Gold reward, the measure unless another is named, is its mean over all steps after the first refresh.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Self

from pydantic import Field, field_validator, model_validator

from frft.config.sections import Section, WorldConfig
from frft.statistics.estimates import slope
from frft.study.measured import MEASURES, NotMeasuredError, StudyMeasurements

Roles = Mapping[str, str]
"""The arm of each role that the study names: `primary`, `control`, `ceiling` and, where there is one, `perfect`."""
_DIALS = [name for name, field in WorldConfig.model_fields.items() if field.annotation in (int, float)]


class _Statistic(Section):
    """What all statistics have: an arm, and a measure of it."""

    arm: str = "primary"
    """The arm, by its name or its role: primary, control, ceiling or perfect."""
    measure: str = "gold"
    """The measure."""

    @field_validator("measure")
    @classmethod
    def _is_measured(cls, name: str) -> str:
        if name not in MEASURES:
            raise ValueError(f"{name!r} is no measure; measures are {', '.join(MEASURES)}")
        return name

    @property
    def named_arms(self) -> dict[str, str]:
        """The arms or roles that it names, by the key that names them."""
        return {"arm": self.arm}


class _Comparison(_Statistic):
    """What all statistics of a gain have: the arm over which it is one."""

    over: str = "control"
    """The arm over which it gains, by its name or role."""

    @property
    def named_arms(self) -> dict[str, str]:
        return {"arm": self.arm, "over": self.over}

    def _gains(self, measured: StudyMeasurements, roles: Roles, point: str, seeds: Sequence[int]) -> list[float]:
        arm, over = (roles.get(name, name) for name in (self.arm, self.over))
        return measured.gains(point, arm, over, self.measure, seeds)


class _AtOnePoint(Section):
    """What statistics of one point have."""

    point: str
    """The point."""

    @property
    def named_points(self) -> dict[str, list[str]]:
        """The points that it names, by the key that names them."""
        return {"point": [self.point]}


class GainStatistic(_AtOnePoint, _Comparison):
    """How much more of a measure one arm has than another, at one point."""

    offset: float = 0.0
    """Added to the gain: a margin by which it may be smaller."""

    def values(self, measured: StudyMeasurements, roles: Roles) -> list[float]:
        """Its value for each seed.

        Raises:
            NotMeasuredError: fewer than two cells have what it needs.
        """
        return [each + self.offset for each in self._gains(measured, roles, self.point, measured.seeds(self.point))]


class DifferenceStatistic(_Comparison):
    """The gain of one arm over another at a first point, less that at a second."""

    points: tuple[str, str]
    """The two points."""

    @property
    def named_points(self) -> dict[str, list[str]]:
        """The points that it names, by the key that names them."""
        return {"points": list(self.points)}

    def values(self, measured: StudyMeasurements, roles: Roles) -> list[float]:
        """Its value for each seed that both points have.

        Raises:
            NotMeasuredError: fewer than two cells have what it needs.
        """
        seeds = measured.seeds(*self.points)
        first, second = (self._gains(measured, roles, point, seeds) for point in self.points)
        return [one - other for one, other in zip(first, second, strict=True)]


class SlopeStatistic(_Comparison):
    """The least-squares slope of the gain of one arm over another, over points that differ in a number."""

    points: dict[str, float] | list[str] = Field(min_length=2)
    """The points with the number of each; or their names, where the number is a dial of their worlds."""
    dial: str | None = None
    """That dial (a setting of data.world), or a product of several: lambda_*kappa."""

    @field_validator("dial")
    @classmethod
    def _is_a_dial(cls, dial: str | None) -> str | None:
        unknown = [name for name in _factors(dial) if name not in _DIALS]
        if unknown:
            raise ValueError(f"{', '.join(map(repr, unknown))}: no dial with a number; these are {', '.join(_DIALS)}")
        return dial

    @model_validator(mode="after")
    def _has_numbers(self) -> Self:
        if isinstance(self.points, dict) and self.dial is not None:
            raise ValueError("points names its numbers, and dial others; leave out one of the two")
        if isinstance(self.points, list) and self.dial is None:
            raise ValueError("points needs a number for each (points: {NAME: NUMBER}), or a dial to take them from")
        if isinstance(self.points, dict) and len(set(self.points.values())) < 2:
            raise ValueError("points all have the same number, over which there is no slope")
        return self

    @property
    def named_points(self) -> dict[str, list[str]]:
        """The points that it names, by the key that names them."""
        return {"points": list(self.points)}

    def number(self, point: str, world: WorldConfig) -> float:
        """The number of a point in whose cells the world has these dials."""
        if isinstance(self.points, dict):
            return self.points[point]
        return math.prod(float(getattr(world, name)) for name in _factors(self.dial))

    def values(self, measured: StudyMeasurements, roles: Roles) -> list[float]:
        """Its value for each seed that all points have.

        Raises:
            NotMeasuredError: fewer than two cells have what it needs.
        """
        seeds = measured.seeds(*self.points)
        gains = [self._gains(measured, roles, point, seeds) for point in self.points]
        numbers = [self.number(point, measured.cells(point)[0].world) for point in self.points]
        return [slope(numbers, of_seed) for of_seed in zip(*gains, strict=True)]


class MeanStatistic(_AtOnePoint, _Statistic):
    """The mean of a measure of one arm at one point, less a constant."""

    minus: float = 0.0
    """The constant, such as 0.5 for an accuracy that a coin has."""

    def values(self, measured: StudyMeasurements, roles: Roles) -> list[float]:
        """Its value for each seed.

        Raises:
            NotMeasuredError: fewer than two cells have what it needs.
        """
        arm, seeds = roles.get(self.arm, self.arm), measured.seeds(self.point)
        if len(seeds) < 2 or arm not in measured.arms(self.point):
            raise NotMeasuredError(f"{arm} at {self.point}")
        found = [each for each in measured.values(self.point, arm, self.measure, seeds) if each is not None]
        if len(found) < len(seeds):
            raise NotMeasuredError(f"{self.measure} of {arm} at {self.point}")
        return [each - self.minus for each in found]


def _factors(dial: str | None) -> list[str]:
    return [] if dial is None else [name.strip() for name in dial.split("*")]
