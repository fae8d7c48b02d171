"""Objective mismatch (Lambert and Calandra 2311.00168): the links between three separately optimised modules.

Reward-model training, policy training and evaluation each have a metric of their own. A link holds where one module's
metric predicts the next one's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from frft.diagnosis.subject import Course, Scored
from frft.statistics import OrderAccuracy
from frft.statistics.estimates import (
    FEWEST_POINTS,
    Change,
    Estimate,
    difference,
    paired_change,
    share_of,
    spearman,
)

LinkState = Literal["holds", "unclear", "broken", "not measured"]

TRAINING_POLICY = "reward-model training <-> policy training"
POLICY_EVALUATION = "policy training <-> evaluation"
TRAINING_EVALUATION = "reward-model training <-> evaluation"
COIN = 0.5
BESIDE_RANDOM = "Refreshes can do harm: run one on random pairs beside it, and compare."


@dataclass(frozen=True)
class Link:
    """The state of one link between reward-model training, policy training and evaluation.

    Attributes:
        name: the two modules that are linked.
        state: holds or broken where the figure's interval shows it, unclear where it does not.
        measured: what `figure` measures.
        figure, interval: point estimate and 95 % interval; None where the link was not measured.
        verdict: what the figure means, in a sentence.
        advice: what to do about it.
    """

    name: str
    state: LinkState
    measured: str
    figure: float | None
    interval: tuple[float, float] | None
    verdict: str
    advice: str

    def as_dict(self) -> dict[str, Any]:
        """All fields as JSON-able values, for a results file."""
        return asdict(self)


@dataclass(frozen=True)
class Movement:
    """Changes of proxy and judge from before training to after it, over the prompts that have completions of both.

    Intervals are clustered by request (prompts that ask for the same in other words), except the correlation's, which
    counts each prompt as independent.

    Attributes:
        proxy, judge: change of the mean score, paired by prompt.
        disagreement: among prompts on which both scores changed, the share on which they changed in opposite
            directions; None where there is no such prompt.
        proxy_up_judge_down: share of all prompts on which the proxy rose and the judge fell.
        correlation: Spearman's rank correlation over prompts of the two changes; None below five prompts, or where one
            of the changes is the same everywhere.
    """

    proxy: Change
    judge: Change
    disagreement: Estimate | None
    proxy_up_judge_down: Estimate
    correlation: Estimate | None

    def as_dict(self) -> dict[str, Any]:
        """All fields as JSON-able values, for a results file."""
        return asdict(self)


def moved(before: Scored, after: Scored, preferred: Mapping[str, float] | None = None) -> Movement | None:
    """Changes of proxy and judge in training; None where the two sides have no judged prompt in common.

    Args:
        before, after: scored completions from before and after training.
        preferred: for a judge that compares instead of scoring, its mean preference for `after` over `before` by
            prompt, -1/2 to 1/2, over the completions that were paired (the proxy's change is over all completions).
            None: the judge's scores in `before` and `after` are used.
    """
    if preferred is not None:
        judged = [dict.fromkeys(preferred, 0.0), dict(preferred)]
    elif before.judge_N is not None and after.judge_N is not None:
        judged = [each.means(scores_N) for each, scores_N in ((before, before.judge_N), (after, after.judge_N))]
    else:
        return None
    proxied = [each.means(each.proxy_N) for each in (before, after)]
    prompts = [prompt for prompt in judged[1] if all(prompt in means for means in (judged[0], *proxied))]
    if not prompts:
        return None
    (judge_was, judge_is), (proxy_was, proxy_is) = (
        [np.array([means[prompt] for prompt in prompts]) for means in both] for both in (judged, proxied)
    )
    request_of = dict(zip(after.prompts, after.requests or after.prompts, strict=True))
    requests = [request_of[prompt] for prompt in prompts]
    proxy_P, judge_P = np.sign(proxy_is - proxy_was), np.sign(judge_is - judge_was)
    both = np.flatnonzero(proxy_P * judge_P)
    return Movement(
        paired_change(proxy_was, proxy_is, requests),
        paired_change(judge_was, judge_is, requests),
        share_of((proxy_P * judge_P < 0)[both], [requests[row] for row in both]) if len(both) else None,
        share_of((proxy_P > 0) & (judge_P < 0), requests),
        spearman(proxy_is - proxy_was, judge_is - judge_was),
    )


def training_to_policy(held_out: OrderAccuracy | None, on_policy: OrderAccuracy | None) -> Link:
    """Does the reward model still order texts rightly where the policy writes?

    The link holds where the interval of its accuracy on pairs of the policy's own texts, by the judge, is above 1/2. It
    is broken where this is not so and the accuracy is below that on held-out pairs (Newcombe's interval), or below 1/2.

    Args:
        held_out: accuracy on held-out pairs; None: not measured, so only 1/2 is compared with.
        on_policy: accuracy on pairs of the policy's own texts; None: nobody judged them.
    """
    if on_policy is None or on_policy.accuracy is None or on_policy.interval is None:
        known = (
            ""
            if held_out is None or held_out.accuracy is None
            else f" Its {held_out.accuracy:.1%} on held-out pairs say little about the policy's texts."
        )
        return _not_measured(
            TRAINING_POLICY,
            "accuracy of the reward model on pairs of the policy's own texts",
            f"{_why_no_accuracy(on_policy)}{known}",
            "Give at least two completions of each prompt, and a judge that tells them apart.",
        )
    low, high = on_policy.interval
    gap = None if held_out is None else difference(on_policy, held_out)
    lost = gap is not None and gap.high is not None and gap.high < 0
    # "Holds" comes first: a model that is less accurate here than elsewhere, but better than a coin flip, still helps.
    state: LinkState = "holds" if low > COIN else "broken" if lost or high < COIN else "unclear"
    against = (
        ""
        if gap is None or held_out is None or held_out.accuracy is None
        else f" ({held_out.accuracy:.1%} on held-out pairs)"
    )
    equal = f", {on_policy.without_order} more being equal to the judge" if on_policy.without_order else ""
    here = f"Of two texts of the policy it names the better in {on_policy.accuracy:.1%} of {on_policy.n} pairs{against}"
    coin = "no better than a coin" if high < COIN else "less often than there, and not shown to be better than a coin"
    still = "if less often than elsewhere" if lost else "as it does elsewhere"
    verdicts: dict[LinkState, tuple[str, str]] = {
        "holds": (
            f"{here}: a higher score still means a better text, {still}.",
            "Refresh the reward model before it gets worse." if lost else "Nothing to do.",
        ),
        "unclear": (
            f"{here}, which cannot be told from a coin.",
            f"Judge more completions: {on_policy.n} pairs leave the interval [{low:.1%}, {high:.1%}].",
        ),
        "broken": (
            f"{here}, {coin}: what training goes on to raise cannot be taken for quality.",
            f"Stop, or refresh the reward model on pairs like the policy's own texts. {BESIDE_RANDOM}",
        ),
    }
    return Link(
        TRAINING_POLICY,
        state,
        f"accuracy of the reward model on {on_policy.n} pairs of the policy's own texts, by the judge{equal}",
        on_policy.accuracy,
        on_policy.interval,
        *verdicts[state],
    )


def policy_to_evaluation(
    course: Course | None,
    movement: Movement | None,
    on_policy: OrderAccuracy | None = None,
    why: str = "Nobody judged what the policy wrote at the start and what it writes now, or five of its steps.",
) -> Link:
    """Does the judge's score rise where the proxy's does?

    Measured by Spearman's correlation of proxy and judge over the steps of training; without judged steps, by that of
    their changes over prompts. The link is broken where the correlation is below 0, or where from before to after
    training the proxy rose and the judge fell, each by a one-sided test.

    Args:
        course: proxy and judge over the steps of training; None: not known.
        movement: changes from the start of training to now; None: not known.
        on_policy: accuracy on the policy's own texts, from which the verdict computes a baseline: even between two
            draws of one policy, the proxy rises and the judge falls on half as many prompts as the reward model orders
            wrongly (with one completion a prompt; with several, ties of means are rarer).
        why: the reason to report where there is neither a judged course nor a movement.
    """
    over_steps = spearman(course.proxy_T, course.judge_T) if course is not None and course.judge_T is not None else None
    found = over_steps or (None if movement is None else movement.correlation)
    state: LinkState = "unclear"
    apart_in_all = movement is not None and movement.proxy.rose() and movement.judge.fell()
    if (found is None or found.low is None or found.high is None) and not apart_in_all:
        if movement is not None:
            n = movement.proxy.estimate.n
            why = (
                f"What the policy wrote at the start and what it writes now have {n} judged prompts in common; a "
                f"correlation takes {FEWEST_POINTS}."
                if n < FEWEST_POINTS
                else f"Over {n} prompts, the change of the proxy or that of the judge is the same everywhere."
            )
        return _not_measured(
            POLICY_EVALUATION,
            "rank correlation of proxy reward and judge",
            why,
            f"Give completions from the start and from now to the same prompts, {FEWEST_POINTS} or more, and a judge "
            "of all, or run in a world.",
        )
    if found is None or found.low is None or found.high is None:
        measured = "change of the proxy and of the judge in training"
    else:
        measured = (
            f"rank correlation of proxy and judge over {found.n} steps"
            if over_steps
            else f"rank correlation over {found.n} prompts of the changes of proxy and judge in training"
        )
        state = "holds" if found.low > 0 else "broken" if found.high < 0 else "unclear"
    if apart_in_all:
        state = "broken"
    verdict = {
        "holds": "Where the proxy rose, so did the judge.",
        "broken": "The proxy rose, and the judge fell." if apart_in_all else "Where the proxy rose, the judge fell.",
        "unclear": "Proxy and judge moved independently, as far as can be told.",
    }[state]
    if movement is not None:
        apart = movement.proxy_up_judge_down
        verdict += (
            f" From the start to now the proxy changed by {movement.proxy.estimate.mean:+.3f}, the judge by "
            f"{movement.judge.estimate.mean:+.3f}; on {apart.mean:.0%} of {apart.n} prompts the proxy rose and the "
            "judge fell"
        )
        if on_policy is not None and on_policy.accuracy is not None:
            # Pairs in the wrong order: the accuracy counts ties of the proxy as one half, and leaves out pairs that the
            # judge finds equal. Half of the wrongly ordered pairs have the proxy's winner second: it rises there.
            reversed_ = (1 - on_policy.accuracy) * on_policy.n - on_policy.ties / 2
            by_chance = reversed_ / (on_policy.n + on_policy.without_order) / 2
            verdict += f" (two draws of one policy: about {by_chance:.0%})"
        verdict += "."
    advice = {
        "holds": "Nothing to do.",
        "unclear": "Judge more completions, or more checkpoints, before you believe a rise of the proxy.",
        "broken": "Choose the checkpoint by the judge, not by the proxy; raise kl_coef, or refresh the reward model. "
        f"{BESIDE_RANDOM}",
    }[state]
    figure, interval = (None, None) if found is None else (found.mean, found.interval)
    return Link(POLICY_EVALUATION, state, measured, figure, interval, verdict, advice)


def training_to_evaluation(
    accuracies: Sequence[float], scores: Sequence[float], by: str = "the judge's score of the policy"
) -> Link:
    """Do reward models with a higher held-out accuracy give policies that the judge scores higher?

    Measured by Spearman's correlation over reward models; it needs five of them.

    Args:
        accuracies: accuracies of different reward models on the same unfiltered pairs.
        scores: for each reward model, the quality of the policy trained with it: the judge's mean score, or another
            figure.
        by: name of that figure in the report.
    """
    found = spearman(accuracies, scores)
    measured = f"rank correlation of held-out accuracy and {by}, over reward models"
    if found is None or found.low is None or found.high is None:
        return _not_measured(
            TRAINING_EVALUATION,
            measured,
            f"It needs five different reward models and the policies trained with them; there are {len(accuracies)}.",
            "Compare more arms, or see `frft study averaging`. Until then, choose by what the policies do.",
        )
    state: LinkState = "holds" if found.low > 0 else "broken" if found.high < 0 else "unclear"
    verdict, advice = {
        "holds": ("More accurate reward models made better policies.", "Nothing to do."),
        "unclear": (
            "Held-out accuracy does not tell which reward model makes the better policy.",
            "Choose reward models by accuracy on the policy's own texts, or by what their policies do.",
        ),
        "broken": (
            "More accurate reward models made worse policies.",
            "Do not choose by held-out accuracy; look at accuracy and variance on the policy's own texts.",
        ),
    }[state]
    return Link(
        TRAINING_EVALUATION,
        state,
        measured.replace("over reward models", f"over {found.n} reward models"),
        found.mean,
        found.interval,
        verdict,
        advice,
    )


def _why_no_accuracy(on_policy: OrderAccuracy | None) -> str:
    if on_policy is None:
        return "Nobody judged what the policy writes."
    if on_policy.without_order:
        return f"The judge finds both texts equal in all {on_policy.without_order} pairs of the policy's own."
    return "No prompt has two completions of the policy between which the judge has a verdict."


def _not_measured(name: str, measured: str, verdict: str, advice: str) -> Link:
    return Link(name, "not measured", measured, None, None, verdict, advice)
