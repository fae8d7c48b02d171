"""Make docs/results.md from the docstrings of the results classes: every figure, its unit and meaning.

`make pages` writes it; a test fails where it is not what the code says.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from frft.results.cell import CellFailure, CellRecord, KeptEvidence
from frft.results.files import CompletionRow, RolloutRow
from frft.results.fixed_actor import CaseLine, CaseSettings, HeadLine, HeldOutPairs, OwnPromptsLine
from frft.results.infos import StepMetrics
from frft.results.kinds import INFO_OF_KIND
from frft.results.run import RunResults
from frft.results.seeds import SeedsResults
from frft.results.study import StudyResults
from frft.store import RESULTS_FORMAT

HEAD = f"""\
# What frft writes: every figure, its unit and its meaning

This page is made of the descriptions in the code (`make pages`), so it cannot fall behind it. Everything below is
written and read through the same typed classes, which the sections are named after. In Python, `frft.run` returns
`RunResults`, whose attributes are these fields, and `.as_dict()` is the file:

    from pathlib import Path

    import frft

    found = frft.RunResults.read(Path("runs/demo/results.json"))
    print(found.arms["vanilla"].evaluation.kl_sft_k1)

**Formats.** Files of figures carry a number, `format`; this version writes {RESULTS_FORMAT}. A file without one has
format 0: it was written before there were numbers. Older files are read where they hold what is needed, and otherwise
refused with the reason; files of a newer version are refused. A field that is not declared here is an error, not
ignored, except where a section says that others may stand beside its fields.

**Digests.** In JSON files, the last field, `sha256`, is a SHA-256 of all others; before it, `results.json` has `files`,
with size and SHA-256 of the copies beside it. Rows of `cases.jsonl` and of `frft bench fixed-actor` have a `digest` of
themselves and of those before them. Readers verify these and leave them out ([reliability.md](reliability.md)); older
files have none.

