"""Accuracy and calibration of a reward model on preference pairs.

All but the mean margin is computed from raw scores: normalisation multiplies them, which changes no order and
no accuracy, but would change the Bradley-Terry probabilities sigmoid(r(chosen) - r(rejected)).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from frft.progress import SILENT, Progress
from frft.reward.model import RewardModel
from frft.reward.pairs import PairTable, column, requests, score_margins
from frft.statistics import Estimate, OrderAccuracy, estimate, share_interval, standard_error

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CALIBRATION_BINS = 10


@dataclass(frozen=True)
class RewardEvaluation:
    """Accuracy and calibration of a reward model on n labelled pairs.

    Attributes:
        n: pairs that were scored.
        ties: pairs whose two raw scores are equal.
        accuracy: share of the pairs whose chosen completion scores higher; a tie counts one half.
        interval: the accuracy's 95 % interval: Wilson's, for the effective sample size where several pairs are on one
            request; see `frft.statistics.intervals.share_interval`.
        mean_margin: mean of score(chosen) - score(rejected), in normalised units.
        margin_standard_error: standard error of `mean_margin`, cluster-robust with the requests as clusters; None where
            all pairs are on one request.
        log_loss: mean of -log sigmoid(m) in nats, m = raw(chosen) - raw(rejected); a coin flip has log 2 = 0.693.
        calibration_error: expected calibration error of "the higher score is the chosen one", of which the
            confidence is sigmoid(|m|): the sum over bins b of n_b / n * |accuracy_b - mean confidence_b|
            (Guo et al. 1706.04599, eq. 3, with 10 bins of equal mass, pairs sorted by confidence, instead of
            equal width). 0 is perfect; the fewer the pairs, the more it overstates.
        by: evaluation of each group of pairs, by column and by the column's value.
    """

    n: int
    ties: int
    accuracy: float
    interval: tuple[float, float]
    mean_margin: float
    margin_standard_error: float | None
    log_loss: float
    calibration_error: float
    by: dict[str, dict[str, RewardEvaluation]] = field(default_factory=dict)

    @property
    def order(self) -> OrderAccuracy:
        """The accuracy in the form shared with judges, whose verdicts can be missing; labels never are."""
        return OrderAccuracy(self.accuracy, self.interval, self.n, self.ties, 0)

    def as_dict(self) -> dict[str, Any]:
        """All fields as JSON-able values, for a results file."""
        return asdict(self)


def evaluate_reward_model(
    reward_model: RewardModel,
    table: PairTable,
    *,
    groups: str | Sequence[str] | None = None,
    progress: Progress = SILENT,
) -> RewardEvaluation:
    """Compare a reward model's scores with the labels of N preference pairs.

    Args:
        reward_model: the model to evaluate.
        table: columns prompt, chosen, rejected, and those of `groups`; N rows. Pairs on one prompt are not independent;
            a column request, where there is one, has one value for prompts that ask for the same in other words.
        groups: columns whose values define groups to evaluate separately as well (sources, annotators, domains); a
            missing value is the group "null". None: no groups.
        progress: gets a task with a text as its unit.

    Raises:
        DataError: a column is missing, or pairs cannot be used.
        RewardError: a score is not finite.
    """
    names = [groups] if isinstance(groups, str) else list(groups or ())
    labels = {name: ["null" if value is None else str(value) for value in column(table, name)] for name in names}
    raw_margins_N = score_margins(partial(reward_model.raw_scores, progress=progress), table)
    asked = requests(table)

    def of(rows: Sequence[int]) -> RewardEvaluation:
        return evaluation_of_margins(raw_margins_N[rows], [asked[row] for row in rows], reward_model.gain)

    by = {
        name: {value: of([row for row, label in enumerate(values) if label == value]) for value in sorted(set(values))}
        for name, values in labels.items()
    }
    return replace(of(range(len(asked))), by=by)


def accuracy_gain(
    before: RewardModel, after: RewardModel, table: PairTable, *, progress: Progress = SILENT
) -> Estimate:
    """Difference in accuracy of two reward models, after - before, on the same N pairs.

    Returns:
        The mean of the paired differences, a tie counting one half, with Student's interval; its standard error is
        cluster-robust with the requests as clusters.

    Raises:
        DataError, RewardError: as `evaluate_reward_model`.
    """
    import numpy as np

    was_N, is_N = (
        (1 + np.sign(score_margins(partial(model.raw_scores, progress=progress), table))) / 2
        for model in (before, after)
    )
    return estimate(is_N - was_N, requests(table))


def evaluation_of_margins(
    raw_margins_N: NDArray[np.float64], requests_N: Sequence[Hashable], gain: float
) -> RewardEvaluation:
    """Accuracy and calibration from the margins of N labelled pairs.

    Args:
        raw_margins_N: raw score of the chosen completion less that of the rejected one, float64 (N,).
        requests_N: label of each pair's request, for cluster-robust intervals.
        gain: factor of raw scores in a score.
    """
    import numpy as np

    right_N = (1 + np.sign(raw_margins_N)) / 2  # a tie is half right
    error = standard_error(raw_margins_N, requests_N)
    return RewardEvaluation(
        n=len(right_N),
        ties=int((right_N == 0.5).sum()),
        accuracy=float(right_N.mean()),
        interval=share_interval(right_N, requests_N),
        mean_margin=gain * float(raw_margins_N.mean()),
        margin_standard_error=None if error is None else gain * error,
        # -log sigmoid(m) = log(1 + e^-m), without overflow for large negative m.
        log_loss=float(np.logaddexp(0.0, -raw_margins_N).mean()),
        calibration_error=_calibration_error(raw_margins_N),
    )


def _calibration_error(raw_margins_N: NDArray[np.float64]) -> float:
    """Expected calibration error with bins of equal mass; see `RewardEvaluation.calibration_error`."""
    import numpy as np

    # Bradley-Terry gives the higher of the two scores the probability sigmoid(|margin|) >= 1/2 of being the chosen one.
    confidence_N = 1.0 / (1.0 + np.exp(-np.abs(raw_margins_N)))
    correct_N = (1 + np.sign(raw_margins_N)) / 2
    n = len(raw_margins_N)
    bins = np.array_split(np.argsort(confidence_N, kind="stable"), min(CALIBRATION_BINS, n))
    return float(sum(len(bin_) / n * abs(correct_N[bin_].mean() - confidence_N[bin_].mean()) for bin_ in bins))
