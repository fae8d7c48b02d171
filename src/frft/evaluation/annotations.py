"""A judge that looks up verdicts that people or models have given before.

| form | fields of a row | preference for the first |
|---|---|---|
| frft | prompt, first, second, preference | `preference`, 0 to 1 |
| alpaca-eval | instruction, output_1, output_2, preference | 2 - `preference`, which is 1 to 2; 0 is a tie |
| arena | conversation_a, conversation_b, winner (model_a, model_b, tie, tie (bothbad)) | 1, 0 or 1/2 |
| any form of preference pairs | chosen, rejected, ... (see `frft.preferences`) | 1 for chosen |

A preference that is null is a verdict that failed: it counts as none. Prompts and completions are given as in
preference pairs: text or messages, a system prompt in a field of its own. A row's form is decided by that row alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from frft.preferences import ReadReport
from frft.preferences.fields import field_of
from frft.preferences.formats import PAIR_FIELDS, read_preference
from frft.preferences.ingest import ingest
from frft.preferences.prompts import Prompt, read_answers
from frft.preferences.rejects import Reason, RowError, quoted
from frft.preferences.rendering import render_completion, render_prompt
from frft.preferences.sources import find_sources
from frft.progress import SILENT, Progress

_Row = dict[str, Any]
Verdict = tuple[str, str, str, float | None]
"""Prompt, first completion, second completion, preference for the first."""

_WINNERS = {"model_a": 1.0, "model_b": 0.0, "tie": 0.5, "tie (bothbad)": 0.5, "both_bad": 0.5}


class StoredAnnotations:
    """A judge that looks up stored verdicts by prompt and completions, without surrounding white space.

    The preference of a pair that was judged several times is the mean. The order in which the two were shown is not
    known, so both orders get the same answer, and flips cannot be counted. Two equal completions are a tie even without
    a stored verdict.

    Args:
        verdicts: prompt, first completion, second completion, preference for the first (0 to 1; None: no verdict).
        report: the report of reading the verdicts; None: they were not read from files.
        description: what reports call this judge.

    Attributes:
        report: the report of reading the verdicts, or None.
        description: what reports call this judge.
        pairs: number of different pairs of texts that have a verdict.
        without_verdict: number of rows whose preference is null.
    """

    def __init__(
        self, verdicts: Sequence[Verdict], report: ReadReport | None = None, *, description: str = "stored annotations"
    ) -> None:
        self.report, self.description = report, description
        self.without_verdict = 0
        known: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
        for prompt, first, second, preference in verdicts:
            if preference is None:
                self.without_verdict += 1
            else:
                key, turned = _key(prompt, first, second)
                known[key].append(1 - preference if turned else preference)
        self._preferences = {key: sum(values) / len(values) for key, values in known.items()}

    @property
    def pairs(self) -> int:
        return len(self._preferences)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        split: str = "train",
        max_rejected: float = 0.01,
        progress: Progress = SILENT,
    ) -> StoredAnnotations:
        """Read a file, a folder, or a data set on the Hub, in one of the forms of `frft.evaluation.annotations`.

        Args:
            path: the file or folder, or the data set's id.
            split: split of a data set.
            max_rejected: largest share of rows, 0 to 1, that may be unusable; these are reported.
            progress: receives the progress of reading.

        Raises:
            UnreadableError: the source is missing, damaged as a whole, or of no known kind.
            TooManyRejectedError: more rows were rejected than allowed, or all.
        """
        verdicts: list[Verdict] = []
        report = ingest(
            find_sources(path, split=split),
            _parse,
            lambda _, verdict: verdicts.append(verdict),
            max_rejected=max_rejected,
            columns="Name the columns as AlpacaEval does, or prompt, first, second and preference.",
            progress=progress,
        )
        return cls(verdicts, report, description=f"the annotations in {path}")

    def prefer(self, prompts: Sequence[str], first: Sequence[str], second: Sequence[str]) -> list[float | None]:
        """The stored preference for each `first` completion, 0 to 1; None for a pair without a stored verdict."""
        found: list[float | None] = []
        for texts in zip(prompts, first, second, strict=True):
            key, turned = _key(*texts)
            preference = self._preferences.get(key, 0.5 if key[1] == key[2] else None)
            found.append(1 - preference if preference is not None and turned else preference)
        return found

    def counts(self) -> dict[str, Any]:
        """`annotated_pairs`, `without_verdict` and the `report` of reading, as JSON-able values."""
        report = None if self.report is None else self.report.as_dict()
        return {"annotated_pairs": self.pairs, "without_verdict": self.without_verdict, "report": report}


def _key(prompt: str, first: str, second: str) -> tuple[tuple[str, str, str], bool]:
    """A key that is the same for both orders of a pair, and whether this order is the reverse of the key's."""
    first, second = first.strip(), second.strip()
    turned = second < first
    return (prompt.strip(), *((second, first) if turned else (first, second))), turned


