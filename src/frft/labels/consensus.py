"""What the true answers are likely to be, and how often each labeller errs, when nobody is known to be right.

The model of Dawid and Skene (1979, Applied Statistics 28:20) for two answers. The true answer to question n is yes with
probability pi; given it, the L labellers answer independently, labeller l rightly with probability r_l1 where the truth
is yes and r_l0 where it is no. All are estimated by the EM algorithm, at the maximum of the posterior density under

    r_l1, r_l0 ~ Beta(1 + RIGHT, 1 + WRONG),     pi ~ Beta(2, 2),

as if every labeller had been seen to answer RIGHT questions of each kind rightly and WRONG wrongly. So no rate becomes
0 or 1, a labeller with few answers is drawn to 2/3, and of the two solutions that exchange all answers the one is found
in which labellers are right more often than not; a single labeller may still be worse than chance.

Three labellers or more identify the rates; of two, only the prior says which one errs. Errors that labellers share
(both prefer the longer completion) look like truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from frft.errors import DataError, TrainingError
from frft.statistics.numbers import Floats

RIGHT, WRONG = 2.0, 1.0
"""Right and wrong answers of each kind that the prior adds to every labeller's."""
_TOLERANCE = 1e-9
_MOST_STEPS = 20_000


@dataclass(frozen=True)
class LabelConsensus:
    """Estimates for N questions and L labellers.

    Attributes:
        yes_N: posterior probability that the true answer is yes, for each question, 0 to 1; the prevalence for a
            question without answers.
        prevalence: share of questions whose true answer is yes.
        error_rates_L2: rate of wrong answers of each labeller, first where the truth is yes, then where it is no.
        answers_L: number of answers of each labeller.
        steps: EM steps taken.
    """

    yes_N: Floats
    prevalence: float
    error_rates_L2: Floats
    answers_L: Floats
    steps: int

    @property
    def accuracies(self) -> Floats:
        """Rate of right answers of each labeller over all questions, 0 to 1: float64 (L,)."""
        accuracy_L: Floats = 1 - self.error_rates_L2 @ np.array([self.prevalence, 1 - self.prevalence])
        return accuracy_L


def label_consensus(answers: Sequence[Sequence[bool | None]]) -> LabelConsensus:
    """Posterior probabilities of the answers and error rates of the labellers, by EM from the shares of votes.

    Args:
        answers: for each question, the answer of each of the L labellers in one order, such as whether the first
            completion is better; None: no answer.

    Raises:
        DataError: there are no answers, or rows differ in length.
        TrainingError: EM did not converge.
    """
    lengths = {len(row) for row in answers}
    if len(lengths) > 1:
        raise DataError(f"Every question needs an entry for each labeller; rows have {sorted(lengths)} entries.")
    # The size is given for no questions at all, which np.array would take for one dimension.
    shape = (len(answers), *lengths, 1)[:2]
    known_NL = np.array([[answer is not None for answer in row] for row in answers], np.float64).reshape(shape)
    yes_NL = np.array([[bool(answer) for answer in row] for row in answers], np.float64).reshape(shape)
    if not known_NL.sum():
        raise DataError("There are no answers to take a consensus of.")
    # Shares of votes, with one vote more for either side.
    yes_N = (yes_NL.sum(axis=1) + 1) / (known_NL.sum(axis=1) + 2)
    for step in range(1, _MOST_STEPS + 1):
        prevalence, right_L2 = _maximised(yes_N, yes_NL, known_NL)
        before_N, yes_N = yes_N, _expected(prevalence, right_L2, yes_NL, known_NL)
        if np.abs(yes_N - before_N).max() < _TOLERANCE:
            return LabelConsensus(yes_N, prevalence, 1 - right_L2, known_NL.sum(axis=0), step)
    raise TrainingError(
        f"The consensus of {shape[0]} questions did not converge in {_MOST_STEPS} steps. Leave out labellers with few "
        "answers."
    )


def _maximised(yes_N: Floats, yes_NL: Floats, known_NL: Floats) -> tuple[float, Floats]:
    """The M step: prevalence, and rates of right answers (L, 2)."""
    no_N = 1 - yes_N
    right_L2 = np.column_stack([yes_N @ yes_NL, no_N @ (known_NL - yes_NL)])
    answered_L2 = np.column_stack([yes_N @ known_NL, no_N @ known_NL])
    prevalence = (float(yes_N.sum()) + 1) / (len(yes_N) + 2)
    return prevalence, (right_L2 + RIGHT) / (answered_L2 + RIGHT + WRONG)


def _expected(prevalence: float, right_L2: Floats, yes_NL: Floats, known_NL: Floats) -> Floats:
    """The E step: posterior probability of yes, in logs, since products over many labellers underflow."""
    from scipy.special import expit

    log_right_L2, log_wrong_L2 = np.log(right_L2), np.log1p(-right_L2)
    no_NL = known_NL - yes_NL
    if_yes_N = np.log(prevalence) + yes_NL @ log_right_L2[:, 0] + no_NL @ log_wrong_L2[:, 0]
    if_no_N = np.log1p(-prevalence) + yes_NL @ log_wrong_L2[:, 1] + no_NL @ log_right_L2[:, 1]
    yes_N: Floats = expit(if_yes_N - if_no_N)
    return yes_N
