"""What a study is: points x seeds, and the arms that run at each.

A *point* changes settings of a base run in a world. A *cell* is one point with one seed: a run with all arms of that
point. Seeds are paired: seed s is that of the world and of the run at every point, so that points which do not change
the texts share them, and the SFT model with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from frft.config import RunConfig
from frft.config.layers import Layer
from frft.config.model import VANILLA, merged
from frft.config.problems import explain
from frft.config.sections import Section
from frft.errors import ConfigError
from frft.results.study import ROLES
from frft.strategies import get_strategy
from frft.study.parts import CurveConfig, PanelConfig, PointConfig
from frft.study.predictions import Claim, Prediction, PredictionName, SanityCheck, placeholders

PictureTitle = Annotated[str, StringConstraints(min_length=1, max_length=64)]
StudyName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


class StudyConfig(Section):
    """A grid of runs."""

    seeds: int = Field(default=8, gt=0)
    """Seeds of every point that has no number of its own; more make every interval narrower, and the study as much
    longer."""
    first_seed: int = Field(default=0, ge=0)
    """The first of the `seeds` consecutive seeds. Earlier ones may have been looked at, so they decide nothing."""
    workers: int | None = Field(default=None, gt=0)
    """Processes, each with one thread and one seed at a time; null: as many as there are cores. Changes no result."""
    base: dict[str, Any]
    """The run that all points start from, as in a configuration of `frft run`; `seed` and `arms` are the study's."""
    arms: dict[StudyName, dict[str, Any]]
    """All arms by name, as in a configuration of `frft run`."""
    everywhere: list[str]
    """Arms that run at every point."""
    points: dict[StudyName, PointConfig] = Field(min_length=1)
    """The grid."""
    primary: str = "density"
    """The arm that predictions about FRFT are decided on; written down before the runs."""
    control: str = "random"
    """The arm that tells selection from a refresh with as much data: it must differ from `primary` in that alone."""
    ceiling: str = "oracle"
    """The arm that recovery is relative to."""
    perfect: str | None = None
    """The arm that selects as a perfect embedder would, where it is run: whether a better selection would help."""
    removed_points: list[StudyName] = Field(default_factory=list)
    """Points that are left out, as by `points.NAME=null`; predictions that name one are not run."""
    predictions: dict[PredictionName, Prediction] = Field(default_factory=dict)
    """What is expected, by a short name, in the order of the page."""
    preregistration: str | None = None
    """When the predictions were written down, and what had been seen by then: a paragraph above their outcomes."""
    sanity: SanityCheck | None = None
    """The prediction without which no other counts, because the study could not have told."""
    claim: Claim | None = None
    """What may be said where several predictions hold together."""
    panels: dict[PictureTitle, PanelConfig] = Field(default_factory=dict)
    """The panels of the picture panels.svg, by title, from left to right."""
    curves: dict[PictureTitle, CurveConfig] = Field(default_factory=dict)
    """The panels of the picture curves.svg, by title, from left to right."""

    @property
    def roles(self) -> dict[str, str]:
        """The arm of each role."""
        return {role: arm for role in ROLES if (arm := getattr(self, role)) is not None}

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        named = {"everywhere": self.everywhere, "perfect": [self.perfect] if self.perfect else []}
        for point, each in self.points.items():
            named[f"points.{point}.more_arms"] = each.more_arms
            named[f"points.{point}.on_fewer_seeds.arms"] = each.few
        for key, names in named.items():
            unknown = [name for name in names if name not in self.arms]
            if unknown:
                raise ValueError(f"{key}: {', '.join(unknown)}: no such arm; arms are {', '.join(self.arms)}")
        needed = [VANILLA, self.primary, self.control, self.ceiling]
        missing = [name for name in needed if name not in self.everywhere]
        if missing:
            raise ValueError(f"everywhere: must hold {', '.join(missing)}: every point is compared with them")
        for key in ("seed", "seeds", "arms", "threads", "workers"):
            if key in self.base:
                raise ValueError(f"base.{key}: is the study's own; leave it out")
        taken = [role for role in ROLES if role in self.arms]
        if taken:
            raise ValueError(f"arms.{taken[0]}: is the name of a role in predictions; name the arm otherwise")
        problems = [
            *self._problems_of_seeds(),
            *self._problems_of_predictions(),
            *self._problems_of_claims(),
            *self._problems_of_panels(),
            *self._problems_of_curves(),
        ]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def seeds_of(self, point: str) -> range:
        """The seeds of a point, in order."""
        own = self.points[point].seeds
        return range(self.first_seed, self.first_seed + (self.seeds if own is None else own))

    def arms_at(self, point: str, seed: int | None = None) -> list[str]:
        """Names of the arms that run at a point with one of its seeds; None: with any of them."""
        few = self.points[point].on_fewer_seeds
        fewer = few.arms if few is not None and (seed is None or seed - self.first_seed < few.seeds) else []
        return list(dict.fromkeys([*self.everywhere, *self.points[point].more_arms, *fewer]))

    def _problems_of_seeds(self) -> Iterator[str]:
        """Arms that are to run with fewer seeds than their point has, and cannot."""
        for point, each in self.points.items():
            if each.on_fewer_seeds is None:
                continue
            place, there = f"points.{point}.on_fewer_seeds", len(self.seeds_of(point))
            if each.on_fewer_seeds.seeds >= there:
                yield f"{place}.seeds: must be below the number of the point's seeds, {there}"
            for arm in each.few:
                if arm in self.everywhere or arm in each.more_arms:
                    yield f"{place}.arms: {arm}: runs with all seeds (everywhere, more_arms); leave it out of one"

    def _problems_of_predictions(self) -> Iterator[str]:
        """Points, arms and roles that predictions name and the study does not have."""
        for name, prediction in self.predictions.items():
            place = f"predictions.{name}.{prediction.kind}"
            for key, points in prediction.statistic.named_points.items():
                yield from self._unknown(f"{place}.{key}", points=points)
            for key, arm in prediction.statistic.named_arms.items():
                yield from self._unknown(f"{place}.{key}", arms=[arm])
            for role in placeholders(prediction.statement):
                if role not in self.roles:
                    yield f"predictions.{name}.statement: {{{role}}}: no such role; roles are {', '.join(self.roles)}"

    def _problems_of_panels(self) -> Iterator[str]:
        """Points, arms and roles that panels name and the study does not have, and the control, which gains nothing."""
        for title, panel in self.panels.items():
            yield from self._unknown(f"panels.{title}.points", points=list(panel.points))
            yield from self._unknown(f"panels.{title}.arms", arms=panel.arms)
            if self.control in [self.roles.get(arm, arm) for arm in panel.arms]:
                yield f"panels.{title}.arms: {self.control}: is the control, above which gains are drawn; leave it out"

    def _problems_of_curves(self) -> Iterator[str]:
        """Points and arms that curves name and the study does not have, or not there."""
        for title, curve in self.curves.items():
            yield from self._unknown(f"curves.{title}.point", points=[curve.point])
            for line, arms in curve.lines.items():
                place = f"curves.{title}.lines.{line}"
                yield from self._unknown(place, arms=arms)
                for arm in (self.roles.get(name, name) for name in arms):
                    if arm == VANILLA:
                        yield f"{place}: {arm}: is what all others gain over; leave it out"
                    elif curve.point in self.points and arm in self.arms and arm not in self.arms_at(curve.point):
                        yield f"{place}: {arm}: does not run at point {curve.point}"

    def _unknown(self, key: str, points: Sequence[str] = (), arms: Sequence[str] = ()) -> Iterator[str]:
        """A problem for each point, arm or role that is named at a key and the study does not have."""
        there, here = [*self.points, *self.removed_points], [*self.roles, *self.arms]
        for point in points:
            if point not in there:
                yield f"{key}: {point}: no such point; points are {', '.join(there)}"
        for arm in arms:
            if arm not in here:
                yield f"{key}: {arm}: no such arm or role; there are {', '.join(here)}"

    def _problems_of_claims(self) -> Iterator[str]:
        """Predictions that `sanity` and `claim` name and the study does not have."""
        named = {
            "sanity.prediction": [self.sanity.prediction] if self.sanity else [],
            "claim.needs": self.claim.needs if self.claim else [],
        }
        for key, predictions in named.items():
            for name in predictions:
                if name not in self.predictions:
                    there_are = ", ".join(self.predictions) or "there are none"
                    yield f"{key}: {name}: no such prediction; {there_are}"
        if self.sanity and self.claim and self.sanity.prediction not in self.claim.needs:
            yield f"claim.needs: must hold {self.sanity.prediction}, without which no other prediction counts (sanity)"


