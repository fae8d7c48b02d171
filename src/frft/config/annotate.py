"""Write a preset in full, with every setting below its description: a file to edit."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Literal, get_origin

from frft.config.layers import source_layers
from frft.config.load import merge_layers
from frft.config.model import RunConfig
from frft.config.presets import list_presets
from frft.config.problems import expected, section_in
from frft.config.sections import Section
from frft.config.syntax import dump_yaml
from frft.errors import ConfigError

_PLACEHOLDER = "PATH"
_WIDTH = 100


def annotated_preset(name: str) -> str:
    """The preset as YAML with all settings and defaults, each under a comment that describes it.

    Optional sections that the preset leaves out appear once, with their defaults, commented out.

    Loading the text gives the same configuration as loading the preset. Where the preset leaves `data.pairs` open, it
    is commented out, to be filled in.

    Raises:
        ConfigError: there is no such preset.
    """
    descriptions = dict(list_presets())
    if name not in descriptions:
        raise ConfigError(f"There is no preset {name!r}. Presets: {', '.join(descriptions)}")
    values = merge_layers(source_layers(name))
    data = values.setdefault("data", {})
    is_open = data.get("pairs") is None and data.get("world") is None
    if is_open:
        values["data"]["pairs"] = _PLACEHOLDER
    config = RunConfig.model_validate(values)
    lines = [f"# {descriptions[name]}", "", *_section_lines(config, "", {*_kinds(config)})]
    text = "\n".join(lines) + "\n"
    return text.replace(f"  pairs: {_PLACEHOLDER}\n", f"  # pairs: {_PLACEHOLDER}\n") if is_open else text


def _kinds(section: Section) -> Iterator[type[Section]]:
    """The section classes of a configuration, nested ones included."""
    yield type(section)
    for key in type(section).model_fields:
        value = getattr(section, key)
        if isinstance(value, Section):
            yield from _kinds(value)


def _section_lines(section: Section, indent: str, explained: set[type[Section]], width: int = _WIDTH) -> list[str]:
    """The lines of a section as YAML with comments.

    Args:
        section: the section.
        indent: indentation of its keys.
        explained: section classes that were written out elsewhere; an empty field of such a class is only named. Others
            are written out, and added to the set.
        width: width of the comments.
    """
    lines: list[str] = []
    for name, field in type(section).model_fields.items():
        comment = " ".join((field.description or "").split())
        key, value = field.alias or name, getattr(section, name)
        # A field that may hold a section: it is empty, or says in a word that it has none.
        kind = None if isinstance(value, Section) else section_in(field.annotation)
        if (kind is not None and kind in explained) or get_origin(field.annotation) is Literal:
            comment += f" ({expected(field.annotation)})"
        if lines and not indent:
            lines.append("")
        lines += textwrap.wrap(
            comment,
            width,
            initial_indent=f"{indent}# ",
            subsequent_indent=f"{indent}# ",
            break_on_hyphens=False,
        )
        if isinstance(value, Section):
            lines += [f"{indent}{key}:", *_section_lines(value, f"{indent}  ", explained, width)]
            continue
        if kind is not None and kind not in explained and (field.default is None or value is not None):
            explained.add(kind)
            if value is not None:
                lines += textwrap.indent(dump_yaml({key: value}), indent).splitlines()
            left_out = _section_lines(kind.example(), "  ", explained, _WIDTH - len(f"{indent}# "))
            lines += [f"{indent}# {line}" for line in (f"{key}:", *left_out)]
            continue
        lines += textwrap.indent(dump_yaml({key: value}), indent).splitlines()
    return lines
