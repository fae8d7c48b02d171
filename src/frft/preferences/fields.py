"""Access to the fields of a row, with a `RowError` where one is missing or of the wrong type."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from frft.preferences.rejects import Reason, RowError, quoted

SHOWN_KEYS = 10
"""Keys of a row that a message names."""

RawFields = dict[str, Any]


@dataclass(frozen=True)
class Keys:
    """The columns that a user named for fields with unusual names.

    Attributes:
        named: usual name -> name in the data; None where the data has the usual name.
    """

    named: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def moved(self) -> dict[str, str]:
        """Name in the data -> usual name, where the two differ."""
        return {theirs: ours for ours, theirs in self.named.items() if theirs is not None and theirs != ours}

    def rename(self, row: RawFields) -> RawFields:
        """`row` with its columns under the usual names; other columns with these names become `source_<name>`.

        Raises:
            RowError: a column that the user named is missing or null.
        """
        moved = self.moved
        if not moved:
            return row
        check_columns(row, *moved)
        for theirs in moved:
            field_of(row, theirs)
        renamed = {moved[name]: value for name, value in row.items() if name in moved}
        for name, value in row.items():
            if name not in moved:
                renamed[free_name(name, {*row, *renamed}) if name in renamed else name] = value
        return renamed

    def __bool__(self) -> bool:
        return any(self.named.values())


def free_name(name: str, taken: Iterable[str]) -> str:
    """`source_<name>`, prefixed again until it is not taken."""
    taken = set(taken)
    while name in taken:
        name = f"source_{name}"
    return name


def has(row: RawFields, *names: str) -> bool:
    """Whether a row has all of these fields; null counts as missing."""
    return all(row.get(name) is not None for name in names)


def is_blank(value: object) -> bool:
    """Whether a field holds nothing: null, blank text, or an empty list."""
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def field_of(row: RawFields, key: str) -> Any:
    """The value of a field that must be there.

    Raises:
        RowError: the field is missing or null.
    """
    check_columns(row, key)
    if row[key] is None:
        raise RowError(Reason.EMPTY_FIELD, f"{key!r} is null")
    return row[key]


def check_columns(row: RawFields, *names: str) -> None:
    """Refuse a row that lacks one of these fields; null is enough.

    Raises:
        RowError: a field is missing; the message lists the keys that the row has.
    """
    missing = [quoted(name) for name in names if name not in row]
    if missing:
        raise RowError(
            Reason.MISSING_FIELD,
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing; found the keys {keys_of(row)}",
        )


def keys_of(row: RawFields) -> str:
    """The row's keys as a message lists them."""
    return ", ".join(quoted(key) for key in list(row)[:SHOWN_KEYS]) or "(none)"


def text_of(row: RawFields, key: str, *, blank: bool = False) -> str:
    """The text of a field that must be there and, unless `blank`, not be blank.

    Raises:
        RowError: the field is missing, null, no text, or blank.
    """
    value = field_of(row, key)
    if not isinstance(value, str):
        raise RowError(Reason.WRONG_TYPE, f"{key!r} is {type(value).__name__}, not text")
    if not blank and not value.strip():
        raise RowError(Reason.EMPTY_FIELD, f"{key!r} is blank")
    return value


def finite_number(value: Any, name: str, reason: Reason) -> float:
    """The finite float that `value` is, or that it spells as text; `name` and `reason` are for the error.

    Raises:
        RowError: the value is neither.
    """
    try:
        # CSV has only text; and a bool is no number, although Python says so.
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise RowError(reason, f"{name!r} is {quoted(value)}")
    return number
