"""The gate by fresh labels: of two reward models, which is right where they disagree about the policy's own texts?

Held-out pairs have the labels of the pool's annotators, who may all be wrong where the policy writes. Here a labeller
is asked, and only about pairs that the two models order differently: on all others the difference of their accuracies
is 0, whatever the label. With a share d of such pairs among the candidates and a mean step m on them (1: the new model
alone is right, -1: the old one), the gain in accuracy is d m.

Labels are asked for one after another, at most N. The new model is accepted once it is shown to be right more often on
these pairs, and refused once it is shown to be right less often (the calibrated sequential test of
`frft.labels.sequential`, each at 5 %). If N labels show neither, it is accepted if it is no worse by more than the
margin: d m_low > -margin, where m_low is the lower confidence bound of m with one pseudo-observation won and one lost,
as in `frft.reward.gate`, and d its own bound (Wilson): the upper one where m_low is below 0. Few pairs on which the two
models never differ therefore show nothing. A labeller who errs with probability e shows (1 - 2 e) m in place of m.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from frft.config.sections import GateConfig
from frft.labels import LabelCandidates, LabelQueue, policy_candidates, sequential_p_value
from frft.reward.infos import GateLabels, GateVerdict
from frft.reward.model import RewardModel
from frft.reward.picking import margins_of
from frft.statistics.intervals import SIGNIFICANCE_LEVEL, standard_error, wilson


@dataclass(frozen=True)
class DisputedPairs:
    """The pairs that two reward models order differently.

    Attributes:
        candidates: these pairs, one of a prompt, to ask about.
        looked_at: number of pairs that were compared.
        step_of: by prompt and the text that is better: accuracy of the new model on the pair less that of the old one.
    """

    candidates: LabelCandidates
    looked_at: int
    step_of: dict[tuple[str, str], float] = field(repr=False)


def disputed_pairs(
    before: RewardModel, after: RewardModel, candidates: LabelCandidates, rng: np.random.Generator
) -> DisputedPairs:
    """Compare two reward models on one pair of each prompt, drawn at random.

    Raises:
        RewardError: a score is not finite.
    """
    pairs = [each.pair(int(rng.integers(len(each)))) for each in candidates.prompts]
    prompts = [pair.prompt for pair in pairs]
    first, second = [pair.first for pair in pairs], [pair.second for pair in pairs]
    before_N, after_N = (np.sign(margins_of(model, pairs)) for model in (before, after))
    step_N = (after_N - before_N) / 2  # where the first text is the better one
    rows = np.flatnonzero(step_N).tolist()
    asked = [prompts[row] for row in rows]
    texts = [[side[row] for row in rows] for side in (first, second)]
    step_of = {(prompts[row], first[row]): float(step_N[row]) for row in rows}
    step_of |= {(prompts[row], second[row]): -float(step_N[row]) for row in rows}
    return DisputedPairs(policy_candidates([*asked, *asked], [*texts[0], *texts[1]]), len(pairs), step_of)


def judge_by_labels(
    disputed: DisputedPairs, queue: LabelQueue | None, labeller: str, config: GateConfig, error: float
) -> GateLabels:
    """What the answers so far say of the new reward model.

    Args:
        disputed: the pairs.
        queue: questions about them and the answers; None: there are no such pairs.
        labeller: who was asked.
        config: `labels` (N), `margin` and `level`.
        error: how often the labeller errs, 0 to below 1/2.
    """
    steps = [] if queue is None else _steps(disputed, queue)
    told = [step > 0 for step in steps if step]
    differ, looked_at = disputed.candidates.pairs, disputed.looked_at
    mean = min(1.0, max(-1.0, _lowest_mean(steps, config.level) / (1 - 2 * error)))
    few, many = wilson(differ, looked_at) if looked_at else (0.0, 1.0)
    bound = mean * (few if mean > 0 else many)
    better, worse = (
        sequential_p_value(each, config.labels) <= SIGNIFICANCE_LEVEL for each in (told, [not won for won in told])
    )
    verdict: GateVerdict
    # Both are shown where answers turned round on the way, which shows neither.
    if better != worse:
        verdict = "better" if better else "worse"
    else:
        verdict = "no worse" if bound > -config.margin else "not shown"
    counts = None if queue is None else queue.counts()
    return GateLabels(
        labeller=labeller,
        looked_at=looked_at,
        differ=differ,
        asked=0 if counts is None else counts.questions - counts.pending + counts.failed,
        better=sum(told),
        worse=len(told) - sum(told),
        ties=len(steps) - len(told),
        bound=bound,
        verdict=verdict,
    )


def _steps(disputed: DisputedPairs, queue: LabelQueue) -> list[float]:
    """For each question that has an answer, in their order: the step where one side is better, 0 for a tie.

    Where several have answered it, the mean of their steps. Skips are left out.
    """
    steps: dict[str, list[float]] = {}
    for answer in queue.answers():
        question, step = queue.questions[answer.question], 0.0
        if answer.choice == "skip":
            continue
        if answer.choice != "tie":
            step = disputed.step_of[question.prompt, question.left if answer.choice == "left" else question.right]
        steps.setdefault(question.id, []).append(step)
    return [sum(each) / len(each) for each in steps.values()]


def _lowest_mean(steps: Sequence[float], level: float) -> float:
    """Lower confidence bound at 1 - level of a mean step, with one pseudo-observation won and one lost."""
    from scipy.special import stdtrit

    values: np.ndarray[Any, Any] = np.array([*steps, 1.0, -1.0])
    error = standard_error(values, range(len(values)))
    assert error is not None
    return float(values.mean() - stdtrit(len(values) - 1, 1 - level) * error)
