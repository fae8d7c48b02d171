"""Parts of a study's file: the points of its grid, and what its pictures show."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from frft.config.sections import Section

LineName = Annotated[str, StringConstraints(min_length=1, max_length=48)]


class FewerSeeds(Section):
    """Arms of a point that run with the first of its seeds alone."""

    seeds: int = Field(gt=0)
    """The number of these seeds."""
    arms: list[str] = Field(min_length=1)
    """The arms."""


class PointConfig(Section):
    """One point of the grid."""

    changes: dict[str, Any] = Field(default_factory=dict)
    """Settings that replace those of `base` at this point."""
    more_arms: list[str] = Field(default_factory=list)
    """Arms that run at this point besides those of `everywhere`."""
    seeds: int | None = Field(default=None, gt=0)
    """Seeds of this point, from the study's `first_seed` on; none: the study's `seeds`."""
    on_fewer_seeds: FewerSeeds | None = None
    """Further arms, which run with the first seeds alone; none: all arms run with all seeds."""

    @property
    def few(self) -> list[str]:
        """The arms that run with the first seeds alone."""
        return [] if self.on_fewer_seeds is None else self.on_fewer_seeds.arms


class PanelConfig(Section):
    """A panel of the picture panels.svg: what arms gain in gold reward over the control, along a dial."""

    x: str = Field(min_length=1)
    """The label of the x axis."""
    points: dict[str, float] = Field(min_length=1)
    """The points in it, with the place of each on the x axis."""
    arms: list[str] = Field(default_factory=list)
    """The arms in it, by name or role, at those points where they run; empty: those of every point but vanilla and the
    control."""
    log: bool = False
    """Whether the x axis is logarithmic."""

    @model_validator(mode="after")
    def _has_logarithms(self) -> Self:
        if self.log and min(self.points.values()) <= 0:
            raise ValueError("log: an axis is logarithmic only where all numbers of points are above 0")
        return self


class CurveConfig(Section):
    """A panel of the picture curves.svg: what arms gain over vanilla, or recover of that of the ceiling, by labels."""

    point: str
    """The point."""
    lines: dict[LineName, list[str]] = Field(min_length=1)
    """The lines by name, each with its arms, by name or role, in any order."""
    x: Literal["labels", "distinct_labels"] = "labels"
    """Fresh labels asked for in all uses, or different ones trained on."""
    y: Literal["gain", "recovery"] = "gain"
    """Gold reward above vanilla, or the share of the ceiling's gain that this is."""
    log: bool = False
    """Whether the x axis is logarithmic; all arms must ask for labels then."""
