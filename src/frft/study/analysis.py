"""Statistics of a study: pure functions of numbers over seeds, or over the steps of one arm.

Seeds are paired: position i of every array is the same seed, so the same texts, start and prompts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from frft.results.cell import StepCurves
from frft.statistics.estimates import Estimate, ratio_interval, smoothed
from frft.statistics.intervals import CONFIDENCE_LEVEL


def paired_p(differences: Sequence[float]) -> float | None:
    """Two-sided p-value of a paired t test of N differences against 0.

    None for fewer than two; 1 where all are 0; 0 where all are equal and not 0.
    """
    from scipy import stats

    d_N = np.asarray(differences, float)
    if len(d_N) < 2:
        return None
    if np.ptp(d_N) <= 1e-12 * np.abs(d_N).max():
        # Arms that are one artifact differ in nothing, or up to rounding by a constant; t would be 0 / 0.
        return 1.0 if not d_N.any() else 0.0
    return float(stats.ttest_1samp(d_N, 0.0).pvalue)


def fieller(
    numerators: Sequence[float], denominators: Sequence[float], level: float = CONFIDENCE_LEVEL
) -> Estimate | None:
    """The ratio of two paired means with Fieller's interval.

    It is the set of rho for which mean(numerator - rho * denominator) cannot be told from 0 (Fieller, 1954), at a
    confidence level.

    Returns:
        None where the denominator's mean is not above 0 (a share of a loss is nothing to recover) or cannot be told
        from 0, or there is one seed only: the set has no two ends then.
    """
    x_N, y_N = np.asarray(numerators, float), np.asarray(denominators, float)
    n = len(x_N)
    if n < 2 or y_N.mean() <= 0:
        return None
    ends = ratio_interval(x_N.mean(), y_N.mean(), np.cov(x_N, y_N) / n, n - 1, level)
    return None if ends is None else Estimate(float(x_N.mean() / y_N.mean()), *ends, n)


def gold_at_kl(gold: Sequence[float], kl: Sequence[float], level: float) -> tuple[float, float]:
    """Gold reward of a policy when its KL was `level` for the last time, by the smoothed curves of T steps.

    The last time, because from there on KL is larger, as it is at the end; between steps both curves are straight.

    Args:
        gold: mean gold reward at each step.
        kl: KL from the SFT model at each step, in nats a completion.
        level: the KL to look for, in the same unit.

    Returns:
        The gold reward there, and the step, from 1. A KL that was above `level` all along gives the first step; one
        that ends below it, the last.
    """
    gold_T, kl_T = smoothed(gold), smoothed(kl)
    # The last step that is not above the level; the curve crosses it between there and the next step.
    below = np.flatnonzero(kl_T <= level)
    if not len(below):
        return float(gold_T[0]), 1.0
    t = int(below[-1])
    if t == len(kl_T) - 1:
        return float(gold_T[t]), t + 1.0
    share = (level - kl_T[t]) / (kl_T[t + 1] - kl_T[t])
    return float(gold_T[t] + share * (gold_T[t + 1] - gold_T[t])), t + 1.0 + float(share)


def equal_kl_gain(arm: StepCurves, other: StepCurves) -> tuple[float, float]:
    """How much more gold reward `arm` has than `other` at equal KL from SFT: the smaller one of their final KLs.

    Args:
        arm, other: the curves of the two arms, step by step.

    Returns:
        The difference in gold reward, and the step, from 1, at which the arm with the larger final KL was at that KL;
        the other arm was there at its end.
    """
    level = min(float(smoothed(each.kl)[-1]) for each in (arm, other))
    (own, step), (others, others_step) = (gold_at_kl(each.gold, each.kl, level) for each in (arm, other))
    return own - others, min(step, others_step)


def alike_until(arm: StepCurves, other: StepCurves, step: float) -> bool:
    """Whether two arms have equal curves up to a step: until then they were one policy with one reward model.

    Args:
        arm, other: the curves of the two arms, step by step.
        step: from 1; a fraction is rounded up.
    """
    until = math.ceil(step)
    pairs = ((arm.gold, other.gold), (arm.kl, other.kl), (arm.score, other.score))
    return all(own[:until] == others[:until] for own, others in pairs)


def steps_to_reach(gold: Sequence[float], level: float) -> int | None:
    """The first step, from 1, whose smoothed gold reward is at least `level`; None where it never is."""
    reached = np.flatnonzero(smoothed(gold) >= level)
    return int(reached[0]) + 1 if len(reached) else None


def median_step(steps: Sequence[int | None]) -> float | None:
    """The median of some steps, where None is a step that was never reached and counts as later than all others.

    None where the median itself is such a step, or there are no steps.
    """
    middle = float(np.median([np.inf if step is None else step for step in steps])) if steps else np.inf
    return middle if np.isfinite(middle) else None
