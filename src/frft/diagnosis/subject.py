"""The subject of a diagnosis: the known data of a reward model, a policy before and after training, and its steps."""

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
"""Indices of two completions of one prompt."""


@dataclass(frozen=True)
class Scored:
    """N completions of a policy, with their scores by the reward model and by a judge.

    Attributes:
        prompts: prompt of each completion, N; a prompt with several completions occurs several times.
        completions: the completions, N.
        proxy_N: scores of the reward model that the policy was trained with, normalised as in training.
        judge_N: scores of the judge, or gold rewards, which the proxy stands for; None: nobody scored the completions.
        requests: label of each completion's request, equal for prompts that ask for the same in other words; None: each
            prompt is a request of its own.
        preferred: for a judge that compares instead of scoring, its preference for the first of a pair of rows
            (`own_pairs`) over the second, -1/2 to 1/2, 0 being a tie; pairs without a verdict are missing. None: no
            such judge.

    Raises:
        DataError: there are no completions, the numbers differ, or a score is not finite.
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
        for who, scores_N in zip(("reward model", "judge"), numbers, strict=False):
            if (wrong := np.flatnonzero(~np.isfinite(scores_N))).size:
                raise DataError(
                    f"The {who}'s scores of {wrong.size} of {n} completions are not finite: the first is "
                    f"{scores_N[wrong[0]]}, of completion {wrong[0]} (counting from 0), whose prompt ends "
                    f"{self.prompts[wrong[0]][-60:]!a}. Score the completions again."
                )

    def on_policy(self) -> OrderAccuracy | None:
        """Accuracy of the proxy on pairs of completions of one prompt, by the judge; None where nobody judged.

        The interval is clustered by request.
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
        """Disjoint pairs of completions of one prompt: its 1st and 2nd, its 3rd and 4th, and so on.

        Disjoint, since pairs that share a completion would not be independent.
        """
        return [(rows[at], rows[at + 1]) for rows in self._rows() for at in range(0, len(rows) - 1, 2)]

    def spread(self) -> RewardSpread | None:
        """Mean and variance components of the proxy; None where fewer than two prompts have two completions."""
        several = [rows for rows in self._rows() if len(rows) > 1]
        if len(several) < 2:
            return None
        scores = [self.proxy_N[rows] for rows in several]
        within_P = np.array([each.var(ddof=1) for each in scores])
        # Var(mean of n completions) = between + within / n: the latter part is subtracted.
        noise = np.mean([variance / len(each) for variance, each in zip(within_P, scores, strict=True)])
        between = max(0.0, float(np.var([each.mean() for each in scores], ddof=1) - noise))
        within = estimate(within_P, [(self.requests or self.prompts)[rows[0]] for rows in several])
        return RewardSpread(float(self.proxy_N.mean()), within, between, len(self._rows()) - len(several))

    def means(self, values_N: Floats) -> dict[str, float]:
        """Mean over the completions of each prompt of N values, one for each completion."""
        return by_prompt(self.prompts, values_N)

    def _rows(self) -> list[list[int]]:
        rows: dict[str, list[int]] = {}
        for row, prompt in enumerate(self.prompts):
            rows.setdefault(prompt, []).append(row)
        return list(rows.values())


@dataclass(frozen=True)
class RewardSpread:
    """Mean and variance components of scores under a policy, in the scores' unit and its square.

    Var(score) = within + between. Policy gradients depend only on differences within a prompt (Razin et al.
    2503.15477); a baseline removes those between prompts.

    Attributes:
        mean: mean score of all completions.
        within: mean over prompts of the unbiased variance of their completions' scores.
        between: variance over prompts of the expected score, by analysis of variance; at least 0.
        single: number of prompts with one completion, which are left out of the variances.
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
        proxy_T: mean score of each step's rollouts, normalised.
        kl_T: KL from SFT of each step's rollouts, in nats a completion (estimator k1).
        judge_T: mean score by the judge, or mean gold reward, of each step's rollouts; None: nobody judged.
        spread: standard deviation of the scores of the first step's rollouts.
    """

    proxy_T: Floats
    kl_T: Floats
    judge_T: Floats | None
    spread: float


@dataclass(frozen=True)
class Selected:
    """The pairs that a refresh selected from a pool of N pairs.

    Attributes:
        kept_N: whether each pair was kept.
        copies: number of places in the selection; a pair drawn twice takes two.
        chosen_N, rejected_N: cosine of each completion with the policy's samples; NaN where not computed.
        sources: by column of the pool, the source of each pair, or of one of its completions; None: not known.
        similarity: mean cosine of two kept completions, and mean cosine of two of the pool; None: not measured.
    """

    kept_N: npt.NDArray[np.bool_]
    copies: int
    chosen_N: Floats
    rejected_N: Floats
    sources: Mapping[str, Sequence[str]] | None = None
    similarity: tuple[float, float] | None = None


@dataclass(frozen=True)
class Subject:
    """The known data of one trained policy and its reward model. What is None is reported as not measured.

    Attributes:
        name: name of the subject in reports.
        gain, bias: normalisation of the reward model, score = gain * raw + bias; gain None: raw scores are not known.
        after: completions of the policy now, with their scores.
        before: completions from before training, scored by the same reward model.
        after_preferred: for a judge that compares instead of scoring, its mean preference for `after` over `before` by
            prompt, -1/2 to 1/2; None: nobody compared them.
        before_by_first: scores of `before` by the reward model that training began with; None: it is the same one.
        held_out: the reward model's accuracy on unfiltered labelled pairs that no training saw, by their labels.
        own_test: the reward model's accuracy on test pairs of its own selection.
        own_test_gain: gain in accuracy on these test pairs by the last refresh, paired; None: the refresh did not start
            from a reward model.
        held_out_before: accuracy of the previous reward model on the pairs of `held_out`.
        off_policy: the reward model's accuracy on held-out pairs by the judge; None: the judge did not judge these.
        calibration_error: expected calibration error on the held-out pairs, 0 to 1.
        replaced: whether some scores in `after` are a penalty for unfinished completions (`missing_eos_penalty`).
        course: the steps of the training with this reward model.
        selected: the selection of the last refresh.
        unmeasured: for what is None, the reason why, a line each.
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
