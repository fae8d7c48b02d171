"""What is diagnosed: whatever there is of a reward model, a policy before and after training, and its course."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from frft.diagnosis.symptoms import by_prompt
from frft.errors import DataError
from frft.statistics import OrderAccuracy, order_accuracy
from frft.statistics.estimates import Estimate, estimate
from frft.statistics.numbers import Floats

RowPair = tuple[int, int]
"""Indices of two completions."""


@dataclass(frozen=True)
class Scored:
    """N completions of a policy, and what was said of them.

    Attributes:
        prompts: a prompt with several completions stands here several times.
        completions: one each.
        proxy_N: scores of the reward model that the policy was trained with, normalised as in training.
        judge_N: of the judge, or the gold reward: what the proxy stands for. None: nobody scored them.
        preferred: of a judge that compares and gives no scores: by pair of rows (`own_pairs`), how much it prefers the
            first to the second, from -1/2 to 1/2, 0 being a tie; pairs without a verdict are not in it.
        requests: what the prompts ask for, equal where several ask for one thing; none: each prompt for its own.

    Raises:
        DataError: there are no completions, or the numbers differ, or one is not finite.
    """

    prompts: Sequence[str]
    completions: Sequence[str]
    proxy_N: Floats
    judge_N: Floats | None = None
    requests: Sequence[str] | None = None
    preferred: Mapping[RowPair, float] | None = None

    def __post_init__(self) -> None:
        n = len(self.prompts)
        numbers = [self.proxy_N, *([] if self.judge_N is None else [self.judge_N])]
        if not n or len(self.completions) != n or any(len(each) != n for each in numbers):
            raise DataError(
                f"Every completion needs a prompt and its scores; got {n} prompts, {len(self.completions)} completions "
                f"and {', '.join(str(len(each)) for each in numbers)} scores."
            )
        if not all(np.isfinite(each).all() for each in numbers):
            raise DataError("A score of a completion is not a finite number; judge or score it again.")

    def on_policy(self) -> OrderAccuracy | None:
        """How often the proxy orders two completions of one prompt as the judge does; None: nobody judged.

        Pairs of one request are a cluster.
        """
        pairs = self.own_pairs()
        if self.judge_N is not None:
            judged = {(first, second): self.judge_N[first] - self.judge_N[second] for first, second in pairs}
        elif self.preferred is not None:
            judged = {pair: self.preferred[pair] for pair in pairs if pair in self.preferred}
        else:
            return None
        return order_accuracy(
            [self.proxy_N[first] - self.proxy_N[second] for first, second in judged],
            list(judged.values()),
            [(self.requests or self.prompts)[first] for first, _ in judged],
        )

    def own_pairs(self) -> list[RowPair]:
        """Rows of two completions of one prompt: its 1st and 2nd are a pair, its 3rd and 4th, and so on."""
        return [(rows[at], rows[at + 1]) for rows in self._rows() for at in range(0, len(rows) - 1, 2)]

    def spread(self) -> RewardSpread | None:
        """The variance of the proxy within and between prompts; None: fewer than two prompts have two completions."""
        several = [rows for rows in self._rows() if len(rows) > 1]
        if len(several) < 2:
            return None
        scores = [self.proxy_N[rows] for rows in several]
        within_P = np.array([each.var(ddof=1) for each in scores])
        # The variance of the means holds a share of that within.
        noise = np.mean([variance / len(each) for variance, each in zip(within_P, scores, strict=True)])
        between = max(0.0, float(np.var([each.mean() for each in scores], ddof=1) - noise))
        within = estimate(within_P, [(self.requests or self.prompts)[rows[0]] for rows in several])
        return RewardSpread(float(self.proxy_N.mean()), within, between, len(self._rows()) - len(several))

    def means(self, values_N: Floats) -> dict[str, float]:
        """Mean of the values for each prompt."""
        return by_prompt(self.prompts, values_N)

    def _rows(self) -> list[list[int]]:
        rows: dict[str, list[int]] = {}
        for row, prompt in enumerate(self.prompts):
            rows.setdefault(prompt, []).append(row)
        return list(rows.values())


@dataclass(frozen=True)
class RewardSpread:
    """Mean and variance of scores under a policy, in the scores' unit and its square.

    Var(score) = within + between: what a prompt's completions differ in, which is all that policy gradients have to go
    by (Razin et al. 2503.15477), and what prompts differ in, which is lost on them.

    Attributes:
        mean: over all completions.
        within: mean over prompts of the unbiased variance of their completions.
        between: variance of the prompts' expected scores, by analysis of variance; never below 0.
        single: prompts with one completion, which are left out.
    """

    mean: float
    within: Estimate
    between: float
    single: int

    @property
    def total(self) -> float:
        """Total variance of the scores: within + between prompts."""
        return self.within.mean + self.between

    def raw(self, gain: float, bias: float) -> RewardSpread:
        """Mean and variance of the raw scores, before normalisation: score = gain * raw + bias."""
        # Var(gain * raw + bias) = gain^2 Var(raw): variances do not depend on the bias.
        low, high = (None if end is None else end / gain**2 for end in (self.within.low, self.within.high))
        within = Estimate(self.within.mean / gain**2, low, high, self.within.n)
        return RewardSpread((self.mean - bias) / gain, within, self.between / gain**2, self.single)


@dataclass(frozen=True)
class Course:
    """The course of training over T PPO steps.

    Attributes:
        proxy_T: mean score of each step's rollouts.
        kl_T: their KL from SFT in nats a completion (k1).
        judge_T: mean of the judge, or of the gold reward; None: nobody judged.
        spread: standard deviation of the scores of the first step's rollouts.
    """

    proxy_T: Floats
    kl_T: Floats
    judge_T: Floats | None
    spread: float


@dataclass(frozen=True)
class Selected:
    """What a refresh trained on, out of a pool of N pairs.

    Attributes:
        kept_N: whether the pair was kept.
        copies: how often pairs were to be trained on, all in all; a pair drawn twice counts twice.
        chosen_N, rejected_N: cosine of either side with the policy's samples; not a number: not looked at.
        sources: by column of the pool, who wrote each pair, or a side of it; None: the pool does not say.
        similarity: mean cosine of two kept completions, and of two of the pool; None: not measured.
    """

    kept_N: npt.NDArray[np.bool_]
    copies: int
    chosen_N: Floats
    rejected_N: Floats
    sources: Mapping[str, Sequence[str]] | None = None
    similarity: tuple[float, float] | None = None


@dataclass(frozen=True)
class Subject:
    """Everything that can be known about one trained policy; what is None was not measured, and is said to be.

    Attributes:
        name: what the report calls it.
        gain, bias: of the reward model's normalisation; gain None: raw scores are not known.
        after: what the policy writes.
        before: what it wrote before training, scored by the same reward model.
        after_preferred: of a judge that gives no scores: by prompt, how much it prefers `after` to `before`, from -1/2
            to 1/2; None: nobody compared them.
        before_by_first: scores of `before` by the reward model that training began with; None: it is the same one.
        held_out: the reward model's accuracy on labelled pairs that no training saw, without any filter.
        own_test: its accuracy on test pairs of its own selection.
        own_test_gain: what the last refresh has brought on them, paired; None: it started from no reward model.
        held_out_before: accuracy on the pairs of `held_out` before that refresh.
        off_policy: its accuracy on held-out pairs by the same judge as on the policy's own; None: by the labels only.
        calibration_error: on the held-out pairs.
        replaced: whether some of the scores of `after` are no reward model's, but a penalty for texts that were cut.
        course: of the training with this reward model.
        selected: of its last refresh.
        unmeasured: why something is None, for the report.
    """

    name: str
    gain: float | None = None
    bias: float = 0.0
    after: Scored | None = None
    before: Scored | None = None
    after_preferred: Mapping[str, float] | None = None
    before_by_first: Floats | None = None
    held_out: OrderAccuracy | None = None
    own_test: OrderAccuracy | None = None
    own_test_gain: Estimate | None = None
    held_out_before: OrderAccuracy | None = None
    off_policy: OrderAccuracy | None = None
    calibration_error: float | None = None
    replaced: bool = False
    course: Course | None = None
    selected: Selected | None = None
    unmeasured: list[str] = field(default_factory=list)
