"""Reads published preference data into the pool."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from frft.errors import UsageError
from frft.preferences.columns import Scalar, TableBuilder, scalar_columns
from frft.preferences.fields import Keys, RawFields
from frft.preferences.formats import read_margin, read_preference
from frft.preferences.ingest import ingest
from frft.preferences.read import RawRow
from frft.preferences.rejects import Reason, RowError
from frft.preferences.rendering import render_completion, render_prompt
from frft.preferences.schema import ID_CHARACTERS, Pool
from frft.preferences.sources import find_sources
from frft.progress import SILENT, Progress

NAME_COLUMNS = (
    "Where columns have other names, give them: --prompt-key, --chosen-key, --rejected-key (in a configuration "
    "data.prompt_key, data.chosen_key, data.rejected_key)."
)


def load_pool(
    pairs: str | Path | Sequence[str | Path],
    *,
    split: str = "train",
    prompt_key: str | None = None,
    chosen_key: str | None = None,
    rejected_key: str | None = None,
    max_rejected: float | None = 0.01,
    limit: int | None = None,
    seed: int = 0,
    rejects_path: Path | None = None,
    progress: Progress = SILENT,
) -> Pool:
    """Read preference pairs in any published form (see `frft.preferences.formats`).

    Args:
        pairs: files, folders, globs, or ids of data sets on the Hub.
        split: the split of Hub data sets, and of folders whose files' names say splits.
        prompt_key: column of the prompt, where it has an unusual name; None: the names of the published forms.
        chosen_key: likewise for the chosen completion.
        rejected_key: likewise for the rejected completion.
        max_rejected: the largest share of rows that may be unusable, 0 to 1; None: all of them, and the pool may be
            empty.
        limit: keep only this many pairs, drawn at random and left in order (`report.drawn`); None: keep all.
        seed: seed of that draw.
        rejects_path: file for the rejected rows, one JSON object a line (see `ingest`); None: they are only counted.
        progress: told the bytes read.

    Raises:
        UnreadableError: a source is missing, damaged as a whole, or of no known kind.
        TooManyRejectedError: more rows were rejected than allowed, or all.
        UsageError: `limit` is below 1.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit is {limit}; it must be at least 1.")
    keys = Keys({"prompt": prompt_key, "chosen": chosen_key, "rejected": rejected_key})
    collector = _Collector()
    report = ingest(
        find_sources(pairs, split=split),
        lambda row: _parse(row, keys),
        collector.accept,
        max_rejected=max_rejected,
        columns=NAME_COLUMNS,
        rejects_path=rejects_path,
        progress=progress,
    )
    table, renamed = collector.builder.finish()
    report = replace(
        report,
        duplicates=report.accepted - len(collector.seen),
        unused_completions=collector.unused_completions,
        repeated_prompts=collector.repeated_prompts,
        renamed_columns=renamed,
        left_out_columns=dict(collector.left_out),
    )
    pool = Pool(table, report)
    if limit is None or limit >= len(pool):
        return pool
    drawn = sorted(random.Random(seed).sample(range(len(pool)), limit))  # noqa: S311 - a draw, not a secret
    return replace(pool.subset(drawn), report=replace(report, drawn=limit))


def content_id(prompt: str, chosen: str, rejected: str) -> str:
    """The id of a pair: the first digits of the SHA-256 of its three texts, parted by NUL (none holds it)."""
    return hashlib.sha256("\0".join((prompt, chosen, rejected)).encode()).hexdigest()[:ID_CHARACTERS]


@dataclass(frozen=True, slots=True)
class _Pair:
    prompt: str
    chosen: str
    rejected: str
    margin: float | None
    extra: dict[str, Scalar]
    left_out: list[str]
    unused_completions: int
    repeated: bool


def _parse(row: RawFields, keys: Keys) -> tuple[str, _Pair]:
    row = keys.rename(row)
    preference = read_preference(row)
    prompt = render_prompt(preference.prompt)
    chosen = render_completion(preference.chosen, preference.prompt, "chosen")
    rejected = render_completion(preference.rejected, preference.prompt, "rejected")
    # Texts that differ in white space alone say nothing about which is better.
    if chosen.strip() == rejected.strip():
        raise RowError(Reason.CHOSEN_IS_REJECTED, "the two completions are the same")
    margin = read_margin(row, scored=preference.scored)
    extra, left_out = scalar_columns(row, preference.used)
    pair = _Pair(prompt, chosen, rejected, margin, extra, left_out, preference.unused_completions, preference.repeated)
    return f"openrlhf ({preference.form})" if keys else preference.form, pair


class _Collector:
    """Gives ids to accepted pairs, and collects them."""

    def __init__(self) -> None:
        self.builder = TableBuilder()
        self.seen: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.unused_completions = 0
        self.repeated_prompts = 0

    def accept(self, row: RawRow, pair: _Pair) -> None:
        content = content_id(pair.prompt, pair.chosen, pair.rejected)
        self.seen[content] += 1
        self.left_out.update(pair.left_out)
        self.unused_completions += pair.unused_completions
        self.repeated_prompts += pair.repeated
        own = {
            # A number after repeated contents keeps ids unique, by which selections name pairs.
            "id": content if self.seen[content] == 1 else f"{content}-{self.seen[content]}",
            "prompt": pair.prompt,
            "chosen": pair.chosen,
            "rejected": pair.rejected,
            "margin": pair.margin,
            "origin_file": row.file,
            "origin_row": row.number,
        }
        self.builder.append(own, pair.extra)
