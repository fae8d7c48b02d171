"""Typed values that frft keeps as JSON: one definition for writing and reading, and a format number.

A kind of file, or of a stage's figures, is a frozen dataclass that derives from `StoredValue`. Its class docstring
describes every field (`Attributes:`), and `docs/results.md` is made of these descriptions. Values that other code
computes with (estimates, accuracies, ...) are the same dataclasses in memory and in files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from frft import __version__
from frft.errors import ArtifactError, UsageError

RESULTS_FORMAT = 1
"""Format number of results.json, study.json and other results; raised when a field changes its name or meaning.

Files without a number have format 0: they were written before there were format numbers.
"""

OMITTED = Field(exclude_if=lambda value: value is None)
"""Marks a field that is left out of the file where it is None: `Annotated[Estimate | None, OMITTED] = None`."""


@dataclass(frozen=True)
class StoredValue:
    """Base class of values that are kept as JSON. Reading refuses fields that are not declared."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", serialize_by_alias=True, validate_by_alias=True
    )

    def as_dict(self) -> dict[str, Any]:
        """The value as it stands in the file, JSON-able."""
        return plain(self)

    @classmethod
    def of(cls, value: object, where: str | Path) -> Self:
        """The inverse of `as_dict`.

        Args:
            value: the JSON-able form.
            where: the file that it was read from, for the message.

        Raises:
            ArtifactError: a field is missing, unknown or of another type; the message names it.
        """
        return _typed(cls, value, where)


class OpenValue(BaseModel):
    """Base class of values that are kept as JSON and may have fields beyond the declared ones, which are kept.

    For values that extensions add to: a trainer its metrics, a strategy its settings. All others are `StoredValue`s.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    def as_dict(self) -> dict[str, Any]:
        """The value as it stands in the file, JSON-able."""
        return self.model_dump(mode="json", by_alias=True)

    @classmethod
    def of(cls, value: object, where: str | Path) -> Self:
        """The inverse of `as_dict`; arguments and errors are those of `StoredValue.of`."""
        return _typed(cls, value, where)


_K = TypeVar("_K")


def _typed(kind: type[_K], value: object, where: str | Path) -> _K:
    try:
        found: _K = _adapter(kind).validate_python(value)
    except ValidationError as error:
        raise ArtifactError(f"{where} does not have the form of {kind.__name__}: {fault(error)}.") from None
    return found


def plain(value: Any) -> dict[str, Any]:
    """A dataclass as JSON-able values, as a field of a `StoredValue` would be written."""
    written: dict[str, Any] = _adapter(type(value)).dump_python(value, mode="json", by_alias=True, warnings="error")
    return written


def format_of(value: Mapping[str, Any], where: str | Path) -> int:
    """The format number of a file's content; 0: it has none.

    Args:
        value: the content.
        where: the file, for the message.

    Raises:
        ArtifactError: the value of "format" is not a format number.
        UsageError: the file was written by a newer version of frft.
    """
    number = value.get("format", 0)
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise ArtifactError(
            f"{where} has the format {number!r}, which is not a format number: the file was edited. Restore it, or "
            "make it again with the command that wrote it."
        )
    if number > RESULTS_FORMAT:
        raise UsageError(
            f"{where} has format {number}, and frft {__version__} reads formats up to {RESULTS_FORMAT}. Use "
            f"the version that wrote it ({value.get('frft', 'unknown')}), or a newer one."
        )
    return number


def fault(error: ValidationError) -> str:
    """The first of pydantic's validation errors as "field: reason"."""
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _adapter(kind: Any) -> TypeAdapter[Any]:
    # Building an adapter takes milliseconds, and a file of many rows needs the same one for each of them.
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


_adapters: dict[Any, TypeAdapter[Any]] = {}
