"""Finds a study by its name or file, and makes it of what stands there and of changes."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from frft.config.layers import Layer, origin_of, override_layers, read_config
from frft.config.model import merged
from frft.config.problems import plain_message
from frft.config.syntax import dotted, parse_yaml
from frft.errors import ConfigError
from frft.study.config import Study, StudyConfig


def load_study(name: str, overrides: Sequence[str] = ()) -> Study:
    """The study of this name, or in this file, with changes.

    Args:
        name: name of a study that comes with the package, or the path of a YAML file of the same form; a file that
            exists wins.
        overrides: `key=value` with dotted keys: `seeds=16`, `base.ppo.total_steps=64`, `points.lambda-0=null` (which
            removes a point).

    Raises:
        ConfigError: there is no such study, or it is not a valid one with these changes.
    """
    path = Path(name)
    if name in study_names() and not path.is_file():
        text, short, origin = (resources.files(__package__) / f"{name}.yaml").read_text("utf-8"), name, f"study {name}"
    elif path.suffix in (".yaml", ".yml") or path.is_file():
        text, short, origin = read_config(path, "study", study_names()), path.stem, name
    else:
        raise ConfigError(
            f"{name!r} is no study. Studies: {', '.join(study_names())}. One of your own is the path of its YAML file"
        )
    values, lines = parse_yaml(text, origin)
    if not isinstance(values, dict):
        raise ConfigError(f"{origin} is no study: it must be a mapping of keys, {', '.join(StudyConfig.model_fields)}")
    layers = [Layer(origin, values, lines), *override_layers(overrides)]
    for layer in layers[1:]:
        values = merged(values, dict(layer.values))
    values = _without_nulls(values)
    try:
        config = StudyConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(fault, layers) for fault in error.errors(include_url=False))) from None
    return Study(short, config)


def _without_nulls(values: dict[str, Any]) -> dict[str, Any]:
    """A study without what is null of points, predictions and pictures; such points are named in `removed_points`."""
    values = dict(values)
    for key in ("points", "predictions", "panels", "curves"):
        if not isinstance(values.get(key), dict):
            continue
        if key == "points" and (removed := [name for name, each in values[key].items() if each is None]):
            values["removed_points"] = [*(values.get("removed_points") or []), *removed]
        values[key] = {name: each for name, each in values[key].items() if each is not None}
    return values


def study_names() -> list[str]:
    """The studies that come with the package."""
    files = (file.name for file in resources.files(__package__).iterdir())
    return sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml"))


def _explain(fault: Any, layers: Sequence[Layer]) -> str:
    key = fault["loc"]
    if key:
        return f"{origin_of(key, layers)}: {dotted(key)}: {plain_message(fault)}"
    # A contradiction between settings names one of them at the beginning of each line.
    lines = plain_message(fault).split("\n")
    return "\n".join(f"{origin_of(line.split(':')[0].split('.'), layers)}: {line}" for line in lines)
