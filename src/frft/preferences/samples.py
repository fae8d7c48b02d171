"""Completions that a policy wrote, and prompts to evaluate on, from the same files as preference pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from frft.errors import DataError
from frft.preferences.fields import Keys, RawFields, has
from frft.preferences.ingest import ingest
from frft.preferences.prompts import LEAST_REPEATED, read_answers, read_prompt
from frft.preferences.read import RawRow
from frft.preferences.rejects import quoted
from frft.preferences.rendering import render_completion, render_prompt
from frft.preferences.schema import ReadReport
from frft.preferences.sources import find_sources
from frft.progress import SILENT, Progress


@dataclass(frozen=True)
class Samples:
    """Completions that a policy wrote, each with its prompt.

    Attributes:
        prompts: one prompt per sample; a prompt with several samples stands here several times.
        completions: the completion to each of `prompts`.
        models: samples in the file by their `model` column (AlpacaEval's `generator`), before any is left out; empty
            where it has none.
        report: how the rows were read; samples of other models are among the accepted rows.
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
    prompt_key: str | None = None,
    completion_key: str | None = None,
    max_rejected: float = 0.01,
    blank: bool = False,
    rejects_path: Path | None = None,
    progress: Progress = SILENT,
) -> Samples:
    """Read rows of a prompt and a completion to it.

    The prompt is given as in preference pairs (see `frft.preferences.prompts`). The completion is `completion`, text or
    messages; AlpacaEval's `output` beside `instruction`; or the last of `messages`, a whole conversation.

    Args:
        path: files, folders, globs or ids of data sets on the Hub, as `pairs` of `load_pool`; `split`, `max_rejected`,
            `rejects_path` and `progress` are as there, too.
        model: keep only the samples whose `model` (or `generator`) column says this; None: keep all.
        prompt_key: column of the prompt, where it has an unusual name.
        completion_key: column of the completion, where it has an unusual name.
        blank: whether completions without text are accepted. A policy writes them, so a judge must see them; a
            selection by similarity can do nothing with them.

    Raises:
        DataError: `model` is asked for and no row has it.
        UnreadableError: a source is missing, damaged as a whole, or of no known kind.
        TooManyRejectedError: more rows were rejected than allowed, or all.
    """
    return read_samples(
        path,
        Keys({"prompt": prompt_key, "completion": completion_key}),
        model=model,
        split=split,
        max_rejected=max_rejected,
        blank=blank,
        columns="Where columns have other names, give them as prompt_key and completion_key.",
        rejects_path=rejects_path,
        progress=progress,
    )


def read_samples(
    path: str | Path | Sequence[str | Path],
    keys: Keys,
    *,
    model: str | None,
    split: str,
    max_rejected: float,
    blank: bool,
    columns: str,
    rejects_path: Path | None,
    progress: Progress,
) -> Samples:
    """`load_samples` for callers whose options for column names are called otherwise.

    Args:
        path: as in `load_samples`, like all that is not named here.
        keys: the columns that the user named.
        columns: advice for errors on how to name columns, in a sentence.
    """
    samples: list[tuple[str, str]] = []
    models: Counter[str] = Counter()
    echoes = 0

    def accept(row: RawRow, sample: tuple[str, str]) -> None:
        nonlocal echoes
        # A column of numbers is named by numbers written out: whoever asks for a model has only text.
        written_by = next((str(row.value[name]) for name in ("model", "generator") if has(row.value, name)), None)
        if written_by is not None:
            models[written_by] += 1
        if model is None or written_by == model:
            samples.append(sample)
            echoes += len(sample[0].strip()) >= LEAST_REPEATED and sample[1].startswith(sample[0])

    report = ingest(
        find_sources(path, split=split),
        lambda row: sample_of(keys.rename(row), blank=blank),
        accept,
        max_rejected=max_rejected,
        columns=columns,
        rejects_path=rejects_path,
        progress=progress,
    )
    if not samples:
        known = ", ".join(quoted(name) for name in sorted(models)) or "none; there is no column `model`"
        raise DataError(f"{path} holds no samples of model {model!r}. Models in it: {known}.")
    if echoes:
        progress.say(
            f"{path}: {echoes} of {len(samples)} completions begin with their whole prompt, which is then read twice. "
            "Cut it off if the generator returned prompt and completion as one text."
        )
    prompts, completions = ([sample[side] for sample in samples] for side in (0, 1))
    return Samples(prompts, completions, dict(models), report)


def load_prompts(
    path: str | Path | Sequence[str | Path],
    *,
    split: str = "train",
    prompt_key: str | None = None,
    progress: Progress = SILENT,
) -> list[str]:
    """Read rows of a prompt, in order; a prompt that occurs twice is kept twice.

    The prompt is given as in preference pairs (see `frft.preferences.prompts`), or in the column `prompt_key`. Every
    row must be usable: a list has no place to say that some are missing.

    Raises:
        UnreadableError: a source is missing, damaged as a whole, or of no known kind.
        TooManyRejectedError: a row cannot be used.
    """
    keys = Keys({"prompt": prompt_key})
    prompts: list[str] = []
    ingest(
        find_sources(path, split=split),
        lambda row: ("prompt", render_prompt(read_prompt(keys.rename(row)))),
        lambda _, prompt: prompts.append(prompt),
        max_rejected=0.0,
        can_raise=False,
        columns="Rename the column to prompt.",
        progress=progress,
    )
    return prompts


def sample_of(row: RawFields, *, blank: bool = False) -> tuple[str, tuple[str, str]]:
    """The name of a row's form, and the texts of its prompt and completion, which may be blank if `blank`.

    Raises:
        RowError: prompt or completion is missing, or is no usable text or messages.
    """
    form, name = "prompt and completion", "completion"
    if name not in row:
        if has(row, "instruction", "output"):
            form, name = "alpaca-eval", "output"
        elif not has(row, "prompt") and isinstance(row.get("messages"), list):
            form, name = "messages", "messages"
    answered = read_answers(row, (name,), blank=blank)
    prompt, completion = answered.prompt, answered.completions[0]
    return form, (
        render_prompt(prompt),
        render_completion(completion, prompt, name, blank=blank),
    )
