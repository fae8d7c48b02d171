"""Write a policy's completions to a file in parts, so that an interrupted pass can be resumed.

    OUT.unfinished      a first row that identifies the file, then a row for each completion written so far; chained by
                        digests
    OUT                 the rows alone; it appears when the last one is written

A completion depends only on the seed and on its position among the prompts (see `generate`), so a resumed file is equal
to the bit to one written without interruption.
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
from frft.store import ChainedJournal, atomic_write, digest_of

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
        resumed: rows that an earlier, interrupted pass had written.
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
    """Path of the file that holds the rows until the last one is written."""
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
    """Write a row of prompt, completion and has_eos for each prompt, in the order given; resumes an interrupted pass.

    Args:
        policy: a causal language model.
        tokenizer: its tokenizer.
        prompts: N prompts; one that occurs twice gets two completions.
        sampling: sampling settings: temperature, top_k, token limits.
        out: the file, JSON Lines; it is replaced when the last row is written.
        seed: seed of the completions.
        identity: identifies the policy's weights, JSON-able. An unfinished file of another policy, other prompts or
            other settings is discarded and begun anew, with a message.
        batch_size: prompts in a batch.
        progress: shows the number of prompts done.

    Raises:
        UsageError: there are no prompts.
        ModelError, DataError: as `generate`.
    """
    if not prompts:
        raise UsageError("There are no prompts to complete. Give at least one.")
    # All prompts are encoded first, so that one that cannot be completed is found before hours of sampling.
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
    journal = ChainedJournal(unfinished)
    if not resumed:
        journal.append(part_of)
    with progress.task("Writing completions", len(prompts)) as task:
        task.advance(resumed)
        for start in range(resumed, len(prompts), PART_ROWS):
            part = prompts[start : start + PART_ROWS]
            written = generate(policy, tokenizer, part, sampling, seed=seed, batch_size=batch_size, first_row=start)
            columns = zip(written.prompts, written.completions, written.has_eos, strict=True)
            fresh = [dict(zip(_COLUMNS, row, strict=True)) for row in columns]
            journal.append(*fresh)
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
    """The rows that an earlier pass has written for the same policy, prompts and settings; none for others."""
    if not unfinished.exists():
        return []
    try:
        first, *rows = ChainedJournal(unfinished, "All of its completions are made again.").rows or [{}]
    except ArtifactError as error:
        progress.say(str(error))
        return []
    if first == part_of:
        progress.say(f"Going on after the {len(rows)} completions in {unfinished}.")
        return rows
    progress.say(f"{unfinished} was written with another policy, prompts or settings; its completions are discarded.")
    return []
