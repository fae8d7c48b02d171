"""What models score on tasks, and whether a training changed it: differences document by document."""

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
"""Task or group, metric, and the filter that its answers went through (`none`, or such as `strict-match`)."""


@dataclass(frozen=True)
class TaskScore:
    """One metric of a task, or of a group of tasks.

    Attributes:
        task, metric, filter: what it is.
        value: as the harness has it; not always finite (a perplexity).
        stderr: its standard error as the harness has it; None where it has none.
        higher_is_better: None where nothing says.
        shots: examples before every question; None: those of a group's tasks differ.
        n: documents.
        documents: the score of each document times its weight, so that their mean is `value`. Weights are 1, but in a
            group whose tasks count alike. None where the value is no mean over documents (perplexity, F1, BLEU).
        heaviest: the largest weight.
        bounded: all scores are between 0 and 1.
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
        """What tells it from the model's other scores."""
        return self.task, self.metric, self.filter

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the value; see `mean_interval`. None where `documents` is."""
        if self.documents is None:
            return None
        return mean_interval(list(self.documents.values()), (0.0, 1.0) if self.bounded else None, self.heaviest)

    def as_dict(self) -> dict[str, Any]:
        """Everything but single documents, for a results file; None for a value that is not finite."""
        figures = {key: value for key, value in vars(self).items() if key not in ("documents", "heaviest", "bounded")}
        figures["value"] = self.value if math.isfinite(self.value) else None
        return {**figures, "interval": self.interval, "level": CONFIDENCE_LEVEL}


@dataclass(frozen=True)
class TaskScores:
    """What a model scored.

    Attributes:
        model: its folder or name.
        harness: the version of lm-evaluation-harness.
        asked: the tasks and groups that were asked for, tags and groups without a value of their own taken apart.
        scores: every metric of these, and of all tasks and groups within them.
        documents: of each task, what tells its questions apart: number, content, and the text before the answer.
        requests: what the model was asked: several to a document of multiple choice.
        truncated: of these, how many lost the beginning of their text, longer than the model can read.
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
        """The scores of what was asked for, in that order."""
        return [score for task in self.asked for score in self.scores if score.task == task]

    def as_dict(self) -> dict[str, Any]:
        """Everything but single documents, for a results file."""
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
    """How a metric of a task differs between two models, after less before.

    Attributes:
        task, metric, filter, higher_is_better: as in `TaskScore`.
        before, after: the two values.
        difference: after - before.
        interval: its 95 % interval, from the differences of single documents (see `mean_interval`); None where the
            values are no means over the same documents.
        p_value: two-sided, against no difference; None where there is no interval. Correct several by `holm`.
        n: documents; None likewise.
        up, down: documents with a higher and with a lower score than before; None likewise.
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
        """What tells it from the others of the same two models."""
        return self.task, self.metric, self.filter

    def reading(self, p_value: float | None = None) -> str:
        """The difference in words.

        Args:
            p_value: instead of its own, one that was corrected for there being several.
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
        """Everything, for a results file; None for a value that is not finite."""
        figures = asdict(self)
        for name in ("before", "after", "difference"):
            figures[name] = figures[name] if math.isfinite(figures[name]) else None
        return {**figures, "level": CONFIDENCE_LEVEL}


def compare_tasks(before: TaskScores, after: TaskScores) -> list[TaskDifference]:
    """Every metric of every task of one model less that of another, document by document.

    Raises:
        DataError: they were not asked the same.
    """
    if before.documents.keys() != after.documents.keys():
        odd = sorted(before.documents.keys() ^ after.documents.keys())
        raise DataError(f"Only one of {before.model} and {after.model} did {', '.join(odd[:3])}. Run the same tasks.")
    for task, asked in before.documents.items():
        if asked != after.documents[task]:
            raise DataError(
                f"{before.model} and {after.model} were not asked the same in {task}: other documents, another number "
                "of examples or another limit. Run both with the same settings and versions."
            )
    later = {score.row: score for score in after.scores}
    if odd_rows := {score.row for score in before.scores} ^ later.keys():
        raise DataError(f"Only one of {before.model} and {after.model} has {' '.join(min(odd_rows))}.")
    return [_difference(score, later[score.row]) for score in before.scores]


def mean_interval(
    values: Sequence[float] | NDArray[np.float64], limits: tuple[float, float] | None, heaviest: float = 1.0
) -> tuple[float, float] | None:
    """The 95 % interval of the mean of N >= 1 independent values, one of each document.

    Student's t, cut to `limits`. Where all values are the same, c, it would have no width, and says how many others
    could have been missed: with a share of at least 1 - u of c, u = 1 - .05^(1/N), all N are alike in one of 20
    cases or more, and the mean is at least c - u (c - low) and at most c + u (high - c). The documents of a group are
    taken as drawn from all of its tasks together; drawn from each apart, the true interval is a little narrower.

    Args:
        values: each times its weight, the weights having mean 1.
        limits: of a value without its weight. None: unknown, and values that are all the same have no interval.
        heaviest: the largest weight.
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
    """Two-sided p of a mean difference against 0, by what `mean_interval` is the interval of."""
    from scipy import stats

    if min(values) < max(values):
        return float(stats.ttest_1samp(values, 0.0).pvalue)
    # The level at which u |c| + u heaviest reaches |c|.
    return float((heaviest / (heaviest + abs(values[0]))) ** len(values))
