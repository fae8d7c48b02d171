"""The pool: any published preference data as one Arrow table, and the account of how it was read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pyarrow as pa

from frft.preferences.rejects import UnusableRows
from frft.preferences.sources import Source

ID_CHARACTERS = 16
"""Hexadecimal digits (4 bits each) of a row's content hash. The probability that any two of a million rows share one by
chance is about n^2 / 2 / 16^16 = 3e-8."""

OWN_COLUMNS = {
    "id": pa.string(),
    "prompt": pa.string(),
    "chosen": pa.string(),
    "rejected": pa.string(),
    "margin": pa.float64(),
    "origin_file": pa.string(),
    "origin_row": pa.int64(),
}
"""Columns that frft fills; a data column of the same name is kept as `source_<name>`."""


@dataclass(frozen=True)
class FileReport:
    """How one source was read.

    Attributes:
        source: the file or Hub data set; its `name` is the `origin_file` of its rows.
        forms: accepted rows by the published form that they have, most frequent first.
        digest: SHA-256 of the content, by which a later export knows that the source has not changed.
        read: rows in the source.
        accepted: rows of it that could be used.
    """

    source: Source
    forms: Mapping[str, int]
    digest: str
    read: int
    accepted: int

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-able values."""
        return {
            "file": self.source.name,
            "forms": dict(self.forms),
            "sha256": self.digest,
            "read": self.read,
            "accepted": self.accepted,
            "rejected": self.read - self.accepted,
        }


@dataclass(frozen=True)
class LeftAside:
    """A split that was not asked for.

    Attributes:
        files: number of files of the split.
        rows: number of rows in these files; None where the rows of one could not be counted.
    """

    files: int
    rows: int | None

    def text(self) -> str:
        """Files and rows in words, for messages."""
        rows = "" if self.rows is None else f", {self.rows:,} row{'' if self.rows == 1 else 's'}"
        return f"{self.files:,} file{'' if self.files == 1 else 's'}{rows}"


@dataclass(frozen=True)
class ReadReport:
    """The account of a reading: `accepted + sum(rejected.values()) == read`, always.

    Attributes:
        read: rows read.
        accepted: rows that could be used.
        rejected: rows that could not, by reason.
        files: the files and Hub data sets that were read, in order.
        ignored: paths that were met and not read, with the reason.
        drawn: rows kept, at random, where a limit was given and there were more; else None.
        duplicates: accepted rows that repeat an earlier one (same prompt, chosen, rejected). They are kept.
        unused_completions: completions ranked between the best and the worst of their row, in no pair.
        renamed_columns: data columns whose name frft uses itself, with the name they have now.
        repeated_prompts: rows whose completions began with the whole prompt, which was taken off.
        left_out_columns: data columns with nested values, which the table does not hold, with their rows.
        left_aside: splits that were found in a folder and not asked for, with what is in them.
        unusable: the rejected rows, grouped by what is wrong with them, and where examples stand.
        advice: what to do about the rejected rows, in sentences; empty where there are none.
    """

    read: int
    accepted: int
    rejected: Mapping[str, int]
    files: tuple[FileReport, ...]
    ignored: Mapping[str, str]
    drawn: int | None = None
    duplicates: int = 0
    unused_completions: int = 0
    repeated_prompts: int = 0
    renamed_columns: Mapping[str, str] = field(default_factory=dict)
    left_out_columns: Mapping[str, int] = field(default_factory=dict)
    left_aside: Mapping[str, LeftAside] = field(default_factory=dict)
    unusable: tuple[UnusableRows, ...] = ()
    advice: str = ""

    @property
    def forms(self) -> dict[str, int]:
        """Accepted rows by the published form that they have, most frequent first."""
        forms: Counter[str] = Counter()
        for file in self.files:
            forms.update(file.forms)
        return dict(forms.most_common())

    def is_usable(self, max_rejected: float) -> bool:
        """Whether at least one row was accepted, and at most the share `max_rejected` rejected."""
        return self.accepted > 0 and self.read - self.accepted <= max_rejected * self.read

    def as_dict(self) -> dict[str, Any]:
        """The account as JSON-able values."""
        return {
            "read": self.read,
            "accepted": self.accepted,
            "rejected": dict(self.rejected),
            "files": [file.as_dict() for file in self.files],
            "ignored": dict(self.ignored),
            "drawn": self.drawn,
            "duplicates": self.duplicates,
            "unused_completions": self.unused_completions,
            "repeated_prompts": self.repeated_prompts,
            "renamed_columns": dict(self.renamed_columns),
            "left_out_columns": dict(self.left_out_columns),
            "left_aside": {split: asdict(left) for split, left in self.left_aside.items()},
            "unusable": [rows.as_dict() for rows in self.unusable],
        }


@dataclass(frozen=True)
class Pool:
    """Preference pairs D.

    Attributes:
        table: one row per pair, in reading order.

            - `id`: the first 16 hexadecimal digits of the SHA-256 of prompt, chosen and rejected; a row that
              repeats an earlier one gets `-2`, `-3`, ... in reading order, so ids are unique.
            - `prompt`, `chosen`, `rejected`: text; prompt + completion is what a language model reads.
            - `margin`: float64, null where the row has none; only there if some row has one.
            - every other scalar column of the data, under its own name.
            - `origin_file`, `origin_row`: where the row stands (1-based line of a JSON Lines file, else
              1-based row, headers not counted).
        report: how the data was read.
    """

    table: pa.Table
    report: ReadReport

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def subset(self, indices: Sequence[int]) -> Pool:
        """The pairs at these positions, in the order given; the report still tells how the whole was read."""
        return replace(self, table=self.table.take(pa.array(indices, type=pa.int64())))
