"""Messages for wrong configurations: file and line, key, what is wrong, what was given, and what would be right."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import ValidationError

from frft.config.layers import Layer, origin_of
from frft.config.model import RunConfig
from frft.config.sections import RefreshConfig, Section
from frft.config.syntax import dotted, shown

_Key = tuple[str | int, ...]
"""The path of keys to a setting; a number is a list index."""

_NAMES = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    types.NoneType: "null",
}
_FAULTS = {
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
    "too_short": "must not be empty",
    "truth_value": "must not be true or false",
    "string_pattern_mismatch": "a name is at most 64 letters, digits, - and _, the first a letter or digit",
    "invalid_key": "keys must be text",
}


def explain(error: ValidationError, layers: Sequence[Layer]) -> str:
    """All problems that pydantic found, one line each.

    Args:
        error: the error of `RunConfig.model_validate`.
        layers: the sources of the values, later ones over earlier ones.
    """
    by_key = _faults_by_key(error, RunConfig)
    broken_refresh = any(key[:1] == ("refresh",) for key in by_key)
    lines = []
    for key, found in by_key.items():
        if broken_refresh and key[:1] == ("arms",) and found[0]["type"] == "value_error":
            # An arm is `refresh` with changes: the errors of `refresh` itself would be repeated for every arm.
            continue
        origin = origin_of(key, layers)
        lines.append(f"{origin}: {f'{dotted(key)}: ' if key else ''}{_say(key, found, RunConfig)}")
    return "\n".join(lines)


def in_words(error: ValidationError, section: type[Section]) -> str:
    """All validation errors of a section constructed in Python, one line each."""
    return "\n".join(
        f"{section.__name__}: {f'{dotted(key)}: ' if key else ''}{_say(key, found, section)}"
        for key, found in _faults_by_key(error, section).items()
    )


def _faults_by_key(error: ValidationError, root: type[Section]) -> dict[_Key, list[dict[str, Any]]]:
    by_key: dict[_Key, list[dict[str, Any]]] = {}
    for line in error.errors(include_url=False):
        if not _of_another_member(line, root):
            by_key.setdefault(_key_of(line, root), []).append(dict(line))
    return by_key


def plain_message(fault: Mapping[str, Any]) -> str:
    """One of pydantic's errors as a message with the given value; a contradiction names its settings itself."""
    given = "" if fault["type"] in ("value_error", "missing") else f", got {shown(fault['input'])}"
    return f"{fault['msg'].removeprefix('Value error, ')}{given}"


def expected(annotation: Any) -> str:
    """The values that a field of this type accepts, in words."""
    if annotation in _NAMES:
        return _NAMES[annotation]
    kind, arguments = get_origin(annotation), get_args(annotation)
    if kind is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if kind in (Union, types.UnionType):
        return " or ".join(expected(argument) for argument in arguments)
    if kind is list:
        return f"a list, each item {expected(arguments[0])}"
    section = section_in(annotation)
    return f"a section with keys {', '.join(section.settings())}" if section else "a section"


def _say(key: _Key, found: list[dict[str, Any]], root: type[Section]) -> str:
    # A union reports one error for each of its types; a limit says more than "is not the other type".
    first = min(found, key=lambda line: line["type"] not in _FAULTS and line["type"] != "value_error")
    kind = first["type"]
    if kind == "extra_forbidden":
        return f"unknown key; {_suggestion(key, root)}"
    if kind == "missing":
        return "must be given"
    if kind == "value_error":
        return str(first["ctx"]["error"])
    if kind in _FAULTS:
        what = _FAULTS[kind].format(**first.get("ctx", {}))
    elif first["loc"][-1:] == ("[key]",):
        what = "keys must be text"
    else:
        what = f"must be {expected(_annotation_at(key, root))}"
    return f"{what}, got {shown(found[0]['input'])}"


def _suggestion(key: _Key, root: type[Section]) -> str:
    section = section_in(_annotation_at(key[:-1], root))
    assert section is not None
    below = [dotted((*key[:-1], *path)) for path, _ in leaves(section) if path[-1] == key[-1]]
    elsewhere = below or settings_named(str(key[-1]), root)
    if elsewhere:
        return f"did you mean {' or '.join(elsewhere)}?"
    nearest = difflib.get_close_matches(str(key[-1]), section.settings(), n=1)
    if nearest:
        return f"did you mean {nearest[0]}?"
    return f"the keys here are {', '.join(section.settings())}"


def settings_named(name: str, root: type[Section] = RunConfig) -> list[str]:
    """Dotted keys of all settings below `root` whose last key is `name`."""
    return [dotted(path) for path, _ in leaves(root) if path[-1] == name]


def leaves(section: type[Section], prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All settings below a section, at any depth but not the sections themselves: path of keys, and pydantic field."""
    for name, field in section.settings().items():
        inner = section_in(field.annotation)
        if inner is None:
            yield (*prefix, name), field
        else:
            yield from leaves(inner, (*prefix, name))


def _key_of(line: Mapping[str, Any], root: type[Section]) -> _Key:
    """The keys that lead to an error, without the tags that pydantic adds for the members of a union."""
    key: _Key = ()
    for step in line["loc"]:
        if _annotation_at((*key, step), root) is None:
            if _is_tag(step, section_in(_annotation_at(key, root))):
                continue
            if line["type"] in ("extra_forbidden", "invalid_key"):
                key = (*key, step)
            break
        key = (*key, step)
    return key


def _is_tag(step: str | int, section: type[Section] | None) -> bool:
    """Whether pydantic names this section, as a member of a union, by this step: by its class, validators around it."""
    return section is not None and isinstance(step, str) and section.__name__ in re.split(r"\W+", step)


def _of_another_member(line: Mapping[str, Any], root: type[Section]) -> bool:
    """Whether this is the error of a union's other member (`offline`) where a section was given, which has its own."""
    key = _key_of(line, root)
    section, tags = section_in(_annotation_at(key, root)), line["loc"][len(key) :]
    return bool(tags) and section is not None and isinstance(line["input"], Mapping) and not _is_tag(tags[0], section)


def _annotation_at(key: Sequence[str | int], root: type[Section]) -> Any:
    """The type of the setting that these keys lead to from `root`; None where they lead nowhere."""
    current: Any = root
    for step in key:
        section = section_in(current)
        lists = [kind for kind in (current, *get_args(current)) if get_origin(kind) is list]
        if section is not None and step in (settings := section.settings()):
            current = settings[str(step)].annotation
        elif section is None and get_origin(current) is dict:
            # The one mapping is `arms`; what an arm may hold is what `refresh` may hold.
            current = RefreshConfig
        elif lists and isinstance(step, int):
            current = get_args(lists[0])[0]
        else:
            return None
    return current


def section_in(annotation: Any) -> type[Section] | None:
    """The section that a field of this type holds, or may hold; None for any other field."""
    for member in (annotation, *get_args(annotation)):
        if isinstance(member, type) and issubclass(member, Section):
            return member
    return None
