"""Rows that cannot be used: why, where, and how many.

Every row that is read is either accepted or rejected with a reason; `Tally` counts both and insists that they
add up.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, BinaryIO

from frft.errors import DataError, TooManyRejectedError, printable

SHOWN_DETAILS = 3
"""Different faults of one reason that an error message shows; the others are counted."""
SHOWN_PLACES = 3
"""Rows with the same fault whose places an error message shows; the others are counted."""
TEXT_CHARACTERS = 1000
"""How much of a rejected row's text goes into the rejects file; what is cut is counted."""
DETAIL_CHARACTERS = 60
"""How much of a single value a message quotes."""


class Reason(StrEnum):
    """Why a row cannot be used. The texts are stable: they stand in rejects files and reports."""

    BROKEN_JSON = "broken JSON"
    BAD_ENCODING = "bad encoding"
    NOT_AN_OBJECT = "not an object"
    DUPLICATE_KEY = "duplicate key"
    UNEVEN_ROW = "uneven row"
    UNKNOWN_FORMAT = "unknown format"
    MISSING_FIELD = "missing field"
    EMPTY_FIELD = "empty field"
    AMBIGUOUS_PROMPT = "ambiguous prompt"
    WRONG_TYPE = "wrong type"
    CHOSEN_IS_REJECTED = "chosen = rejected"
    NO_SHARED_PROMPT = "no shared prompt"
    EMPTY_MESSAGES = "empty message list"
    BAD_MESSAGE = "bad message"
    NOT_FROM_ASSISTANT = "last message not from the assistant"
    PROMPT_FROM_ASSISTANT = "prompt ends with the assistant"
    PROMPT_NOT_IN_MESSAGES = "prompt not in the messages"
    BAD_MARGIN = "margin not a finite number"
    NEGATIVE_MARGIN = "negative margin"
    LONE_SURROGATE = "lone surrogate"
    NUL_CHARACTER = "NUL character"
    TOO_FEW_COMPLETIONS = "too few completions"
    BAD_SCORE = "score not a finite number"
    BAD_RANK = "rank not a finite number"
    EQUAL_RANKS = "equal ranks"


class RowError(Exception):
    """One row cannot be used. Never leaves this room: it becomes a rejection."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class UnusableRows:
    """Rows that cannot be used for one reason.

    Attributes:
        reason: why they cannot be used, as in `Reason`.
        detail: what is wrong in them; None: the remaining rows of this reason, whose details are too many to be listed.
        rows: number of rows.
        places: where the first SHOWN_PLACES of them stand: file -> "line 3", "line 4".
    """

    reason: str
    detail: str | None
    rows: int
    places: Mapping[str, tuple[str, ...]]

    def as_dict(self) -> dict[str, Any]:
        """The rows as JSON-able values."""
        return {
            "reason": self.reason,
            "detail": self.detail,
            "rows": self.rows,
            "places": {file: list(places) for file, places in self.places.items()},
        }

    def line(self) -> str:
        """The rows as a line of text."""
        count = f"{self.rows} row{'s' if self.rows > 1 else ''}"
        if self.detail is None:
            return f"{count}: {self.reason}, in other ways"
        shown = "; ".join(", ".join([printable(file), *places]) for file, places in self.places.items())
        more = ", ..." if self.rows > sum(len(places) for places in self.places.values()) else ""
        return f"{count}: {self.reason}: {self.detail} ({shown}{more})"


@dataclass
class _Counted:
    """Rows with one fault: their number, and where the first SHOWN_PLACES of them stand."""

    rows: int = 0
    places: dict[str, list[str]] = field(default_factory=dict)

    def add(self, file: str, place: str) -> None:
        self.rows += 1
        if self.rows <= SHOWN_PLACES:
            self.places.setdefault(file, []).append(place)


class Tally:
    """Counts rows read, accepted and rejected, and writes the rejected ones to the rejects file."""

    def __init__(self, rejects_file: BinaryIO | None = None) -> None:
        self.read = 0
        self.accepted = 0
        self.rejected: Counter[str] = Counter()
        self._faults: dict[str, dict[str, _Counted]] = {}
        self._file = rejects_file

    def reject(self, file: str, row: int, place: str, text: str, error: RowError) -> None:
        """Record a rejected row: `place` says where ("FILE, line 3"), `text` is the row as it stands in its file."""
        self.rejected[error.reason.value] += 1
        faults = self._faults.setdefault(error.reason.value, {})
        if error.detail in faults or len(faults) < SHOWN_DETAILS:
            faults.setdefault(error.detail, _Counted()).add(file, place.removeprefix(f"{file}, "))
        if self._file is not None:
            record: Mapping[str, Any] = {
                "file": file,
                "line": row,
                "reason": error.reason.value,
                "detail": error.detail,
                "text": text[:TEXT_CHARACTERS],
                "characters_cut": max(0, len(text) - TEXT_CHARACTERS),
            }
            # A lone surrogate has no UTF-8, but its backslash form is the same character in JSON.
            self._file.write(json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")

    def check_sum(self) -> None:
        """Check that every row read was accepted or rejected.

        Raises:
            DataError: the numbers do not add up, which is a fault of frft.
        """
        rejected = self.rejected.total()
        if self.accepted + rejected != self.read:
            raise DataError(
                f"{self.read} rows were read, but {self.accepted} accepted and {rejected} rejected; they "
                "must add up. This is a fault of frft, not of the data: please report it."
            )

    def check_share(self, max_rejected: float, hint: str) -> None:
        """Check that at most the share `max_rejected` (0 to 1) of the rows was rejected, and at least one row accepted.

        Raises:
            TooManyRejectedError: shows what is wrong, most frequent reason first, with the first places of each.
        """
        rejected = self.rejected.total()
        if self.accepted and rejected / self.read <= max_rejected:
            return
        shown = "\n".join(f"  {unusable.line()}" for unusable in self.unusable())
        allowed = f"at most {max_rejected:.2%} may be (max_rejected)" if self.accepted else "none is left"
        raise TooManyRejectedError(
            f"{rejected} of {self.read} rows ({rejected / self.read:.2%}) cannot be used; {allowed}:\n{shown}\n{hint}"
        )

    def unusable(self) -> tuple[UnusableRows, ...]:
        """The rejected rows, grouped by what is wrong with them, most frequent reason first."""
        groups = []
        for reason, rejected in self.rejected.most_common():
            faults = self._faults[reason]
            for detail, fault in faults.items():
                places = {file: tuple(places) for file, places in fault.places.items()}
                groups.append(UnusableRows(reason, detail, fault.rows, places))
            if others := rejected - sum(fault.rows for fault in faults.values()):
                groups.append(UnusableRows(reason, None, others, {}))
        return tuple(groups)


def quoted(value: object) -> str:
    """A value from data as a message shows it: cut, on one line, control characters escaped."""
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    text = value if isinstance(value, str) else repr(value)
    shown = repr(text[:DETAIL_CHARACTERS]) if isinstance(value, str) else text[:DETAIL_CHARACTERS]
    return f"{shown}..." if len(text) > DETAIL_CHARACTERS else shown
