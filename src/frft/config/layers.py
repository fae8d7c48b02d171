"""Sources of settings (presets, files, command line) as layers, of which later ones override earlier ones."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from frft.config.presets import preset_names, preset_text
from frft.config.syntax import KeyPath, dotted, parse_yaml, shown
from frft.errors import ConfigError
from frft.paths import did_you_mean

COMMAND_LINE = "command line"
EXTENDS = "extends"
MAX_BYTES = 1_000_000
"""Largest size of a configuration file, in bytes, so that a data file given by mistake is not read into memory."""


@dataclass(frozen=True)
class Layer:
    """Settings from one source (a file, a preset, an argument).

    Attributes:
        origin: name of the source in messages: a file's path, a preset's name, or "command line".
        values: the settings, nested by section.
        lines: the line number (from 1) of every key; empty for the command line.
    """

    origin: str
    values: Mapping[str, Any]
    lines: Mapping[KeyPath, int] = field(default_factory=dict)


def source_layers(source: str, folder: Path = Path()) -> list[Layer]:
    """The layers of a configuration file or preset, in order: what it extends, and then itself.

    Args:
        source: a file's path, or the name of a preset; a file that exists wins.
        folder: the folder that a relative path starts from.

    Raises:
        ConfigError: there is no such file or preset, it cannot be read, or it extends itself.
    """
    layers: list[Layer] = []
    visited: list[str] = []
    while True:
        path = folder / source
        try:
            is_preset = source in preset_names() and not path.is_file()
            origin = f"preset {source}" if is_preset else str(path)
            identity = origin if is_preset else str(path.resolve())
            if identity in visited:
                raise ConfigError(f"{origin} is reached again: the files extend each other")
            text = preset_text(source) if is_preset else read_config(path, "preset", preset_names())
        # A link to itself is a RuntimeError of `resolve`.
        except (OSError, ValueError, RuntimeError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(f"{shown(source)} cannot be read: {reason}") from None
        except ConfigError as error:
            raise ConfigError(f"{layers[0].origin}: {EXTENDS}: {error}" if layers else str(error)) from None
        visited.append(identity)
        values, lines = parse_yaml(text, origin)
        if not isinstance(values, dict):
            what = "is empty" if values is None else f"holds a {type(values).__name__}, not a mapping of keys"
            raise ConfigError(f"{origin} {what}. Presets to start from: {', '.join(preset_names())}")
        base = values.pop(EXTENDS, None)
        layers.insert(0, Layer(origin, values, lines))
        if base is None:
            return layers
        if not isinstance(base, str):
            raise ConfigError(f"{origin}: {EXTENDS}: must be the name of a preset or a file's path, got {shown(base)}")
        source, folder = base, folder if is_preset else path.parent


def override_layers(overrides: Sequence[str]) -> list[Layer]:
    """One layer for every `key=value` of a command line; keys are dotted, values are YAML.

    Raises:
        ConfigError: one or more are not of this form; all of them are named.
    """
    layers, problems = [], []
    for override in overrides:
        key, equals, text = override.partition("=")
        steps = key.strip().split(".")
        if not equals or not all(steps):
            problems.append(f"{COMMAND_LINE}: {override!r} is not of the form key=value, such as ppo.total_steps=16")
            continue
        try:
            value, _ = parse_yaml(text, f"{COMMAND_LINE}: {dotted(steps)}")
        except ConfigError as error:
            problems.append(str(error))
            continue
        for step in reversed(steps):
            value = {step: value}
        layers.append(Layer(COMMAND_LINE, value))
    if problems:
        raise ConfigError("\n".join(problems))
    return layers


def origin_of(path: Sequence[object], layers: Sequence[Layer]) -> str:
    """The layers that set the value at `path`, with line numbers, for messages; the main file if none did."""
    steps = tuple(map(str, path))
    found: list[str] = []
    for layer in reversed(layers):
        value: Any = layer.values
        depth = 0
        while depth < len(path) and isinstance(value, Mapping) and path[depth] in value:
            value = value[path[depth]]
            depth += 1
        if depth == len(path) or (depth and not isinstance(value, Mapping)):
            line = layer.lines.get(steps[:depth])
            found.insert(0, layer.origin if line is None else f"{layer.origin}, line {line}")
            # A plain value replaces those of earlier layers; a section is merged from all layers that set a part of it.
            if not isinstance(value, Mapping):
                break
    if not found:
        return next(layer.origin for layer in reversed(layers) if layer.origin != COMMAND_LINE)
    return " + ".join(dict.fromkeys(found))


def read_config(path: Path, kind: Literal["preset", "study"], names: Sequence[str]) -> str:
    """The text of a configuration file.

    Args:
        path: the file.
        kind: what could have been named in place of a file, for the message.
        names: their names.

    Raises:
        ConfigError: there is no such file, or it is no text file.
    """
    if path.is_dir():
        raise ConfigError(f"{path} is a folder, not a configuration file")
    if not path.exists():
        nearest = difflib.get_close_matches(path.name, names, n=1)
        hints = [f" Did you mean {nearest[0]}?" if nearest else "", did_you_mean(path)]
        is_name = not path.suffix and path.parent == Path()
        hint = next(filter(None, hints if is_name else reversed(hints)), "")
        plural = {"preset": "Presets", "study": "Studies"}[kind]
        raise ConfigError(f"{str(path)!r} is neither a file nor a {kind}.{hint} {plural}: {', '.join(names)}")
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise ConfigError(f"{path} is not a text file of at most {MAX_BYTES} bytes, so no configuration")
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}, line {line}: not UTF-8 (byte {data[error.start]:#04x}). Save it as UTF-8."
        ) from None
