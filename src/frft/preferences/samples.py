"""Completions that a policy wrote, and prompts to evaluate on, from the same files as preference pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frft.errors import DataError
from frft.preferences.dialogue import Message, Render, as_messages, check_prompt, split_completion
from frft.preferences.formats import check_columns, field_of, text_of
from frft.preferences.ingest import RowParser, ingest
from frft.preferences.read import RawRow
from frft.preferences.rejects import Reason, RowError, quoted
from frft.preferences.rendering import render_completion, render_prompt
from frft.preferences.schema import ReadReport
from frft.preferences.sources import find_sources
from frft.progress import SILENT, Progress


@dataclass(frozen=True)
class Samples:
    """What a policy wrote.

    Attributes:
        prompts: one prompt per sample; a prompt with several samples stands here several times.
        completions: the completion to each.
        models: samples in the file by their `model` column, before any is left out; empty where it has none.
        report: how they were read; samples of other models are among the accepted rows.
    """

    prompts: list[str]
    completions: list[str]
    models: dict[str, int]
    report: ReadReport

    def __len__(self) -> int:
        return len(self.prompts)


def load_samples(
    path: str | Path | Sequence[str | Path],
    *,
    model: str | None = None,
    split: str = "train",
    max_rejected: float = 0.01,
    render: Render | None = None,
    blank: bool = False,
    rejects_path: Path | None = None,
    progress: Progress = SILENT,
) -> Samples:
    """Read rows of `prompt` and `completion`: text, or message lists.

    Args:
        path: like `pairs` of `load_pool`; so `split`, `max_rejected`, `rejects_path` and `progress`.
        model: keep only the samples whose `model` column says this.
        render: must be the same as for the pool, where prompts are matched with the pool's.
        blank: take completions without text as well: a policy writes them, too, and whoever judges it must see them.
            Whoever looks for texts like them has nothing to look for.

    Raises:
        DataError: `model` is asked for and no row has it.
        UnreadableError: a source is missing, damaged as a whole, or of no known kind.
        TooManyRejectedError: more rows were rejected than allowed, or all.
    """
    samples: list[tuple[str, str]] = []
    models: Counter[str] = Counter()

    def accept(row: RawRow, sample: tuple[str, str]) -> None:
        written_by = row.value.get("model")
        if written_by is not None:
            models[str(written_by)] += 1
        if model is None or written_by == model:
            samples.append(sample)

    report = ingest(
        find_sources(path, split=split),
        lambda _: RowParser("prompt and completion", lambda row: sample_of(row, render, blank=blank)),
        accept,
        max_rejected=max_rejected,
        columns="Rename the columns to prompt and completion.",
        rejects_path=rejects_path,
        progress=progress,
    )
    if not samples:
        known = ", ".join(quoted(name) for name in sorted(models)) or "none; there is no column `model`"
        raise DataError(f"{path} holds no samples of model {model!r}. Models in it: {known}.")
    prompts, completions = ([sample[side] for sample in samples] for side in (0, 1))
    return Samples(prompts, completions, dict(models), report)


def load_prompts(
    path: str | Path | Sequence[str | Path],
    *,
    split: str = "train",
    render: Render | None = None,
    progress: Progress = SILENT,
) -> list[str]:
    """Read rows of `prompt` (text, or a message list), in order; a prompt that occurs twice is kept twice.

    Every row must be usable: a list has no place to say that some are missing.

    Raises:
        UnreadableError: a source is missing, damaged as a whole, or of no known kind.
        TooManyRejectedError: a row cannot be used.
    """
    prompts: list[str] = []
    ingest(
        find_sources(path, split=split),
        lambda _: RowParser("prompt", lambda row: render_prompt(_prompt(row), render)),
        lambda _, prompt: prompts.append(prompt),
        max_rejected=0.0,
        can_raise=False,
        columns="Rename the column to prompt.",
        progress=progress,
    )
    return prompts


def _prompt(row: dict[str, Any]) -> str | list[Message]:
    check_columns(row, "prompt")
    if not isinstance(row.get("prompt"), list):
        return text_of(row, "prompt")
    messages = as_messages(row["prompt"], "prompt")
    check_prompt(messages, "prompt")
    return messages


def sample_of(row: dict[str, Any], render: Render | None = None, *, blank: bool = False) -> tuple[str, str]:
    """The text of a row's prompt and completion, which may be blank if `blank`.

    Raises:
        RowError: one is missing, or no usable text or messages.
    """
    check_columns(row, "prompt", "completion")
    prompt, completion = _prompt(row), field_of(row, "completion")
    if isinstance(completion, list):
        question = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        prompt, text = split_completion(question, as_messages(completion, "completion"), "completion")
        if prompt != question:
            raise RowError(Reason.BAD_MESSAGE, "'completion' has other messages than the assistant's last one")
    else:
        text = text_of(row, "completion", blank=blank)
    return render_prompt(prompt, render), render_completion(text, prompt, render, "completion", blank=blank)
