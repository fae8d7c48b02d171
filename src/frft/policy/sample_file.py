"""A policy's completions in a file, written part by part: what was stopped goes on, and no file is ever half of one.

    OUT.unfinished      a first row of what it is a part of, then a row for each completion written so far
    OUT                 the rows alone, when the last is written

A completion depends on the seed and on its place among the prompts alone (see `generate`), so a file that was stopped
and went on is, to the bit, the one that was not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frft.config.sections import SamplingConfig
from frft.errors import ArtifactError, UsageError
from frft.models import Encoder
from frft.policy.generation import check_room, generate
from frft.progress import SILENT, Progress
from frft.store import append_rows, atomic_write, digest_of, read_rows

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_COLUMNS = ("prompt", "completion", "has_eos")
PART_ROWS = 256
"""Completions written at a time; a stopped pass loses at most this many."""


@dataclass(frozen=True)
class WrittenSamples:
    """Counts of a finished file of completions.

    Attributes:
        completions: number of rows.
        resumed: rows that an earlier, stopped pass had written.
        without_eos: completions that reached the token limit before EOS.
        empty: completions without text.
        prompts_truncated: prompts that lost their beginning.
    """

    completions: int
    resumed: int
    without_eos: int
    empty: int
    prompts_truncated: int

    def as_dict(self) -> dict[str, int]:
        """The counts as JSON-able values."""
        return asdict(self)


def unfinished_file(out: Path) -> Path:
    """Path of the rows until the last one is written."""
    return out.with_name(f"{out.name}.unfinished")


def write_samples(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    sampling: SamplingConfig,
    out: Path,
    *,
    seed: int,
    identity: Any,
    batch_size: int = 64,
    progress: Progress = SILENT,
) -> WrittenSamples:
    """Write a row of prompt, completion and has_eos for each prompt, in the order given, going on where it was stopped.

    Args:
        policy: a causal language model.
        tokenizer: its tokenizer.
        prompts: N prompts; one that occurs twice gets two completions.
        sampling: how the policy writes.
        out: the file, JSON Lines; it is replaced when the last row is written.
        seed: what the completions are drawn from.
        identity: what names the policy's weights, JSON-able. An unfinished file of another policy, of other prompts or
            settings is begun anew, which is said.
        batch_size: prompts at a time.
        progress: shows the number of prompts done.

    Raises:
        UsageError: there are no prompts.
        ModelError, DataError: as `generate`.
    """
    if not prompts:
        raise UsageError("There are no prompts to write to. Give at least one.")
    # All prompts at once, so that one that cannot be written to is found before any is.
    check_room(policy, sampling, "policy")
    encoder = Encoder(tokenizer, sampling.max_prompt_tokens)
    encoder.encode_prompts(prompts, sampling.max_prompt_tokens)
    part_of = {
        "unfinished": "frft samples, version 1",
        "policy": identity,
        "prompts": digest_of(list(prompts)),
        "sampling": sampling.model_dump(),
        "seed": seed,
        "batch_size": batch_size,
    }
    unfinished = unfinished_file(out)
    rows = _begun(unfinished, json.loads(json.dumps(part_of)), progress)
    resumed = len(rows)
    if not resumed:
        unfinished.unlink(missing_ok=True)
        append_rows(unfinished, [part_of])
    with progress.task("Writing completions", len(prompts)) as task:
        task.advance(resumed)
        for start in range(resumed, len(prompts), PART_ROWS):
            part = prompts[start : start + PART_ROWS]
            written = generate(policy, tokenizer, part, sampling, seed=seed, batch_size=batch_size, first_row=start)
            columns = zip(written.prompts, written.completions, written.has_eos, strict=True)
            fresh = [dict(zip(_COLUMNS, row, strict=True)) for row in columns]
            append_rows(unfinished, fresh)
            rows += fresh
            task.advance(len(fresh))
    with atomic_write(out) as file:
        for row in rows:
            file.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
    unfinished.unlink()
    return WrittenSamples(
        completions=len(rows),
        resumed=resumed,
        without_eos=sum(not row["has_eos"] for row in rows),
        empty=sum(not row["completion"].strip() for row in rows),
        prompts_truncated=encoder.truncated.prompts,
    )


def _begun(unfinished: Path, part_of: Mapping[str, Any], progress: Progress) -> list[dict[str, Any]]:
    """The rows that an earlier pass for the same file has written."""
    if not unfinished.exists():
        return []
    try:
        first, *rows = read_rows(unfinished) or [{}]
    except ArtifactError:
        first, rows = {}, []
    if first == part_of:
        progress.say(f"Going on after the {len(rows)} completions in {unfinished}.")
        return rows
    progress.say(f"{unfinished} is a part of another file (another policy, prompts or settings), and is begun anew.")
    return []
