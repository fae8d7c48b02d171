"""A diagnosis of a user's own parts: a reward model, preference pairs, and what a policy wrote."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from frft.diagnosis.statistics import Floats
from frft.diagnosis.subject import Scored, Subject
from frft.errors import DataError, printable
from frft.evaluation import OrderAccuracy
from frft.preferences.formats import check_columns, text_of
from frft.preferences.ingest import RowParser, ingest
from frft.preferences.read import RawRow
from frft.preferences.rejects import Reason, RowError
from frft.preferences.sources import find_sources
from frft.progress import SILENT, Progress
from frft.reward import RewardModel, evaluate_reward_model
from frft.reward.pairs import PairTable

Texts = tuple[Sequence[str], Sequence[str]]
"""Prompts and completions, one each."""

JudgeScores = Mapping[tuple[str, str], float]
"""By prompt and completion."""


def load_judge_scores(path: str | Path, *, split: str = "train", progress: Progress = SILENT) -> JudgeScores:
    """Read rows of prompt, completion (both text) and score (a finite number); several of one text are averaged.

    Raises:
        UnreadableError: it is missing or damaged.
        TooManyRejectedError: a row cannot be used.
    """
    scores: dict[tuple[str, str], list[float]] = {}

    def parse(row: dict[str, object]) -> tuple[tuple[str, str], float]:
        check_columns(row, "prompt", "completion", "score")
        value = row["score"]
        if type(value) not in (int, float) or not math.isfinite(value):  # type: ignore[arg-type]
            raise RowError(Reason.WRONG_TYPE, f"'score' must be a finite number, not {value!a}")
        return (text_of(row, "prompt"), text_of(row, "completion")), float(value)  # type: ignore[arg-type]

    def accept(_: RawRow, judged: tuple[tuple[str, str], float]) -> None:
        scores.setdefault(judged[0], []).append(judged[1])

    ingest(
        find_sources(path, split=split),
        lambda _: RowParser("prompt, completion and score", parse),
        accept,
        max_rejected=0.0,
        can_raise=False,
        columns="Rename the columns to prompt, completion and score.",
        progress=progress,
    )
    return {text: sum(each) / len(each) for text, each in scores.items()}


def subject_of_parts(
    reward_model: RewardModel,
    pairs: PairTable,
    completions: Texts,
    before: Texts | None = None,
    judge: JudgeScores | None = None,
    *,
    progress: Progress = SILENT,
) -> Subject:
    """Score everything.

    Args:
        reward_model: the proxy that the policy was trained with.
        pairs: labelled pairs that it was *not* trained on.
        completions: what the policy writes; several to a prompt where there are.
        before: what it wrote before training.
        judge: scores of all of them.

    Raises:
        DataError: there is nothing to score, or the judge did not score a text.
        RewardError: a score is not finite.
    """
    found = evaluate_reward_model(reward_model, pairs, progress=progress)
    cut = reward_model.truncated
    subject = Subject(
        name="the policy",
        gain=reward_model.gain,
        bias=reward_model.bias,
        after=_scored(reward_model, completions, judge, progress),
        before=None if before is None else _scored(reward_model, before, judge, progress),
        held_out=OrderAccuracy(found.accuracy, found.interval, found.n, found.ties, 0),
        calibration_error=found.calibration_error,
    )
    if cut.prompts or cut.completions:
        subject.unmeasured.append(
            f"whole texts: of {cut.sequences} sequences scored, {cut.prompts} lost the beginning of their prompt and "
            f"{cut.completions} the end of their completion (longer than {reward_model.max_length} tokens)"
        )
    return subject


def _scored(reward_model: RewardModel, texts: Texts, judge: JudgeScores | None, progress: Progress) -> Scored:
    prompts, completions = texts
    judged: Floats | None = None
    if judge is not None:
        missing = [text for text in zip(prompts, completions, strict=True) if text not in judge]
        if missing:
            prompt, completion = missing[0]
            raise DataError(
                f"The judge's scores lack {len(missing)} of {len(prompts)} completions, first "
                f"{printable(completion[:60])!r} to {printable(prompt[-60:])!r}. Score every completion, with the "
                "texts exactly as they are there."
            )
        judged = np.array([judge[text] for text in zip(prompts, completions, strict=True)])
    return Scored(prompts, completions, reward_model.score(prompts, completions, progress=progress), judged)