@dataclass(frozen=True)
class Cell:
    """One point with one seed.

    Attributes:
        point: its name.
        seed: the seed of the world and of the run.
        config: the run, with the arms of the point.
    """

    point: str
    seed: int
    config: RunConfig

    @property
    def name(self) -> str:
        """POINT-SEED, as the cell's files are called."""
        return f"{self.point}-{self.seed}"


class Study:
    """A study by name, and its cells.

    Args:
        name: the name of the study, for messages.
        config: the grid.

    Raises:
        ConfigError: a point is no valid run in a world; all of them are checked.
    """

    def __init__(self, name: str, config: StudyConfig) -> None:
        self.name, self.config = name, config
        problems = []
        for point in config.points:
            try:
                problems += self._wrong_sources(self.cell(point, config.first_seed))
                problems += self._wrong_columns(self.cell(point, config.first_seed))
            except ConfigError as error:
                problems.append(str(error))
        if not problems:
            problems += [*self._flat_slopes(), *self._arms_without_labels()]
        if problems:
            raise ConfigError("\n".join(dict.fromkeys(line for text in problems for line in text.split("\n"))))

    @cached_property
    def cells(self) -> list[Cell]:
        """All cells, point by point."""
        return [self.cell(point, seed) for point in self.config.points for seed in self.config.seeds_of(point)]

    def _wrong_sources(self, cell: Cell) -> list[str]:
        """Arms that select a source other than the one near which the policy of their point starts."""
        from frft.worlds import World

        filters = {name: cell.config.arm(name).selection for name in cell.config.arms}
        named = {name: each.source for name, each in filters.items() if get_strategy(each.strategy).needs_source}
        if not named or cell.config.data.world is None:
            return []
        world = World(cell.config.data.world)
        near = world.sources.names[world.config.near_policy]
        return [
            f"study {self.name}: arms.{name}: source {source!r} is not the one near which the policy of point "
            f"{cell.point} starts, which is {near!r} (data.world.near_policy); set arms.{name}.selection.source to it, "
            "or leave the arm out at this point"
            for name, source in named.items()
            if source != near
        ]

    def _wrong_columns(self, cell: Cell) -> list[str]:
        """Arms that select a domain which the world of their point does not have."""
        from frft.worlds import World

        world = cell.config.data.world
        filters = {name: cell.config.arm(name).selection for name in cell.config.arms}
        named = {name: each.value for name, each in filters.items() if each.columns == ("domain",)}
        if world is None or not named:
            return []
        # The pool of a world of one domain has no such column, which a run refuses by itself.
        domains = World(world).domains
        return [
            f"study {self.name}: arms.{name}: selection.value {value!r} is no domain at point {cell.point}, where the "
            f"domains are {', '.join(domains)}"
            for name, value in named.items()
            if value not in domains
        ]

    def not_run(self) -> dict[str, str]:
        """The predictions that no cell of this study can decide, by name: what their points lack."""
        config, found = self.config, {}
        for name, prediction in config.predictions.items():
            points = [point for named in prediction.statistic.named_points.values() for point in named]
            arms = [config.roles.get(arm, arm) for arm in prediction.statistic.named_arms.values()]
            for point in points:
                run = config.arms_at(point) if point in config.points else []
                missing = [arm for arm in arms if arm not in run]
                if missing and name not in found:
                    found[name] = f"{', '.join(missing)} at {point}"
        return found

    def _flat_slopes(self) -> list[str]:
        """Predictions about a slope over points that have one number all."""
        problems = []
        for name, prediction in self.config.predictions.items():
            found = prediction.slope
            if found is None or not set(found.points) <= set(self.config.points):
                continue
            worlds = {point: self.cell(point, self.config.first_seed).config.data.world for point in found.points}
            numbers = {found.number(point, world) for point, world in worlds.items() if world is not None}
            if len(numbers) == 1:
                problems.append(
                    f"study {self.name}: predictions.{name}.slope.dial: {found.dial} is {numbers.pop():g} at all of "
                    f"{', '.join(found.points)}, over which there is no slope"
                )
        return problems

    def _arms_without_labels(self) -> list[str]:
        """Arms of curves with a logarithmic axis that ask for no labels, so that they have no place on it."""
        problems = []
        for title, curve in self.config.curves.items():
            if not curve.log or curve.point not in self.config.points:
                continue
            cell = self.cell(curve.point, self.config.first_seed).config
            for line, names in curve.lines.items():
                for arm in (self.config.roles.get(name, name) for name in names):
                    fresh = cell.arm(arm).fresh
                    if cell.arm(arm).labels == "offline" or (fresh is not None and fresh.from_ == "self"):
                        problems.append(
                            f"study {self.name}: curves.{title}.lines.{line}: {arm} asks for no labels, and has no "
                            "place on a logarithmic axis; leave it or `log` out"
                        )
        return problems

    def cell(self, point: str, seed: int) -> Cell:
        """The cell of a point and a seed."""
        config = self.config
        names = config.arms_at(point, seed)
        # One thread: the order of floating-point sums, and so their last digits, depends on the number of threads.
        own = {
            "seed": seed,
            "threads": 1,
            "workers": 1,
            "data": {"world": {"seed": seed}},
            "arms": {name: config.arms[name] for name in names},
        }
        layers = [
            Layer(f"study {self.name}: base", config.base),
            Layer(f"study {self.name}: points.{point}.changes", config.points[point].changes),
            Layer(f"study {self.name}", own),
        ]
        values: dict[str, Any] = {}
        for layer in layers:
            values = merged(values, dict(layer.values))
        try:
            return Cell(point, seed, RunConfig.model_validate(values))
        except ValidationError as error:
            raise ConfigError(explain(error, layers)) from None