**Types.** A *number* may have a fraction; a *count* is whole; *or null* says when a figure may be missing, *may be left
out* when the field itself may. An interval is a list of its two ends, at 95 %. Accuracies, shares and rates are from 0
to 1. KL divergences and log losses are in nats. Times are in seconds of wall clock, memory in bytes.
"""

FILES: dict[str, tuple[str, type]] = {
    "results.json": ("What `frft run` found, and what `frft.run` returns.", RunResults),
    "results.json of several seeds": ("What `frft run ... seeds=3` found, beside the runs in seeds/.", SeedsResults),
    "metrics.jsonl": (
        "A row for each step of training the policy; in the folder of a run with the name of the `arm`.",
        StepMetrics,
    ),
    "completions.jsonl": ("What a policy wrote to the evaluation prompts, a row for each.", CompletionRow),
    "rollouts.jsonl": ("In the folder of a segment, what the policy wrote while it was trained.", RolloutRow),
    "study.json": ("What `frft study` found.", StudyResults),
    "cells/POINT-SEED.json": ("What one cell of a study found.", CellRecord),
    "cells/POINT-SEED.failed.json": ("Why a cell failed.", CellFailure),
    "evidence/POINT-SEED.json": ("What `frft advise fit` measured of a cell.", KeptEvidence),
    "results.jsonl": ("What `frft bench fixed-actor` found, a line for each reward model.", HeadLine),
    "results.jsonl with --actor-of": (
        "What `frft bench fixed-actor --actor-of` found, a line for each reward model.",
        OwnPromptsLine,
    ),
    "cases.jsonl": ("What `frft advise cases` found, a line for each case.", CaseLine),
    "cases.json": ("Beside it, what all cases of the folder have in common.", CaseSettings),
    "held-out.jsonl": ("Beside it, the pairs that are tested, a line for each fold.", HeldOutPairs),
}
"""By name of a file: its description, and the class of its content or rows."""


class DocumentedField(NamedTuple):
    """One field of a file.

    Attributes:
        name: its name in the file.
        form: its type in words.
        meaning: its description in the class docstring.
        kinds: the results classes that its type names.
    """

    name: str
    form: str
    meaning: str
    kinds: list[type]


def results_page() -> str:
    """docs/results.md as Markdown."""
    parts = [HEAD, "## Files\n"]
    parts.append("\n".join(f"- `{name}`: {what} See {_link(kind)}." for name, (what, kind) in FILES.items()))
    parts.append(
        "\n## Stages\n\nThe manifest of every stage, `stages/KIND-.../manifest.json`, has figures in `info`:\n\n"
        + "\n".join(f"- `{name}`: {_link(kind)}" for name, kind in INFO_OF_KIND.items())
    )
    parts.append("\n## Fields\n")
    parts += [_section(kind) for kind in documented_kinds()]
    return "\n".join(parts)


def documented_kinds() -> list[type]:
    """All classes of files and stages and of their fields, depth first: each follows the first that names it."""
    found: dict[type, None] = {}
    left = [kind for _, kind in FILES.values()] + list(INFO_OF_KIND.values())
    while left:
        kind = left.pop(0)
        if kind not in found:
            found[kind] = None
            left = [each for field in fields_of(kind) for each in field.kinds] + left
    return list(found)


def fields_of(kind: type) -> list[DocumentedField]:
    """The fields of a class, in the order of the file."""
    hints = get_type_hints(kind, include_extras=True)
    meanings = _meanings(kind)
    names = [field.name for field in fields(kind)] if is_dataclass(kind) else list(_model_fields(kind))
    computed = [name for name, each in inspect.getmembers(kind) if type(each).__name__ == "PydanticDescriptorProxy"]
    found = []
    for name in (*names, *computed):
        hint = hints[name] if name in hints else get_type_hints(getattr(kind, name).wrapped.fget)["return"]
        marks = [each for each in get_args(hint) if isinstance(each, FieldInfo)] if _is(hint, Annotated) else []
        alias = next((each.alias for each in marks if each.alias), name)
        omitted = any(getattr(each, "exclude_if", None) for each in marks)
        plain = get_args(hint)[0] if _is(hint, Annotated) else hint
        words = _in_words(plain).removesuffix(" or null") + ", may be left out" if omitted else _in_words(plain)
        found.append(DocumentedField(alias, words, meanings.get(name, ""), list(_kinds_in(plain))))
    return found


def _section(kind: type) -> str:
    summary = inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    rows = [f"| `{each.name}` | {each.form} | {each.meaning.replace('|', chr(92) + '|')} |" for each in fields_of(kind)]
    open_ = "\n\nOther figures may stand beside these." if issubclass(kind, BaseModel) else ""
    table = "\n".join(["| field | type | meaning |", "| --- | --- | --- |", *rows]) if rows else "It has no fields."
    return f"### {kind.__name__}\n\n{summary}{open_}\n\n{table}\n"


def _link(kind: type) -> str:
    return f"[{kind.__name__}](#{kind.__name__.lower()})"


def _meanings(kind: type) -> dict[str, str]:
    """The description of each field under `Attributes:` in the docstrings of a class and its bases."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        text = inspect.cleandoc(each.__dict__.get("__doc__") or "")
        _, _, section = text.partition("\nAttributes:\n")
        # The section ends where the indentation does.
        section = re.split(r"\n(?=\S)", section)[0]
        for entry in re.split(r"\n(?=    \S)", f"\n{section}".rstrip()):
            names, colon, meaning = entry.strip().partition(":")
            if colon:
                # In a file, None is null.
                words = re.sub(r"\bNone\b", "null", " ".join(meaning.split()))
                found |= {name.strip(): words for name in names.split(",")}
    return found


def _model_fields(kind: type) -> list[str]:
    return list(kind.model_fields) if issubclass(kind, BaseModel) else []


def _is(hint: Any, origin: Any) -> bool:
    return get_origin(hint) is origin


WORDS: dict[Any, str] = {
    int: "count",
    float: "number",
    str: "text",
    bool: "true or false",
    type(None): "null",
    Any: "anything",
}


def _in_words(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_in_words(each) for each in sorted(inner, key=lambda each: each is type(None)))
    if origin is Literal:
        return " or ".join(f"`{each}`" for each in inner)
    if origin is list:
        return f"list of {_in_words(inner[0])}"
    if origin is dict:
        return "object" if inner[1] is Any else f"object of {_in_words(inner[1])} by name"
    if origin is tuple:
        return "interval" if inner == (float, float) else f"list of {len(inner)}"
    return WORDS[hint] if hint in WORDS else _link(hint)


def _kinds_in(hint: Any) -> Iterator[type]:
    if inner := get_args(hint):
        for each in inner:
            yield from _kinds_in(each)
    elif isinstance(hint, type) and hint not in WORDS:
        yield hint
