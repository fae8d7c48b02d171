"""Failures of policy training: the policy is stuck, or over-optimises the proxy reward."""

from __future__ import annotations

import numpy as np

from frft.diagnosis.alarms.signature import Examined, FailureSignature, below, silent
from frft.diagnosis.overoptimisation import GaoFit
from frft.diagnosis.subject import Course
from frft.reward.alarm import Alarm
from frft.statistics.estimates import ONE_SIDED_LEVEL, Change, trend

FLAT_REWARD, FLAT_KL = 0.2, 0.1
RECENT = 0.5
"""Fraction of the PPO steps, counted from the last, that count as recent."""
FEWEST_STEPS = 8
"""Fewest PPO steps to which a trend is fitted."""


def stuck(course: Course) -> Alarm:
    """Neither the reward nor the KL changes from the first step to the last.

    An equivalence test: the whole interval of the reward's trend over all steps is within +-0.2 standard deviations of
    the first step's scores (a small effect, Cohen 1988), and that of the KL's within +-0.1 nats. (For a policy that
    starts as the SFT model, 0.1 nats are a total variation of at most sqrt(0.1 / 2) = 0.22, by Pinsker.)
    """
    reward, kl = trend(course.proxy_T / (course.spread or 1.0)).estimate, trend(course.kl_T).estimate
    alarm = below(
        "policy stuck",
        f"change of the reward over {len(course.proxy_T)} steps in standard deviations; KL from SFT changed by "
        f"{kl.mean:+.3f} nats (stuck: within {FLAT_KL})",
        reward,
        FLAT_REWARD,
        "Training no longer moves the policy by either measure: it earns no more, and goes no farther.",
        "If it has converged, stop. If it never moved, raise the learning rate or lower kl_coef, and look at the "
        "within-prompt variance of the reward and at grad norms.",
        "|.| <",
    )
    flat = all(
        found.low is not None and found.high is not None and -most < found.low and found.high < most
        for found, most in ((reward, FLAT_REWARD), (kl, FLAT_KL))
    )
    return alarm if flat else silent(alarm)


def overoptimised(proxy: Change, judge: Change, what: str, looks: int = 1) -> Alarm:
    """The proxy rose and the judge fell.

    An intersection-union test (Berger 1982) of two one-sided tests at 5 % each: if at most one of the two is true, it
    fires with a probability of at most 5 %.

    Args:
        proxy, judge: changes of the two scores over the same texts.
        what: what the changes are over, for the report.
        looks: number of tests in one training. The level is divided by it (Bonferroni), since repeated tests at 5 %
            would sooner or later give a false alarm.
    """
    found = judge.estimate
    return Alarm(
        "over-optimisation",
        proxy.rose(ONE_SIDED_LEVEL / looks) and judge.fell(ONE_SIDED_LEVEL / looks),
        f"change of the judge's mean {what}, while the proxy's changed by {proxy.estimate.mean:+.3f}",
        found.mean,
        found.interval,
        0.0,
        "The policy earns more and is worth less: it exploits errors of the reward model.",
        "Go back to the checkpoint with the highest judge score; raise kl_coef, or refresh the reward model there, and "
        "compare with a refresh on random pairs.",
        "<",
    )


def overoptimised_lately(course: Course, looks: int = 1) -> Alarm | None:
    """`overoptimised` by the trends over the last half of the steps; None where nobody judged, or it has fewer than 8.

    The last half, because over all steps a rise before the peak would hide the fall after it.
    """
    steps = int(np.ceil(len(course.proxy_T) * RECENT))
    if course.judge_T is None or steps < FEWEST_STEPS:
        return None
    proxy, judge = (trend(each[-steps:]) for each in (course.proxy_T, course.judge_T))
    return overoptimised(proxy, judge, f"over the last {steps} steps", looks)


def past_the_peak(course: Course, fit: GaoFit, looks: int = 1) -> Alarm | None:
    """The policy's d = sqrt(KL) is beyond the whole interval of Gao's d*, and the judge fell over the steps beyond it.

    The fall is a one-sided test at 5 % (divided by `looks`, see `overoptimised`) of the trend over these steps. It is
    required because Gao's formula fits a peak even to a judge that only levels off. None where the fit has no peak, or
    no interval of it.
    """
    if course.judge_T is None or fit.peak is None or fit.peak_interval is None:
        return None
    beyond_T = course.kl_T > fit.peak_interval[1] ** 2
    fell = beyond_T.sum() >= FEWEST_STEPS and trend(course.judge_T[beyond_T]).fell(ONE_SIDED_LEVEL / looks)
    return Alarm(
        "past the peak",
        bool(fit.passed and fell),
        f"d = sqrt(KL) at which the judge's score is highest, by Gao's curve over {fit.n} points; the policy is at "
        f"{fit.d:.2f}",
        fit.peak,
        fit.peak_interval,
        fit.d,
        "More optimisation against this reward model is expected to make the policy worse, not better.",
        "Stop, or go back to the checkpoint with this KL; a refresh begins another curve.",
        "<",
    )


def _stuck(found: Examined) -> Alarm | None:
    course = found.subject.course
    return stuck(course) if course and len(course.proxy_T) >= FEWEST_STEPS else None


def _overoptimised(found: Examined) -> Alarm | None:
    course, movement = found.subject.course, found.movement
    # Two tests, by the steps and by the movement, of which either may fire: each gets half of the level.
    looks = found.looks * (2 if course and movement else 1)
    lately = overoptimised_lately(course, looks) if course else None
    if movement is None:
        return lately
    alarm = overoptimised(movement.proxy, movement.judge, "from before to after", looks)
    # The trend sees a fall from a peak; the movement, one below the start. Either is over-optimisation.
    return alarm if alarm.fired or lately is None else lately


def _past_the_peak(found: Examined) -> Alarm | None:
    course = found.subject.course
    looks = found.looks * (2 if course and found.movement else 1)
    return past_the_peak(course, found.fit, looks) if course and found.fit else None


STUCK = FailureSignature(
    "policy stuck", _stuck, lambda _: f"there are fewer than {FEWEST_STEPS} steps of training to look at"
)
SIGNATURES_OF_OVER_OPTIMISATION = (
    FailureSignature(
        "over-optimisation",
        _overoptimised,
        lambda _: "nobody judged enough of what the policy wrote",
        over_optimised=True,
    ),
    FailureSignature(
        "past the peak",
        _past_the_peak,
        lambda _: "no judge followed the steps, or they show no peak yet",
        over_optimised=True,
    ),
)
