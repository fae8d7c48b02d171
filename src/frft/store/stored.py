"""What frft keeps as JSON: typed values, written and read through one definition, under a format number.

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
"""The format of results.json, study.json and the like. It rises when a field changes its name or meaning.

0: files without a number, as frft wrote them before there was one.
"""

OMITTED = Field(exclude_if=lambda value: value is None)
"""Marks a field that is left out of the file where it is None: `Annotated[Estimate | None, OMITTED] = None`."""


@dataclass(frozen=True)
class StoredValue:
    """Base of what is kept as JSON. A field that is not declared is refused, not dropped."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", serialize_by_alias=True, validate_by_alias=True
    )

    def as_dict(self) -> dict[str, Any]:
        """Exactly what the file holds, JSON-able."""
        return plain(self)

    @classmethod
    def of(cls, value: object, where: str | Path) -> Self:
        """The typed form of what `as_dict` gave.

        Raises:
            ArtifactError: a field is missing, unknown or of another type; the message names it, and `where` it stands.
        """
        return _typed(cls, value, where)


class OpenValue(BaseModel):
    """Base of what is kept as JSON and may have figures beside those that are declared, which are kept as they are.

    For what others can add to: a trainer its metrics, a strategy its settings. All else is a `StoredValue`.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    def as_dict(self) -> dict[str, Any]:
        """Exactly what the file holds, JSON-able."""
        return self.model_dump(mode="json", by_alias=True)

    @classmethod
    def of(cls, value: object, where: str | Path) -> Self:
        """The typed form of what `as_dict` gave; raises as `StoredValue.of`."""
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
    """The format number of a file that was read; 0 where it has none.

    Raises:
        ArtifactError: the number is none.
        UsageError: it is of a newer version of frft.
    """
    number = value.get("format", 0)
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise ArtifactError(f"{where} has {number!r} for its format, which is no format number. It was edited.")
    if number > RESULTS_FORMAT:
        raise UsageError(
            f"{where} has format {number}, and frft {__version__} reads formats up to {RESULTS_FORMAT}. Use "
            f"the version that wrote it ({value.get('frft', 'unknown')}), or a newer one."
        )
    return number


def fault(error: ValidationError) -> str:
    """The first validation error: the field and the reason, in words."""
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _adapter(kind: Any) -> TypeAdapter[Any]:
    # Building one takes milliseconds; reading a file of many rows asks for the same one again and again.
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


_adapters: dict[Any, TypeAdapter[Any]] = {}
