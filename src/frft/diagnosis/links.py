"""Objective mismatch (Lambert and Calandra 2311.00168): three modules optimised apart, and the links between them.

Reward-model training, policy training and evaluation each have a number of their own. A link holds where one module's
number says something about the next one's.
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
    """The state of one link between training, policy and evaluation.

    Attributes:
        name: the two modules that it links.
        state: holds or broken where the interval says so; unclear where it does not.
        measured: what the figure is.
        figure, interval: the number and its 95 % interval; None: not measured.
        verdict: what it means, in plain words.
        advice: what to do.
    """

    name: str
    state: LinkState
    measured: str
    figure: float | None
    interval: tuple[float, float] | None
    verdict: str
    advice: str

    def as_dict(self) -> dict[str, Any]:
        """For a results file."""
        return asdict(self)


@dataclass(frozen=True)
class Movement:
    """A policy before and after training, by proxy and by judge, over the prompts that both wrote to.

    Prompts that ask for the same in other words are a cluster, but for the correlation, which counts each.

    Attributes:
        proxy, judge: how their mean changed, paired by prompt.
        disagreement: share of the prompts on which both moved, and in opposite directions.
        proxy_up_judge_down: share of all prompts on which the proxy rose and the judge fell.
        correlation: Spearman's over prompts of the two changes; None: one of them has one value only.
    """

    proxy: Change
    judge: Change
    disagreement: Estimate | None
    proxy_up_judge_down: Estimate
    correlation: Estimate | None

    def as_dict(self) -> dict[str, Any]:
        """For a results file."""
        return asdict(self)


def moved(before: Scored, after: Scored, preferred: Mapping[str, float] | None = None) -> Movement | None:
    """How a policy moved; None: the two have no judged prompt in common.

    Args:
        before, after: what it wrote.
        preferred: of a judge that gives no scores: by prompt, how much it prefers `after` to `before`, over the texts
            that have a partner on the other side. (The proxy's change is of the means of all.)
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
    """Does the reward model still order texts where the policy writes?

    It holds where accuracy on the policy's own pairs, by the judge, is above a coin's. It is broken where that is not
    so and it is below the accuracy on held-out pairs (Newcombe's interval) or below a coin's.
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
    """Does the judge follow where the proxy goes?

    Over the steps of training, Spearman's correlation of proxy and judge; without them, that of their changes over
    prompts. Broken where it is below 0, or where before and after training the proxy rose and the judge fell.

    Args:
        course: the steps.
        movement: from the start to now.
        on_policy: the reward model on the policy's own texts. Two draws of one policy differ, too: the better score
            goes to the worse of two texts in so many of all pairs, and so the proxy rises and the judge falls on half
            as many prompts (of one completion each; means of several are equal more rarely).
        why: there is neither a course with a judge nor a movement.
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
            # Equal scores count one half in an accuracy, which knows no pairs that the judge finds equal.
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
    """Does a reward model that is more accurate on held-out pairs make a policy that the judge likes better?

    Args:
        accuracies: of different reward models, on the same unfiltered pairs.
        scores: how good the policy is that was trained last with each: the judge's mean score, or another figure.
        by: what that figure is.
    """
    found = spearman(accuracies, scores)
    measured = f"rank correlation of held-out accuracy and {by}, over reward models"
    if found is None or found.low is None or found.high is None:
        return _not_measured(
            TRAINING_EVALUATION,
            measured,
            f"It takes five different reward models and the policies trained with them; here are {len(accuracies)}.",
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
