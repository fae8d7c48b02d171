"""Typed results from the few figures that a test is about: what is missing is filled in, by type, with nothing at all.

So a test names what it needs and no more, and what it names is checked against the schema.
"""

from __future__ import annotations

import types
import typing
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

NOTHING = {int: 0, float: 0.0, str: "", bool: False, Any: None, type(None): None}


def completed(kind, partial: dict):
    """A value of a `StoredValue` or `OpenValue` with these figures, and nothing in all other fields."""
    return kind.of(_filled(kind, partial), "a test")


def _filled(kind, given) -> Any:
    """`given` with what the type asks for and it lacks; `...` stands for nothing given."""
    origin = get_origin(kind)
    if origin is Annotated:
        return _filled(get_args(kind)[0], given)
    if origin in (Union, types.UnionType):
        return _filled_union(get_args(kind), given)
    if origin is Literal:
        return get_args(kind)[0] if given is ... else given
    if origin is list:
        return [] if given is ... else [_filled(get_args(kind)[0], each) for each in given]
    if origin is dict:
        return {} if given is ... else {key: _filled(get_args(kind)[1], each) for key, each in given.items()}
    if origin is tuple:
        return [0.0] * len(get_args(kind)) if given is ... else given
    if is_dataclass(kind) or (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return _filled_fields(kind, {} if given is ... else given)
    return NOTHING[kind] if given is ... else given


def _filled_union(kinds, given) -> Any:
    if given is None or (given is ... and type(None) in kinds):
        return None
    kinds = [each for each in kinds if each is not type(None)]
    for each in kinds:
        named = get_type_hints(each).get("kind") if is_dataclass(each) else None
        if isinstance(given, dict) and named is not None and given.get("kind") in get_args(named):
            return _filled(each, given)
    return _filled(kinds[0], given)


def _filled_fields(kind, given) -> Any:
    if not isinstance(given, dict):
        return given
    hints = get_type_hints(kind, include_extras=True)
    if is_dataclass(kind):
        required = {
            _alias(hints[field.name]) or field.name: hints[field.name]
            for field in fields(kind)
            if field.name in given
            or _alias(hints[field.name])
            or (field.default is MISSING and field.default_factory is MISSING)
        }
    else:
        required = {
            name: hints[name] for name, field in kind.model_fields.items() if field.is_required() or name in given
        }
    return {**given, **{name: _filled(hint, given.get(name, ...)) for name, hint in required.items()}}


def _alias(hint) -> str | None:
    return next((each.alias for each in typing.get_args(hint)[1:] if getattr(each, "alias", None)), None)
