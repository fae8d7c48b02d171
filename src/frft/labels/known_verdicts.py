"""Verdicts of annotators on pairs whose better completion is known: how often each is right, region by region."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from frft.errors import DataError
from frft.preferences import ReadReport
from frft.preferences.fields import field_of, is_blank
from frft.preferences.ingest import ingest
from frft.preferences.prompts import read_prompt
from frft.preferences.rejects import Reason, RowError, quoted
from frft.preferences.rendering import render_prompt
from frft.preferences.sources import find_sources
from frft.progress import SILENT, Progress
from frft.statistics.numbers import Floats

ALL_REGIONS = "all"
"""Name of the region of all pairs where no column tells regions apart."""


@dataclass(frozen=True)
class RegionVerdicts:
    """One annotator's verdicts on the pairs of one region.

    Attributes:
        right_P: for each of P prompts, the share of the annotator's verdicts on it that are right, 0 to 1: several
            where a prompt has several pairs, or a pair was judged in both orders.
        pairs: number of pairs of the region.
        missing: number of verdicts that could not be read (null); a prompt with no other is not among the P.
    """

    right_P: Floats
    pairs: int
    missing: int


@dataclass(frozen=True)
class KnownVerdicts:
    """The verdicts of a file.

    Attributes:
        annotators: by annotator, its verdicts by region; annotators and regions in the order in which they first occur.
        report: what was read and rejected.
    """

    annotators: dict[str, dict[str, RegionVerdicts]]
    report: ReadReport

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        region_column: str | None = None,
        split: str = "train",
        max_rejected: float = 0.01,
        progress: Progress = SILENT,
    ) -> KnownVerdicts:
        """Read rows of a prompt and `verdicts`, an object that says of every annotator whether it was right.

        Each of its values is true (the annotator preferred the better completion), false, null (no verdict was read),
        or a list of these, one for each time the annotator was asked, as in both orders.

        Args:
            path: a file, a folder, or the id of a data set on the Hub.
            region_column: the column that says a pair's region; None: all pairs are of one region.
            split: split of a data set.
            max_rejected: largest share of rows, 0 to 1, that may be unusable.
            progress: receives the progress of reading.

        Raises:
            UnreadableError: the source is missing, damaged as a whole, or of no known kind.
            TooManyRejectedError: more rows were rejected than allowed, or all.
            DataError: no verdict at all could be read of an annotator in a region.
        """
        rows: list[tuple[str, str, dict[str, list[bool | None]]]] = []
        report = ingest(
            find_sources(path, split=split),
            lambda row: ("verdicts", _parse(row, region_column)),
            lambda _, parsed: rows.append(parsed),
            max_rejected=max_rejected,
            columns="Name the columns prompt and verdicts, and name the regions' column by --region-column.",
            progress=progress,
        )
        names = list(dict.fromkeys(name for _, _, verdicts in rows for name in verdicts))
        regions = list(dict.fromkeys(region for region, _, _ in rows))
        found = {}
        for name in names:
            found[name] = {
                region: _of_region(name, region, [row[1:] for row in rows if row[0] == region]) for region in regions
            }
        return cls(found, report)


def _of_region(annotator: str, region: str, rows: list[tuple[str, dict[str, list[bool | None]]]]) -> RegionVerdicts:
    """An annotator's verdicts on the rows (prompt, verdicts) of a region; one who was not asked about a pair has none
    of it."""
    of_prompt: defaultdict[str, list[float]] = defaultdict(list)
    missing = 0
    for prompt, verdicts in rows:
        given = verdicts.get(annotator, [None])
        missing += given.count(None)
        known = [each for each in given if each is not None]
        if known:
            # A pair judged twice is one pair.
            of_prompt[prompt].append(sum(known) / len(known))
    if not of_prompt:
        raise DataError(
            f"No verdict of {annotator!r} in the region {region!r} can be read ({len(rows)} pairs). Leave that "
            "annotator, or that region, out of the file."
        )
    return RegionVerdicts(np.array([np.mean(shares) for shares in of_prompt.values()]), len(rows), missing)


def _parse(row: dict[str, Any], region_column: str | None) -> tuple[str, str, dict[str, list[bool | None]]]:
    """The region, the prompt, and the verdicts of a row."""
    region = ALL_REGIONS if region_column is None else field_of(row, region_column)
    if is_blank(region):
        raise RowError(Reason.EMPTY_FIELD, f"{region_column!r} names no region")
    verdicts = field_of(row, "verdicts")
    if not isinstance(verdicts, Mapping) or not verdicts:
        raise RowError(Reason.WRONG_TYPE, f"'verdicts' is {quoted(verdicts)}, not an object with a key per annotator")
    given = {name: value if isinstance(value, list) else [value] for name, value in verdicts.items()}
    for name, values in given.items():
        wrong = [value for value in values if value is not None and not isinstance(value, bool)]
        if wrong or not values:
            raise RowError(
                Reason.WRONG_TYPE,
                f"the verdict of {quoted(name)} is {quoted(verdicts[name])}; it is true, false, null or a list",
            )
    return str(region), render_prompt(read_prompt(row)), given
