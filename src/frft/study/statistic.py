"""The statistics that predictions are about: each a form in the study's file, and what the cells say of it.

All but `recovery`, a ratio of two means, have a value for every seed, and are its mean.

Gold reward, the measure unless another is named, is its mean over all steps after the first refresh.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from pydantic import Field, field_validator, model_validator

from frft.config.model import VANILLA
from frft.config.sections import Section, WorldConfig
from frft.statistics.estimates import Estimate, estimate, slope
from frft.study.analysis import fieller, paired_p
from frft.study.measured import MEASURES, NotMeasuredError, StudyMeasurements

Roles = Mapping[str, str]
"""The arm of each role that the study names: `primary`, `control`, `ceiling` and, where there is one, `perfect`."""
_DIALS = [name for name, field in WorldConfig.model_fields.items() if field.annotation in (int, float)]


@dataclass(frozen=True)
class StatisticFound:
    """What finished cells say of a statistic.

    Attributes:
        estimate: the statistic with its interval; None: it has none.
        p: two-sided p-value of a paired t test of the statistic against 0; None: there is no estimate, or one seed.
        why: why there is no estimate; None: there is one.
    """

    estimate: Estimate | None
    p: float | None
    why: str | None = None


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

    def _arms(self, roles: Roles) -> list[str]:
        """The arms that it names."""
        return [roles.get(name, name) for name in self.named_arms.values()]


class _MeanOfSeeds(_Statistic):
    """What all statistics have that are the mean of a value for every seed."""

    @abstractmethod
    def values(self, measured: StudyMeasurements, roles: Roles) -> list[float]:
        """Its value for each seed.

        Raises:
            NotMeasuredError: fewer than two cells have what it needs.
        """

    def found(self, measured: StudyMeasurements, roles: Roles, level: float) -> StatisticFound:
        """Its mean over seeds, with Student's interval at a confidence level.

        Raises:
            NotMeasuredError: fewer than two cells have what it needs.
        """
        values = self.values(measured, roles)
        return StatisticFound(estimate(values, level=level), paired_p(values))


class _Comparison(_Statistic):
    """What all statistics of a gain have: the arm over which it is one."""

    over: str = "control"
    """The arm over which it gains, by its name or role."""

    @property
    def named_arms(self) -> dict[str, str]:
        return {"arm": self.arm, "over": self.over}

    def _gains(self, measured: StudyMeasurements, roles: Roles, point: str, seeds: Sequence[int]) -> list[float]:
        arm, over = self._arms(roles)[:2]
        return measured.gains(point, arm, over, self.measure, seeds)


class _AtOnePoint(Section):
    """What statistics of one point have."""

    point: str
    """The point."""

    @property
    def named_points(self) -> dict[str, list[str]]:
        """The points that it names, by the key that names them."""
        return {"point": [self.point]}


class GainStatistic(_AtOnePoint, _Comparison, _MeanOfSeeds):
    """How much more of a measure one arm has than another, at one point."""

    offset: float = 0.0
    """Added to the gain: a margin by which it may be smaller."""

    def values(self, measured: StudyMeasurements, roles: Roles) -> list[float]:
        """Its value for each seed.

        Raises:
            NotMeasuredError: fewer than two cells have what it needs.
        """
        seeds = measured.seeds(self.point, arms=self._arms(roles))
        return [each + self.offset for each in self._gains(measured, roles, self.point, seeds)]


class DifferenceStatistic(_Comparison, _MeanOfSeeds):
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
        seeds = measured.seeds(*self.points, arms=self._arms(roles))
        first, second = (self._gains(measured, roles, point, seeds) for point in self.points)
        return [one - other for one, other in zip(first, second, strict=True)]


class SlopeStatistic(_Comparison, _MeanOfSeeds):
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
        seeds = measured.seeds(*self.points, arms=self._arms(roles))
        gains = [self._gains(measured, roles, point, seeds) for point in self.points]
        numbers = [self.number(point, measured.cells(point)[0].world) for point in self.points]
        return [slope(numbers, of_seed) for of_seed in zip(*gains, strict=True)]


class MeanStatistic(_AtOnePoint, _MeanOfSeeds):
    """The mean of a measure of one arm at one point, less a constant."""

    minus: float = 0.0
    """The constant, such as 0.5 for an accuracy that a coin has."""

    def values(self, measured: StudyMeasurements, roles: Roles) -> list[float]:
        """Its value for each seed.

        Raises:
            NotMeasuredError: fewer than two cells have what it needs.
        """
        (arm,) = self._arms(roles)
        seeds = measured.seeds(self.point, arms=[arm])
        if len(seeds) < 2:
            raise NotMeasuredError(f"{arm} at {self.point}")
        found = [each for each in measured.values(self.point, arm, self.measure, seeds) if each is not None]
        if len(found) < len(seeds):
            raise NotMeasuredError(f"{self.measure} of {arm} at {self.point}")
        return [each - self.minus for each in found]


class RecoveryStatistic(_AtOnePoint, _Comparison):
    """The share that an arm has of the ceiling's gain, at one point, less a constant.

    It is the ratio of two means over seeds, (arm - over) / (ceiling - over), with Fieller's interval.
    """

    over: str = VANILLA
    """The arm over which both gain, by its name or role."""
    ceiling: str = "ceiling"
    """The arm whose gain is the whole, by its name or role."""
    minus: float = 0.0
    """The constant, such as 0.25 for a quarter of the ceiling's gain."""

    @property
    def named_arms(self) -> dict[str, str]:
        return {"arm": self.arm, "over": self.over, "ceiling": self.ceiling}

    def found(self, measured: StudyMeasurements, roles: Roles, level: float) -> StatisticFound:
        """The ratio less the constant; no estimate where Fieller's set at this confidence level has no two ends.

        Its p-value is that of mean((arm - over) - minus * (ceiling - over)) against 0, which Fieller's set inverts.

        Raises:
            NotMeasuredError: fewer than two cells have what it needs.
        """
        arm, over, best = self._arms(roles)
        seeds = measured.seeds(self.point, arms=(arm, over, best))
        if len(seeds) < 2:
            raise NotMeasuredError(f"{arm}, {over} and {best} at {self.point}")
        gained, ceiling = (measured.gains(self.point, name, over, self.measure, seeds) for name in (arm, best))
        ratio = fieller(gained, ceiling, level)
        if ratio is None:
            how = "is not" if sum(ceiling) <= 0 else f"is not shown to be, at {100 * level:g} %,"
            return StatisticFound(None, None, f"no share of the gain of {best} over {over}: it {how} above 0")
        assert ratio.interval is not None
        low, high = ratio.interval
        less = [own - self.minus * whole for own, whole in zip(gained, ceiling, strict=True)]
        found = Estimate(ratio.mean - self.minus, low - self.minus, high - self.minus, ratio.n)
        return StatisticFound(found, paired_p(less))


def _factors(dial: str | None) -> list[str]:
    return [] if dial is None else [name.strip() for name in dial.split("*")]