def _parse(row: _Row) -> tuple[str, Verdict]:
    for name, fields, names, preferred in _FORMS:
        if fields <= row.keys():
            answered = read_answers(row, names)
            first, second = answered.completions
            return name, _verdict(answered.prompt, first, second, names, preferred(row))
    if not any(name in row for names in PAIR_FIELDS for name in names):
        forms = "; ".join(f"{name}: {', '.join(sorted(fields))}" for name, fields, _, _ in _FORMS)
        raise RowError(
            Reason.UNKNOWN_FORMAT,
            f"columns {', '.join(map(quoted, row))}; annotations have {forms}; or chosen, rejected",
        )
    pair = read_preference(row)
    return pair.form, _verdict(pair.prompt, pair.chosen, pair.rejected, PAIR_FIELDS[0], 1.0)


def _verdict(prompt: Prompt, first: str, second: str, names: tuple[str, str], preference: float | None) -> Verdict:
    one, other = (render_completion(text, prompt, name) for text, name in zip((first, second), names, strict=True))
    return render_prompt(prompt), one, other, preference


def _own(row: _Row) -> float | None:
    return _number(row, 0.0, 1.0)


def _alpaca_eval(row: _Row) -> float | None:
    value = _number(row, 0.0, 2.0)
    if value is not None and 0 < value < 1:
        raise RowError(Reason.WRONG_TYPE, f"'preference' is {value:g}; it is a number from 1 to 2, or 0 for a tie")
    # 1 means that output_1 is preferred, 2 that output_2 is; early AlpacaEval files write a tie as 0, meaning 1.5.
    return None if value is None else 2 - (value or 1.5)


def _arena(row: _Row) -> float:
    winner = field_of(row, "winner")
    if not isinstance(winner, str) or winner not in _WINNERS:
        raise RowError(Reason.WRONG_TYPE, f"'winner' is {quoted(winner)}; it is one of {', '.join(_WINNERS)}")
    return _WINNERS[winner]


def _number(row: _Row, low: float, high: float) -> float | None:
    value = row.get("preference")
    if value is None or value == "":
        return None
    if isinstance(value, str):
        # CSV has only text.
        try:
            value = float(value)
        except ValueError:
            raise RowError(Reason.WRONG_TYPE, f"'preference' is {quoted(value)}, not a number") from None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise RowError(Reason.WRONG_TYPE, f"'preference' is {quoted(value)}; it is a number from {low:g} to {high:g}")
    return float(value)


_FORMS: tuple[tuple[str, set[str], tuple[str, str], Callable[[_Row], float | None]], ...] = (
    ("frft", {"prompt", "first", "second", "preference"}, ("first", "second"), _own),
    ("alpaca-eval", {"instruction", "output_1", "output_2", "preference"}, ("output_1", "output_2"), _alpaca_eval),
    ("arena", {"conversation_a", "conversation_b", "winner"}, ("conversation_a", "conversation_b"), _arena),
)
"""Name, the fields that show the form, those of the two completions, and how the preference for the first is read."""
