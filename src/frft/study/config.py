"""What a study is: points x seeds, and the arms that run at each.

A *point* changes settings of a base run in a world. A *cell* is one point with one seed: a run with all arms of that
point. Seeds are paired: seed s is that of the world and of the run at every point, so that points which do not change
the texts share them, and the SFT model with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from frft.config import RunConfig
from frft.config.layers import COMMAND_LINE, Layer, origin_of, override_layers
from frft.config.model import VANILLA, merged
from frft.config.problems import explain, plain_message
from frft.config.sections import Section
from frft.config.syntax import dotted, parse_yaml
from frft.errors import ConfigError
from frft.strategies import get_strategy

StudyName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


class PointConfig(Section):
    """One point of the grid."""

    changes: dict[str, Any] = Field(default_factory=dict)
    """Settings that replace those of `base` at this point."""
    more_arms: list[str] = Field(default_factory=list)
    """Arms that run at this point besides those of `everywhere`."""


class StudyConfig(Section):
    """A grid of runs."""

    seeds: int = Field(default=8, gt=0)
    """Seeds of every point; more make every interval narrower, and the study as much longer."""
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

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        named = {"everywhere": self.everywhere, "perfect": [self.perfect] if self.perfect else []} | {
            f"points.{point}.more_arms": each.more_arms for point, each in self.points.items()
        }
        for key, names in named.items():
            unknown = [name for name in names if name not in self.arms]
            if unknown:
                raise ValueError(f"{key}: {', '.join(unknown)}: no such arm; arms are {', '.join(self.arms)}")
        needed = [VANILLA, self.primary, self.control, self.ceiling]
        missing = [name for name in needed if name not in self.everywhere]
        if missing:
            raise ValueError(f"everywhere must hold {', '.join(missing)}: every point is compared with them")
        for key in ("seed", "seeds", "arms", "threads", "workers"):
            if key in self.base:
                raise ValueError(f"base.{key}: is the study's own; leave it out")
        return self


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
            except ConfigError as error:
                problems.append(str(error))
        if problems:
            raise ConfigError("\n".join(dict.fromkeys(line for text in problems for line in text.split("\n"))))

    @cached_property
    def cells(self) -> list[Cell]:
        """All cells, point by point."""
        first = self.config.first_seed
        return [self.cell(point, first + n) for point in self.config.points for n in range(self.config.seeds)]

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

    def cell(self, point: str, seed: int) -> Cell:
        """The cell of a point and a seed."""
        config = self.config
        names = dict.fromkeys([*config.everywhere, *config.points[point].more_arms])
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


def load_study(name: str, overrides: Sequence[str] = ()) -> Study:
    """The study of this name with changes.

    Args:
        name: name of a study that comes with the package.
        overrides: `key=value` with dotted keys: `seeds=16`, `base.ppo.total_steps=64`, `points.lambda-0=null` (which
            removes a point).

    Raises:
        ConfigError: there is no such study, or it is not a valid one with these changes.
    """
    folder = resources.files(__package__)
    names = study_names()
    if name not in names:
        raise ConfigError(f"{name!r} is no study. Studies: {', '.join(names)}")
    origin = f"study {name}"
    values, lines = parse_yaml((folder / f"{name}.yaml").read_text("utf-8"), origin)
    layers = [Layer(origin, values, lines), *override_layers(overrides)]
    for layer in layers[1:]:
        values = merged(values, dict(layer.values))
    if isinstance(values["points"], dict):
        values["points"] = {point: each for point, each in values["points"].items() if each is not None}
    try:
        config = StudyConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(fault, layers) for fault in error.errors(include_url=False))) from None
    return Study(name, config)


def study_names() -> list[str]:
    """The studies that come with the package."""
    files = (file.name for file in resources.files(__package__).iterdir())
    return sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml"))


def _explain(fault: Any, layers: Sequence[Layer]) -> str:
    key = fault["loc"]
    origin = origin_of(key, layers) if key else COMMAND_LINE if len(layers) > 1 else layers[0].origin
    return f"{origin}: {f'{dotted(key)}: ' if key else ''}{plain_message(fault)}"
