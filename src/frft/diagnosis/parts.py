"""The subject of a diagnosis from a user's own parts: a reward model, preference pairs and completions of a policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from frft.diagnosis.subject import Scored, Subject
from frft.errors import DataError, printable
from frft.evaluation import Judge, compare, match
from frft.preferences.fields import check_columns, finite_number
from frft.preferences.ingest import ingest
from frft.preferences.read import RawRow
from frft.preferences.rejects import Reason
from frft.preferences.samples import sample_of
from frft.preferences.sources import find_sources
from frft.progress import SILENT, Progress
from frft.reward import RewardModel, evaluate_reward_model
from frft.reward.pairs import PairTable

_Texts = tuple[Sequence[str], Sequence[str]]
"""Prompts, and one completion for each: two sequences of equal length."""

JudgeScores = Mapping[tuple[str, str], float]
"""(prompt, completion) -> the judge's score."""

_SHOWN = 60
"""Characters of a text that an error quotes."""


def load_judge_scores(path: str | Path, *, split: str = "train", progress: Progress = SILENT) -> JudgeScores:
    """Read a judge's scores: rows of prompt, completion (as in `frft.preferences.load_samples`) and score (finite).

    Several scores of one text are averaged.

    Args:
        path: a file, a folder, or the id of a data set.
        split: split of a data set.
        progress: receives the progress of reading.

    Raises:
        UnreadableError: the source is missing or damaged.
        TooManyRejectedError: a row cannot be used.
    """
    scores: dict[tuple[str, str], list[float]] = {}

    def parse(row: dict[str, object]) -> tuple[str, tuple[tuple[str, str], float]]:
        check_columns(row, "score")
        form, sample = sample_of(row, blank=True)
        return form, (sample, finite_number(row["score"], "score", Reason.BAD_SCORE))

    def accept(_: RawRow, judged: tuple[tuple[str, str], float]) -> None:
        scores.setdefault(judged[0], []).append(judged[1])

    report = ingest(
        find_sources(path, split=split),
        parse,
        accept,
        max_rejected=0.0,
        can_raise=False,
        columns="Rename the columns to prompt, completion and score.",
        progress=progress,
    )
    if report.accepted > len(scores):
        progress.say(f"{path}: {report.accepted} scores of {len(scores)} different texts; those of one are averaged")
    return {text: sum(each) / len(each) for text, each in scores.items()}


def subject_of_parts(
    reward_model: RewardModel,
    pairs: PairTable,
    completions: _Texts,
    before: _Texts | None = None,
    judge: JudgeScores | Judge | None = None,
    *,
    progress: Progress = SILENT,
) -> Subject:
    """Score all completions and pairs, and gather them as the subject of a diagnosis.

    Args:
        reward_model: the proxy that the policy was trained with.
        pairs: labelled pairs that the reward model was *not* trained on.
        completions: prompts and completions of the policy; at least two a prompt for the variance within prompts.
        before: prompts and completions of the policy from before training; None: there are none.
        judge: scores of all completions; or a judge, which is asked in both orders about two completions of the policy
            to one prompt, and about completions from now and from before; None: nobody judges.
        progress: receives the progress of scoring.

    Raises:
        DataError: there is nothing to score, or the judge's scores lack a text.
        RewardError: a score is not finite.
        ModelError: the judge cannot be asked.
    """
    # The judge's scores are checked before the reward model scores anything, which takes long.
    after_N, before_N = None, None
    if isinstance(judge, Mapping):
        after_N = _judged(judge, completions)
        before_N = None if before is None else _judged(judge, before)
        texts = {*zip(*completions, strict=True), *(() if before is None else zip(*before, strict=True))}
        if unused := len(judge.keys() - texts):
            progress.say(f"{unused} of the judge's {len(judge)} texts are not among the completions, and are not used")
    found = evaluate_reward_model(reward_model, pairs, progress=progress)
    after = Scored(*completions, reward_model.score(*completions, progress=progress), after_N)
    start = None
    if before is not None:
        # Prompts that differ only in surrounding white space are one prompt, spelt as in `completions`.
        known = {prompt.strip(): prompt for prompt in completions[0]}
        prompts = [known.get(prompt.strip(), prompt) for prompt in before[0]]
        start = Scored(prompts, before[1], reward_model.score(*before, progress=progress), before_N)
    cut = reward_model.truncated
    subject = Subject(
        name="the policy",
        gain=reward_model.gain,
        bias=reward_model.bias,
        after=after,
        before=start,
        held_out=found.order,
        calibration_error=found.calibration_error,
    )
    if cut.prompts or cut.completions:
        subject.unmeasured.append(
            f"whole texts: of {cut.sequences} sequences scored, {cut.prompts} lost the beginning of their prompt and "
            f"{cut.completions} the end of their completion (longer than {reward_model.max_length} tokens)"
        )
    return subject if judge is None or isinstance(judge, Mapping) else compared(subject, judge)


def compared(subject: Subject, judge: Judge) -> Subject:
    """Add the preferences of a judge that compares two texts and gives no scores.

    It is asked, in both orders, about pairs of the policy's completions to one prompt, and about its completions now
    against those from before training.
    """
    after, before, unmeasured = subject.after, subject.before, subject.unmeasured
    if after is None:
        return subject
    pairs, preferred = after.own_pairs(), {}
    if pairs:
        first, second = ([after.completions[pair[side]] for pair in pairs] for side in (0, 1))
        own = compare(judge, [after.prompts[row] for row, _ in pairs], first, second)
        preferred = {
            pair: preference - 0.5
            for pair, preference in zip(pairs, own.preferences, strict=True)
            if preference is not None
        }
        if len(preferred) < len(pairs):
            unmeasured.append(
                f"{len(pairs) - len(preferred)} of {len(pairs)} pairs of the policy's own texts: the judge has no "
                "verdict in both orders"
            )
    subject = replace(subject, after=replace(after, preferred=preferred))
    if before is None:
        return subject
    matched = match(after.prompts, after.completions, before.prompts, before.completions)
    if not matched.prompts:
        return subject
    now = compare(judge, matched.prompts, matched.first, matched.second)
    missing = sum(preference is None for preference in now.preferences)
    for what, count in (("no verdict in both orders", missing), ("no partner", sum(matched.unmatched))):
        if count:
            unmeasured.append(f"{count} completions from before and after training: they have {what}")
    return replace(
        subject, after_preferred={str(prompt): preference - 0.5 for prompt, preference in now.by_prompt().items()}
    )


def _judged(judge: JudgeScores, texts: _Texts) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The judge's scores of N texts, float64 (N,); `DataError` if one is missing."""
    prompts, _ = texts
    wanted = list(zip(*texts, strict=True))
    missing = [text for text in wanted if text not in judge]
    if missing:
        prompt, completion = missing[0]
        raise DataError(
            f"The judge's scores lack {len(missing)} of {len(prompts)} completions, first "
            f"{printable(completion[:_SHOWN])!r} to {printable(prompt[-_SHOWN:])!r}. Score every completion, with "
            "prompt and completion exactly as they stand in that file."
        )
    return np.array([judge[text] for text in wanted])
