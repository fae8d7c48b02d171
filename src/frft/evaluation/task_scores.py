"""Scores of models on tasks, and the differences between two models, paired by document."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from frft.errors import DataError
from frft.statistics.intervals import CONFIDENCE_LEVEL, half_width

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TaskRow = tuple[str, str, str]
"""Task or group, metric, and the filter applied to the answers before scoring (`none`, or e.g. `strict-match`)."""


@dataclass(frozen=True)
class TaskScore:
    """One metric of a task, or of a group of tasks.

    Attributes:
        task, metric, filter: names of the task or group, the metric, and the filter applied to answers.
        value: the metric's value, as the harness gives it; may be infinite (a perplexity).
        stderr: the harness's standard error of the value; None where it gives none.
        higher_is_better: whether higher values are better; None where the task does not say.
        shots: few-shot examples before each question; None where the tasks of a group differ.
        n: number of documents.
        documents: the score of each document times its weight, so that their mean is `value`. Weights are 1 except in a
            group whose tasks count equally. None where the value is no mean over documents (perplexity, F1, BLEU).
        heaviest: the largest weight of a document.
        bounded: whether all documents score between 0 and 1.
    """

    task: str
    metric: str
    filter: str
    value: float
    stderr: float | None
    higher_is_better: bool | None
    shots: int | None
    n: int
    documents: Mapping[str, float] | None = field(repr=False)
    heaviest: float = 1.0
    bounded: bool = False

    @property
    def row(self) -> TaskRow:
        """The key of this score among the model's scores."""
        return self.task, self.metric, self.filter

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the value; see `mean_interval`. None where `documents` is."""
        if self.documents is None:
            return None
        return mean_interval(list(self.documents.values()), (0.0, 1.0) if self.bounded else None, self.heaviest)

    def as_dict(self) -> dict[str, Any]:
        """All fields but single documents as JSON-able values, for a results file; None for a value not finite."""
        figures = {key: value for key, value in vars(self).items() if key not in ("documents", "heaviest", "bounded")}
        figures["value"] = self.value if math.isfinite(self.value) else None
        return {**figures, "interval": self.interval, "level": CONFIDENCE_LEVEL}


@dataclass(frozen=True)
class TaskScores:
    """Scores of one model on some tasks.

    Attributes:
        model: the model's folder or name.
        harness: version of lm-evaluation-harness.
        asked: the tasks and groups that were asked for; tags, and groups without a value, are replaced by their parts.
        scores: every metric of these, and of all tasks and groups within them.
        documents: for each task, the keys of its documents: number, hash of the content, and hash of the prompt.
        requests: number of requests to the model; a multiple-choice document takes several.
        truncated: number of requests whose text lost its beginning, being longer than the model can read.
    """

    model: str
    harness: str
    asked: Sequence[str]
    scores: Sequence[TaskScore]
    documents: Mapping[str, Sequence[str]] = field(repr=False)
    requests: int
    truncated: int

    @property
    def headline(self) -> list[TaskScore]:
        """The scores of the tasks and groups in `asked`, in that order."""
        return [score for task in self.asked for score in self.scores if score.task == task]

    def as_dict(self) -> dict[str, Any]:
        """All fields, with counts of documents in place of their keys, as JSON-able values, for a results file."""
        return {
            "model": self.model,
            "harness": self.harness,
            "asked": list(self.asked),
            "scores": [score.as_dict() for score in self.scores],
            "documents": {task: len(keys) for task, keys in self.documents.items()},
            "requests": self.requests,
            "truncated": self.truncated,
        }


@dataclass(frozen=True)
class TaskDifference:
    """Difference of a metric of a task between two models, after - before.

    Attributes:
        task, metric, filter, higher_is_better: as in `TaskScore`.
        before, after: the values of the two models.
        difference: after - before.
        interval: 95 % interval of the difference, paired by document (see `mean_interval`); None where the
            values are no means over the same documents.
        p_value: two-sided p-value of no difference; None where there is no interval. Correct several by `holm`.
        n: number of documents; None where the values are no means over the same documents.
        up, down: number of documents with a higher and with a lower score than before; None likewise.
    """

    task: str
    metric: str
    filter: str
    higher_is_better: bool | None
    before: float
    after: float
    difference: float
    interval: tuple[float, float] | None
    p_value: float | None
    n: int | None
    up: int | None
    down: int | None

    @property
    def row(self) -> TaskRow:
        """The key of this difference among those of the same two models."""
        return self.task, self.metric, self.filter

    def reading(self, p_value: float | None = None) -> str:
        """The difference in words: "got better", "got worse", "changed", "no difference shown" or "no interval".

        Args:
            p_value: a p-value corrected for multiple comparisons; None: the difference's own.
        """
        p = self.p_value if p_value is None else p_value
        if self.difference == 0 or (p is not None and p >= 1 - CONFIDENCE_LEVEL):
            return "no difference shown"
        if p is None:
            return "no interval"
        if self.higher_is_better is None:
            return "changed"
        return "got better" if (self.difference > 0) == self.higher_is_better else "got worse"

    def as_dict(self) -> dict[str, Any]:
        """All fields as JSON-able values, for a results file; None for a value that is not finite."""
        figures = asdict(self)
        for name in ("before", "after", "difference"):
            figures[name] = figures[name] if math.isfinite(figures[name]) else None
        return {**figures, "level": CONFIDENCE_LEVEL}


def compare_tasks(before: TaskScores, after: TaskScores) -> list[TaskDifference]:
    """Differences, after - before, of every metric of every task, paired by document.

    Raises:
        DataError: the two models were not asked the same documents, or were scored by other metrics.
    """
    if before.documents.keys() != after.documents.keys():
        odd = sorted(before.documents.keys() ^ after.documents.keys())
        raise DataError(
            f"Only one of {before.model} and {after.model} has scores on {', '.join(odd[:3])}. Run both on the same "
            "tasks."
        )
    for task, asked in before.documents.items():
        if asked != after.documents[task]:
            raise DataError(
                f"{before.model} and {after.model} were not asked the same in {task}: other documents, another number "
                "of examples or another limit. Run both with the same settings and versions."
            )
    later = {score.row: score for score in after.scores}
    if odd_rows := {score.row for score in before.scores} ^ later.keys():
        raise DataError(
            f"Only one of {before.model} and {after.model} has {' '.join(min(odd_rows))}. Run both with one version."
        )
    return [_difference(score, later[score.row]) for score in before.scores]


def mean_interval(
    values: Sequence[float] | NDArray[np.float64], limits: tuple[float, float] | None, heaviest: float = 1.0
) -> tuple[float, float] | None:
    """The 95 % interval of the mean of N >= 1 independent values, one for each document.

    Student's t, cut to `limits`. Where all values equal one c, Student's interval has no width. Then it covers the
    values that may have been missed: if the share of documents other than c is at most u = 1 - .05^(1/N), all N are
    alike with a probability of at least 5 %, and the mean is between c - u (c - low) and c + u (high - c). The
    documents of a group are taken as drawn from all of its tasks together; with a fixed number from each task, the true
    interval is a little narrower.

    Args:
        values: values times their weights, (N,); the weights have mean 1.
        limits: bounds (low, high) of a value without its weight. None: unknown; equal values then have no interval.
        heaviest: the largest weight.

    Returns:
        The interval; None where all values are equal and `limits` is None.
    """
    import numpy as np

    x_N = np.asarray(values, float)
    n, mean = len(x_N), float(x_N.mean())
    if np.ptp(x_N) == 0:
        if limits is None:
            return None
        share = 1 - (1 - CONFIDENCE_LEVEL) ** (1 / n)
        half = (share * (mean - heaviest * limits[0]), share * (heaviest * limits[1] - mean))
    else:
        half = (half_width(float(x_N.std(ddof=1) / np.sqrt(n)), n - 1),) * 2
    low, high = mean - half[0], mean + half[1]
    return (low, high) if limits is None else (max(low, limits[0]), min(high, limits[1]))


def _difference(before: TaskScore, after: TaskScore) -> TaskDifference:
    interval = p_value = n = up = down = None
    if (
        before.documents is not None
        and after.documents is not None
        and before.documents.keys() == after.documents.keys()
    ):
        values = [after.documents[key] - value for key, value in before.documents.items()]
        limits = (-1.0, 1.0) if before.bounded and after.bounded else None
        interval = mean_interval(values, limits, before.heaviest)
        p_value = None if interval is None else _p_value(values, before.heaviest)
        n, up, down = len(values), sum(value > 0 for value in values), sum(value < 0 for value in values)
    return TaskDifference(
        *before.row,
        higher_is_better=before.higher_is_better,
        before=before.value,
        after=after.value,
        difference=after.value - before.value,
        interval=interval,
        p_value=p_value,
        n=n,
        up=up,
        down=down,
    )


def _p_value(values: Sequence[float], heaviest: float) -> float:
    """Two-sided p-value of a mean difference against 0, consistent with `mean_interval`."""
    from scipy import stats

    if min(values) < max(values):
        return float(stats.ttest_1samp(values, 0.0).pvalue)
    # All equal to c: the level alpha at which the interval reaches 0, where u (|c| + heaviest) = |c| with
    # u = 1 - alpha^(1/N).
    return float((heaviest / (heaviest + abs(values[0]))) ** len(values))
