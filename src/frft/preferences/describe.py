"""What is in a pool: rows, formats, lengths, duplicates, contradictions, sources, margins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from frft.errors import printable
from frft.preferences.pool import content_id
from frft.preferences.schema import ID_CHARACTERS, OWN_COLUMNS, Pool, ReadReport

MAX_SOURCE_VALUES = 200
"""A text column with at most this many different values says where pairs come from; others are data."""
SHOWN_VALUES = 5
"""Values of such a column that are shown."""
_BATCH_ROWS = 2048
"""Rows held as Python objects at a time."""


@dataclass(frozen=True)
class LengthSpread:
    """Median, 95th percentile, least and greatest value of a quantity over the pairs."""

    median: float
    p95: float
    least: float
    greatest: float


@dataclass(frozen=True)
class SourceColumn:
    """A text column with few different values.

    Attributes:
        values: number of different values.
        top: the SHOWN_VALUES most frequent of them, each with the number of pairs that have it.
    """

    values: int
    top: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Description:
    """What is in a pool.

    Attributes:
        report: how the pool was read.
        pairs: pairs in the pool (fewer than accepted, where a limit was given).
        lengths: characters of `prompt`, `chosen` and `rejected`.
        distinct_prompts: different prompts.
        duplicates: pairs that repeat an earlier one.
        contradictions: distinct pairs of completions to one prompt that occur with both labels.
        chosen_longer: share of the pairs whose chosen completion is the longer one, in characters; None: no pairs.
        equally_long: share of the pairs whose completions are equally long; None: no pairs.
        sources: by column: text columns with few values, such as `chosen_source` or `annotator`.
        with_margin: pairs that have a margin.
        margin: the spread of those margins; None: no pair has one.
    """

    report: ReadReport
    pairs: int
    lengths: dict[str, LengthSpread | None]
    distinct_prompts: int
    duplicates: int
    contradictions: int
    chosen_longer: float | None
    equally_long: float | None
    sources: dict[str, SourceColumn]
    with_margin: int
    margin: LengthSpread | None

    def as_dict(self) -> dict[str, Any]:
        """The description as JSON-able values."""
        return {
            **self.report.as_dict(),
            "pairs": self.pairs,
            "lengths": {name: spread and asdict(spread) for name, spread in self.lengths.items()},
            "distinct_prompts": self.distinct_prompts,
            "duplicates": self.duplicates,
            "contradictions": self.contradictions,
            "chosen_longer": self.chosen_longer,
            "equally_long": self.equally_long,
            "sources": {
                name: {"values": column.values, "top": dict(column.top)} for name, column in self.sources.items()
            },
            "with_margin": self.with_margin,
            "margin": None if self.margin is None else asdict(self.margin),
        }

    def lines(self) -> list[str]:
        """The description as lines of plain text; control characters from the data are escaped."""
        return [printable(line) for line in self._lines()]

    def _lines(self) -> Iterator[str]:
        report = self.report
        rejected = sum(report.rejected.values())
        yield f"rows: {report.read:,} read, {report.accepted:,} accepted, {rejected:,} rejected"
        for unusable in report.unusable:
            yield f"  {unusable.line()}"
        if report.advice:
            yield f"  {report.advice}"
        if report.drawn is not None:
            yield f"  {report.drawn:,} of the accepted were drawn at random; what follows is about them"
        for file in report.files:
            forms = ", ".join(f"{form} ({count:,})" for form, count in file.forms.items()) or "of no known form"
            yield f"file: {file.source.name}: {forms}, {file.accepted:,} of {file.read:,} rows"
        if len(report.forms) > 1:
            yield f"forms: {len(report.forms)} in one pool; each row is read by its own, and an export has one"
        for split, left in report.left_aside.items():
            yield f"split {split!r} left aside: {left.text()}"
        for path, why in report.ignored.items():
            yield f"ignored: {path}: {why}"
        if report.unused_completions:
            yield f"completions ranked between best and worst, in no pair: {report.unused_completions:,}"
        if report.repeated_prompts:
            yield f"prompt repeated at the head of both completions, and taken off there: {report.repeated_prompts:,}"
        for name, new_name in report.renamed_columns.items():
            yield f"column {name!r} is kept as {new_name!r}"
        for name, count in report.left_out_columns.items():
            yield f"column {name!r} is left out: nested values in {count:,} rows"
        yield from self._lines_of_pairs()

    def _lines_of_pairs(self) -> Iterator[str]:
        yield f"pairs: {self.pairs:,} on {self.distinct_prompts:,} different prompts"
        for name, spread in self.lengths.items():
            if spread is not None:
                yield (
                    f"characters of {name}: median {spread.median:,.0f}, 95 % up to {spread.p95:,.0f}, "
                    f"longest {spread.greatest:,.0f}"
                )
        if self.chosen_longer is None:
            return
        yield f"chosen is the longer one in {self.chosen_longer:.1%} (equally long: {self.equally_long:.1%})"
        yield f"duplicates: {self.duplicates:,} pairs repeat an earlier one"
        yield f"contradictions: {self.contradictions:,} pairs occur with both labels"
        if self.margin is not None:
            yield (
                f"margin: {self.with_margin:,} pairs have one, {self.margin.least:g} to "
                f"{self.margin.greatest:g}, median {self.margin.median:g}"
            )
        for name, column in self.sources.items():
            shown = ", ".join(f"{value} ({count:,})" for value, count in column.top)
            more = f", and {column.values - len(column.top)} more" if column.values > len(column.top) else ""
            yield f"{name}: {shown}{more}"


def describe_pool(pool: Pool) -> Description:
    """Count what is in a pool, which may be empty where `load_pool` was told to take any share of unusable rows."""
    table = pool.table
    characters = {name: _numbers(pc.utf8_length(table[name])) for name in ("prompt", "chosen", "rejected")}
    margins = _numbers(pc.drop_null(table["margin"])) if "margin" in table.column_names else np.empty(0)
    distinct, contradictions = _labels(table)
    return Description(
        report=pool.report,
        pairs=len(pool),
        lengths={name: _spread(values) for name, values in characters.items()},
        distinct_prompts=pc.count_distinct(table["prompt"]).as_py(),
        duplicates=len(pool) - distinct,
        contradictions=contradictions,
        chosen_longer=_share(characters["chosen"] > characters["rejected"]),
        equally_long=_share(characters["chosen"] == characters["rejected"]),
        sources=_source_columns(table),
        with_margin=len(margins),
        margin=_spread(margins),
    )


def _numbers(column: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(column.to_numpy(), dtype=np.float64)


def _share(hits: np.ndarray[Any, np.dtype[np.bool_]]) -> float | None:
    return float(np.mean(hits)) if len(hits) else None


def _spread(values: np.ndarray[Any, np.dtype[np.float64]]) -> LengthSpread | None:
    if not len(values):
        return None
    median, p95 = np.percentile(values, [50, 95])
    return LengthSpread(float(median), float(p95), float(values.min()), float(values.max()))


def _labels(table: pa.Table) -> tuple[int, int]:
    """(number of distinct pairs, number of distinct pairs of completions that occur with both labels)."""
    # The id of a repeated row is the content's and a number, so its first characters are the same.
    seen = {str(name)[:ID_CHARACTERS] for name in table["id"].to_pylist()}
    flipped = set()
    for batch in table.select(["prompt", "rejected", "chosen"]).to_batches(max_chunksize=_BATCH_ROWS):
        for prompt, rejected, chosen in zip(*batch.to_pydict().values(), strict=True):
            flipped.add(content_id(prompt, rejected, chosen))
    # A contradiction is found twice, from either of its two labels.
    return len(seen), len(seen & flipped) // 2


def _source_columns(table: pa.Table) -> dict[str, SourceColumn]:
    columns = {}
    for name in table.column_names:
        if name in OWN_COLUMNS or table.schema.field(name).type != pa.string():
            continue
        if 0 < pc.count_distinct(table[name], mode="only_valid").as_py() <= MAX_SOURCE_VALUES:
            counts = Counter(value for value in table[name].to_pylist() if value is not None)
            top = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:SHOWN_VALUES]
            columns[name] = SourceColumn(len(counts), tuple(top))
    return columns
