"""From a preset or a YAML file and a command line to a `RunConfig`, and back.

The command line wins over the file, the file over what it `extends`, and that over the defaults. Sections
are merged key by key; any other value, a list too, is replaced. `arms.NAME: null` removes an arm of a lower
layer.

Paths in a configuration (`data.pairs`, `evaluation.prompts`, model folders) are relative to the current
directory, wherever the file lies; only the path after `extends` is relative to the file that names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from frft.config.layers import Layer, override_layers, source_layers
from frft.config.model import RunConfig, merged
from frft.config.problems import explain
from frft.config.smoke import scaled_down
from frft.config.syntax import dump_yaml
from frft.errors import ConfigError


def load_config(source: str, overrides: Sequence[str] = (), *, limit: int | None = None) -> RunConfig:
    """Read and check a configuration.

    Args:
        source: a YAML file's path, or a preset's name; a file that exists wins. The file may start from
            another or from a preset: `extends: hh-small`.
        overrides: `key=value` with dotted keys (`arms.part1.selection.size=400`), values in YAML
            (`refresh.at_steps=[4, 8]`, `data.limit=null`). Of two for the same key the later counts.
        limit: make it a smoke run on that many pairs: see `frft.config.smoke.scaled_down`.

    Raises:
        ConfigError: names every problem of the configuration in a line of its own: file and line (or "command
            line"), dotted key, what is wrong, what was given, and for an unknown key the nearest known one.
    """
    files = source_layers(source)
    layers = [*files, *override_layers(overrides)]
    # Without a section `data`, the error should name the key to give, `data.pairs`: so the section is there, empty.
    defaults: dict[str, Any] = {"data": {}}
    if not any("arms" in layer.values for layer in files):
        # The command line may change one of the default arms without naming them all.
        defaults["arms"] = RunConfig.model_fields["arms"].default
    try:
        config = RunConfig.model_validate(merge_layers([Layer("defaults", defaults), *layers]))
    except ValidationError as error:
        raise ConfigError(explain(error, layers)) from None
    return config if limit is None else scaled_down(config, limit)


def dump_config(config: RunConfig) -> str:
    """The whole configuration as YAML; loading it gives an equal one."""
    return dump_yaml(config.model_dump())


def merge_layers(layers: Sequence[Layer]) -> dict[str, Any]:
    """Merge all layers, later ones over earlier ones; an arm that a later layer sets to null is removed."""
    values: dict[str, Any] = {}
    for layer in layers:
        known, arms = values.get("arms"), layer.values.get("arms")
        values = merged(values, dict(layer.values))
        if isinstance(known, dict) and isinstance(arms, dict):
            removed = {name for name, changes in arms.items() if changes is None and name in known}
            values["arms"] = {name: changes for name, changes in values["arms"].items() if name not in removed}
    return values
