"""YAML as configurations use it: the core schema of YAML 1.2, safe, without duplicate keys.

PyYAML speaks YAML 1.1, where `1e-4` is text, `no`, `off` and `on` are booleans, `1:30` is the number 90 and
`2024-01-01` is a date. Here a number is what looks like one, `true` and `false` are the only booleans, and
the rest is text. (A setting that is true or false also takes the texts yes, no, on and off.)
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable
from typing import Any

import yaml

from frft.errors import ConfigError

MOST_VALUES = 100_000
"""Values and keys in a configuration, each counted as often as aliases repeat it."""
MOST_BITS = 1024
"""Bits of a whole number in a configuration; floats end there, too."""
KeyPath = tuple[str, ...]
"""The path of keys to a value, outermost first."""

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxdict = 2, 4, 4
_SHORT.maxstring = _SHORT.maxother = 80
_FLOAT = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
_CORE_SCHEMA = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
    ("merge", r"<<", ["<"]),
)


class _Loader(yaml.SafeLoader):
    """A YAML loader with the implicit types of the YAML 1.2 core schema only, which are added below."""


class _Dumper(yaml.SafeDumper):
    """A YAML dumper that quotes strings which YAML 1.1 *or* 1.2 would read as another type."""


_Loader.yaml_implicit_resolvers = {}
for _kind, _pattern, _first in _CORE_SCHEMA:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_pattern})$"), _first)
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_pattern})$"), _first)


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    number = int(text, 0) if text[:2] in ("0x", "0o") else int(text)
    if number.bit_length() > MOST_BITS:
        # No setting is as large, and Python does not even print one of 4,300 digits, in a message.
        raise ValueError(f"the number {text[:20]}... is too large")
    return number


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)


def parse_yaml(text: str, origin: str) -> tuple[Any, dict[KeyPath, int]]:
    """Read one YAML document.

    Args:
        text: the document.
        origin: name of the document in errors.

    Returns:
        The value, and the line number (from 1) of every key in it.

    Raises:
        ConfigError: not YAML, more than one document, a key given twice, or a tag that is not plain data.
    """
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        lines = _lines_of_keys(node, origin)
        _check_size(node, origin)
        return (None if node is None else loader.construct_document(node)), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        what = ": ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError(f"{origin}{where}: not valid YAML: {what}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(
            f"{origin}, line {line}: not valid YAML: the control character U+{ord(text[error.position]):04X}"
        ) from None
    except ValueError as error:
        raise ConfigError(f"{origin}: not valid YAML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{origin}: nested too deeply for a configuration") from None
    finally:
        if loader is not None:
            loader.dispose()


def dump_yaml(value: Any) -> str:
    """`value` as YAML in block style, keys in their own order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=110)


def shown(value: Any) -> str:
    """A value for messages: on one line, shortened if it is long, and with control characters escaped."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return _SHORT.repr(value)


def dotted(path: Iterable[object]) -> str:
    """A path of keys for messages, such as `refresh.at_steps[0]`; keys with control characters are escaped."""
    name = ""
    for step in path:
        text = str(step) if str(step).isprintable() else repr(step)
        name += f"[{step}]" if isinstance(step, int) else f".{text}" if name else text
    return name


def _check_size(root: yaml.Node | None, origin: str) -> None:
    """Refuse aliases and merge keys (<<) that stand for more values than anybody writes: they grow exponentially.

    Raises:
        ConfigError: there are more than `MOST_VALUES`.
    """
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        if id(node) not in sizes:
            sizes[id(node)] = 0  # for one that holds itself, which has no size
            parts = node.value if isinstance(node, yaml.CollectionNode) else ()
            below = (each for part in parts for each in (part if isinstance(part, tuple) else (part,)))
            sizes[id(node)] = 1 + sum(size(each) for each in below)
        return sizes[id(node)]

    if root is not None and size(root) > MOST_VALUES:
        raise ConfigError(
            f"{origin}: its aliases (*name) and merge keys (<<) stand for {size(root)} values, and at most "
            f"{MOST_VALUES} are read. Write the values that are meant without them."
        )


def _lines_of_keys(root: yaml.Node | None, origin: str) -> dict[KeyPath, int]:
    lines: dict[KeyPath, int] = {}
    repeated: list[str] = []
    seen: set[int] = set()

    def walk(node: yaml.Node | None, path: KeyPath) -> None:
        # An alias leads to a node that was walked before; nested aliases, walked again, would take exponential time.
        if id(node) in seen or not isinstance(node, yaml.CollectionNode):
            return
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                walk(item, path)
            return
        first_lines: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in first_lines:
                    name = dotted((*path, key.value))
                    repeated.append(
                        f"{origin}, line {line}: {name}: given twice (first on line {first_lines[key.value]})"
                    )
                first_lines.setdefault(key.value, line)
                lines[*path, key.value] = line
            walk(value, (*path, getattr(key, "value", "")))

    walk(root, ())
    if repeated:
        raise ConfigError("\n".join(repeated))
    return lines
