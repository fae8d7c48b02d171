"""How well a reward model orders preference pairs, and how well it knows how well.

All but the mean margin is computed from raw scores: normalisation multiplies them, which changes no order and
no accuracy, but would change the Bradley-Terry probabilities sigmoid(r(chosen) - r(rejected)).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from frft.progress import SILENT, Progress
from frft.reward.model import RewardModel
from frft.reward.pairs import Pairs, PairTable, column

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CALIBRATION_BINS = 10


@dataclass(frozen=True)
class RewardEvaluation:
    """What a reward model makes of n pairs.

    Attributes:
        n: pairs.
        ties: pairs whose two raw scores are equal.
        accuracy: share of the pairs whose chosen completion scores higher; a tie counts one half.
        interval: the accuracy's 95 % Wilson score interval. Where ties make the number of successes a
            half-integer, the lower bound is that of the whole number below, the upper that of the one above.
        mean_margin: mean of score(chosen) - score(rejected), in normalised units.
        margin_standard_error: of that mean; None where n is 1.
        log_loss: mean of -log sigmoid(m) in nats, m = raw(chosen) - raw(rejected); log 2 is a coin's.
        calibration_error: expected calibration error of "the higher score is the chosen one", of which the
            confidence is sigmoid(|m|): the sum over bins b of n_b / n * |accuracy_b - mean confidence_b|
            (Guo et al. 1706.04599, eq. 3, with 10 bins of equal mass, pairs sorted by confidence, instead of
            equal width). 0 is perfect; the fewer the pairs, the more it overstates.
        by: the same for the pairs of every group: column -> value -> evaluation.
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

    def as_dict(self) -> dict[str, Any]:
        """Everything, for a results file."""
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
        reward_model: what is evaluated.
        table: columns prompt, chosen, rejected, and those of `groups`; N rows.
        groups: columns by whose values to evaluate as well (sources, annotators, domains); a missing value is
            the group "null".
        progress: gets a task with a text as its unit.

    Raises:
        DataError: a column is missing, or pairs cannot be used.
        RewardError: a score is not finite.
    """
    import numpy as np

    pairs = Pairs.of(table)
    names = [groups] if isinstance(groups, str) else list(groups or ())
    labels = {name: ["null" if value is None else str(value) for value in column(table, name)] for name in names}
    # In one call, so that sequences that occur on both sides get exactly equal scores.
    raw = reward_model.raw_scores(pairs.prompts * 2, pairs.chosen + pairs.rejected, progress=progress)
    raw_margins_N = raw[: len(pairs.prompts)] - raw[len(pairs.prompts) :]
    by = {
        name: {
            value: _evaluate(raw_margins_N[np.array([label == value for label in labels[name]])], reward_model.gain, {})
            for value in sorted(set(labels[name]))
        }
        for name in names
    }
    return _evaluate(raw_margins_N, reward_model.gain, by)


def _evaluate(
    raw_margins_N: NDArray[np.float64], gain: float, by: dict[str, dict[str, RewardEvaluation]]
) -> RewardEvaluation:
    import numpy as np

    n = len(raw_margins_N)
    wins, ties = int((raw_margins_N > 0).sum()), int((raw_margins_N == 0).sum())
    return RewardEvaluation(
        n=n,
        ties=ties,
        accuracy=(wins + ties / 2) / n,
        interval=(_wilson(wins + ties // 2, n)[0], _wilson(wins + (ties + 1) // 2, n)[1]),
        mean_margin=gain * float(raw_margins_N.mean()),
        margin_standard_error=gain * float(raw_margins_N.std(ddof=1)) / math.sqrt(n) if n > 1 else None,
        log_loss=float(np.logaddexp(0.0, -raw_margins_N).mean()),
        calibration_error=_calibration_error(raw_margins_N),
        by=by,
    )


def _wilson(successes: int, n: int) -> tuple[float, float]:
    from scipy.stats import binomtest

    bounds = binomtest(successes, n).proportion_ci(confidence_level=0.95, method="wilson")
    return float(bounds.low), float(bounds.high)


def _calibration_error(raw_margins_N: NDArray[np.float64]) -> float:
    import numpy as np

    confidence_N = 1.0 / (1.0 + np.exp(-np.abs(raw_margins_N)))
    correct_N = (np.sign(raw_margins_N) + 1.0) / 2.0  # a tie is half right
    n = len(raw_margins_N)
    bins = np.array_split(np.argsort(confidence_N, kind="stable"), min(CALIBRATION_BINS, n))
    return float(sum(len(bin_) / n * abs(correct_N[bin_].mean() - confidence_N[bin_].mean()) for bin_ in bins))
