"""Failure signatures: functions from measurements to alarms.

One rule for all: an alarm fires only where the whole 95 % interval of its figure is on the wrong side of its threshold,
or a one-sided test at 5 % says so. A figure that is merely unclear raises none. Each alarm's docstring states the
threshold and why it is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from frft.diagnosis.overoptimisation import GaoFit
from frft.diagnosis.subject import Course, RewardSpread, Scored, Selected
from frft.errors import printable
from frft.reward.alarm import Alarm, Side
from frft.statistics import OrderAccuracy
from frft.statistics.estimates import ONE_SIDED_LEVEL, Change, Estimate, difference, share, trend
from frft.statistics.numbers import Floats

COLLAPSED, SATURATED, NEAR_AN_END = 0.01, 0.5, 0.01
GREW, SIGNAL = 1.5, 0.05
FLAT_REWARD, FLAT_KL = 0.2, 0.1
ALIKE, DUPLICATES, ONE_SOURCE = 0.5, 0.5, 0.9
OVERFIT, SHORTCUT = 0.05, 0.1
RECENT = 0.5
"""Fraction of the PPO steps, counted from the last, that count as recent."""
FEWEST_STEPS = 8
"""Fewest PPO steps to which a trend is fitted."""


def collapsed(scored: Scored, gain: float) -> Alarm:
    """The reward model gives all texts about one score.

    Raw Bradley-Terry scores are log odds: with a standard deviation of 0.01 the model calls nearly every pair of texts
    within 0.5 +- 0.005, a coin. Normalisation hides this, so it is looked for before it.
    """
    spread = float(scored.proxy_N.std()) / gain
    return Alarm(
        "reward model collapsed",
        spread < COLLAPSED,
        f"standard deviation of the raw scores of {len(scored.proxy_N)} completions",
        spread,
        None,
        COLLAPSED,
        "The reward model gives everything about the same score; normalised, that is noise, and the policy follows it.",
        "Train it again: lower learning rate, more or cleaner pairs; look at its accuracy on held-out pairs first.",
        "<",
    )


def saturated(scored: Scored) -> Alarm:
    """Half of the different texts score within 1 % of the range of scores from one of its ends.

    At a bound, better and worse texts score alike. Of normally distributed scores, well under a tenth lie there; at a
    half, one text in two is as good as can be, or as bad, and nothing is left to tell it from the next.
    """
    texts = zip(scored.prompts, scored.completions, strict=True)
    scores = np.array(list(dict(zip(texts, scored.proxy_N, strict=True)).values()))
    margin = NEAR_AN_END * float(np.ptp(scores))
    count = max(int((scores >= scores.max() - margin).sum()), int((scores <= scores.min() + margin).sum()))
    found = share(count, len(scores))
    return _above(
        "reward model saturated",
        f"share of {len(scores)} different texts that score within 1 % of the range from one of its ends",
        found,
        SATURATED,
        "The reward model is at the end of its range: it can no longer tell better from worse where the policy writes.",
        "Stop at an earlier checkpoint, or refresh the reward model on pairs from where the policy writes now.",
    )


def grew(first: Floats, now: Floats) -> Alarm | None:
    """The scores of the same N texts spread 1.5 times as far as with the reward model that training began with.

    The coefficient of the KL penalty then acts as if it were 2/3 of what was set. The interval is that of the ratio of
    two correlated standard deviations of normal values: log(ratio) +- 1.96 sqrt((1 - r^2) / (N - 1)). None: either
    reward model gives all texts one score, and there is no scale.
    """
    if len(now) < 2 or not np.ptp(first) or not np.ptp(now):
        return None
    ratio = float(now.std() / first.std())
    correlation = float(np.corrcoef(first, now)[0, 1])
    half = 1.96 * np.sqrt((1 - correlation**2) / (len(now) - 1))
    found = Estimate(ratio, float(ratio * np.exp(-half)), float(ratio * np.exp(half)), len(now))
    return _above(
        "scale of the reward grew",
        f"spread of the normalised scores of {len(now)} texts from before training, over what it was at first",
        found,
        GREW,
        "Rewards outweigh the KL penalty more than was set; the policy will go farther from SFT than intended.",
        "Normalise the reward model on the SFT model's samples after each refresh, or raise kl_coef in proportion.",
    )


def little_signal(spread: RewardSpread, reference: float) -> Alarm:
    """Scores of one prompt's completions vary with less than 5 % of the variance that scores had at first.

    Policy gradients see only differences within a prompt (Razin et al. 2503.15477). At 5 %, these are less than a
    quarter (sqrt(0.05) = 0.22) of the spread for which kl_coef was chosen, and noise of KL and critic outweighs them.

    Args:
        spread: of the scores of what the policy writes.
        reference: total variance at first; without a policy from before training, that of the policy itself.
    """
    low, high = (None if end is None else end / reference for end in (spread.within.low, spread.within.high))
    found = Estimate(spread.within.mean / reference, low, high, spread.within.n)
    return _below(
        "too little signal within a prompt",
        f"variance of the scores of one prompt's completions, over {found.n} prompts, as a share of that at first",
        found,
        SIGNAL,
        "Whatever the policy writes to a prompt scores about the same: there is next to nothing to learn from.",
        "Sample at a higher temperature, stop here, or refresh the reward model where the policy writes.",
    )


def stuck(course: Course) -> Alarm:
    """Neither the reward nor the KL moves, from the first of these steps to the last.

    Flat is shown, not merely not refuted: over all steps the reward's trend is within 0.2 standard deviations of the
    first step's scores (a small effect, Cohen 1988), and the KL's within 0.1 nats, each with its whole interval. (Of a
    policy that starts as the SFT model, 0.1 nats are a total variation of at most sqrt(0.1 / 2) = 0.22, by Pinsker.)
    """
    reward, kl = trend(course.proxy_T / (course.spread or 1.0)).estimate, trend(course.kl_T).estimate
    alarm = _below(
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
    return alarm if flat else _silent(alarm)


def narrow_diversity(selected: Selected) -> Alarm | None:
    """Kept texts are half as far apart, in mean cosine distance, as the pool's are, or nearer.

    Fine-tuning then sees one corner of the pool. A selection is meant to be narrower; half of all distance is where
    there is about one topic left in a pool of two. None: not measured, or the pool's texts are all alike.
    """
    if selected.similarity is None or selected.similarity[1] >= 1:
        return None
    kept, pool = selected.similarity
    found = (1 - kept) / (1 - pool)
    return Alarm(
        "selection too narrow: diversity",
        found < ALIKE,
        "mean cosine distance of two kept completions, over that of two of the pool",
        found,
        None,
        ALIKE,
        "The reward model is fine-tuned on texts that are all alike, and forgets the rest.",
        "Keep more pairs, sample by weight (take: sample) instead of taking the top, or mix in random pairs.",
        "<",
    )


def narrow_duplicates(selected: Selected) -> Alarm:
    """Half of what is trained on, or more, is a repetition: an epoch on the selection is then two on its pairs."""
    kept = int(selected.kept_N.sum())
    return Alarm(
        "selection too narrow: duplicates",
        selected.copies > 0 and (selected.copies - kept) / selected.copies >= DUPLICATES,
        f"share of {selected.copies} places in the selection that hold a pair once more",
        (selected.copies - kept) / selected.copies if selected.copies else 0.0,
        None,
        DUPLICATES,
        "Few pairs count many times; the reward model learns them by heart.",
        "Keep fewer pairs, set duplicates: once, or lower the density weights' tau.",
        ">=",
    )


def narrow_source(selected: Selected) -> Alarm | None:
    """One source wrote nine tenths of the selection, and significantly more of it than of the rest of the pool.

    At nine tenths, other sources are too few to correct what is peculiar to this one. Where the pool tells who wrote
    either side, the narrower side counts. None: sources are not known.
    """
    if not selected.sources or not selected.kept_N.any():
        return None
    looked = [_narrow_in(column, sources, selected) for column, sources in selected.sources.items()]
    return max(looked, key=lambda alarm: (alarm.fired, alarm.figure))


def _narrow_in(column: str, sources: Sequence[str], selected: Selected) -> Alarm:
    sources_N = np.array([str(source) for source in sources])
    names, counts = np.unique(sources_N[selected.kept_N], return_counts=True)
    name = names[counts.argmax()]
    own_N = sources_N == name
    found = share(int(counts.max()), int(counts.sum()))
    alarm = _above(
        "selection too narrow: one source",
        f"share of the selection that is from {str(name)!a} ({printable(column)})",
        found,
        ONE_SOURCE,
        "The reward model is fine-tuned to one source's style of text and labels.",
        "See whether the policy really writes like that source; if not, embed with a model of style, or mix in others.",
    )
    rest = int((~selected.kept_N).sum())
    if not rest:
        return _silent(alarm)
    more = difference(found, share(int((own_N & ~selected.kept_N).sum()), rest))
    return alarm if more is not None and more.low is not None and more.low > 0 else _silent(alarm)


def overfits_selection(
    own_test: OrderAccuracy,
    held_out: OrderAccuracy,
    own_gain: Estimate | None = None,
    held_out_before: OrderAccuracy | None = None,
) -> Alarm | None:
    """The refresh has brought more than 5 points more on test pairs of its own selection than on unfiltered ones.

    All by the same labels, and unfiltered pairs for those of the policy, which have none. Five points are more than the
    gains that selections are made for; whichever causes it, learning by heart or the shortcut, accuracy on the
    selection says nothing then. None: nothing to compare.

    Args:
        own_test, held_out: accuracies of the refreshed model.
        own_gain: what the refresh has brought on the selection's test pairs, paired. The model before it may have seen
            the whole pool, and is then better on any part of it: what it knew already is no overfitting, and where it
            knew nearly all, there is nothing left to gain. None: it was refreshed from a model that had seen none.
        held_out_before: accuracy of the model before on the unfiltered pairs. The interval takes the two for
            independent, so it is too wide rather than too narrow.
    """
    found, which = difference(own_test, held_out), "accuracy"
    if own_gain is not None and held_out_before is not None:
        elsewhere, which = difference(held_out, held_out_before), "gain of accuracy in the refresh"
        found = None if elsewhere is None else difference(own_gain, elsewhere)
    if found is None:
        return None
    return _above(
        "reward model overfits its selection",
        f"{which} on {own_test.n} test pairs of its selection, less that on {held_out.n} unfiltered pairs",
        found,
        OVERFIT,
        "What it learned holds on the selected pairs only; where they were filtered, that may be the filter itself.",
        "Believe the unfiltered pairs. Fewer epochs, init: current, random pairs mixed in; compare with random.",
    )


def shortcut(selected: Selected) -> Alarm | None:
    """Likeness to the policy predicts the label more than 10 points better in kept pairs than in those left out.

    The rule is "the chosen one is the more policy-like one", or its opposite. That much of an accuracy on the selection
    comes with detecting likeness alone; the pairs that were left out show what there is of it in the labels themselves.
    The two groups are apart, so the interval is Newcombe's. None: there are no similarities, or nothing was left out.
    """
    looked_N = np.isfinite(selected.chosen_N) & np.isfinite(selected.rejected_N)
    looked_N &= selected.chosen_N != selected.rejected_N
    nearer_N = selected.chosen_N > selected.rejected_N
    groups = [looked_N & selected.kept_N, looked_N & ~selected.kept_N]
    if not all(group.any() for group in groups):
        return None
    kept, rest = (share(int((nearer_N & group).sum()), int(group.sum())) for group in groups)
    found = difference(kept, rest) if kept.mean >= rest.mean else difference(rest, kept)
    assert found is not None
    rule = "more" if kept.mean >= rest.mean else "less"
    return _above(
        "selection shortcut",
        f"how much more often the chosen side is the {rule} policy-like one in {kept.n} kept pairs than in {rest.n} "
        f"others (the more policy-like one: {kept.mean:.0%} of the kept)",
        found,
        SHORTCUT,
        "The filter lets likeness to the policy predict the label; a reward model can learn that instead of quality.",
        "Use part1 or a density ratio, which look at both sides alike; judge on unfiltered pairs; run the placebo "
        "(shuffle_labels).",
    )


def overoptimised(proxy: Change, judge: Change, what: str, looks: int = 1) -> Alarm:
    """The proxy rose and the judge fell.

    Two one-sided tests, both at 5 %: an intersection-union test (Berger 1982), so that where at most one of the two is
    true it fires in at most 5 % of cases.

    Args:
        proxy, judge: how much they changed, over the same texts.
        what: over what, for the report.
        looks: how often it is going to be asked in one training. The level is divided by it (Bonferroni): whoever looks
            after every step at 5 % finds a false alarm.
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
    """`overoptimised` by the trends over the newer half of the steps; None: nobody judged, or fewer than 8 steps there.

    Half, because over all steps a rise before the peak would hide the fall after it.
    """
    steps = int(np.ceil(len(course.proxy_T) * RECENT))
    if course.judge_T is None or steps < FEWEST_STEPS:
        return None
    proxy, judge = (trend(each[-steps:]) for each in (course.proxy_T, course.judge_T))
    return overoptimised(proxy, judge, f"over the last {steps} steps", looks)


def past_the_peak(course: Course, fit: GaoFit, looks: int = 1) -> Alarm | None:
    """The policy is farther from SFT than the whole interval of Gao's d*, and beyond it the judge fell.

    The second half is a one-sided test at 5 % (divided by `looks`, see `overoptimised`) of the trend over the steps
    beyond the interval: a judge that levels off has no peak, but Gao's formula gives it one. None: these steps show no
    peak.
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


def _above(name: str, measured: str, found: Estimate, threshold: float, meaning: str, advice: str) -> Alarm:
    fired = found.low is not None and found.low > threshold
    return Alarm(name, fired, measured, found.mean, found.interval, threshold, meaning, advice, ">")


def _below(
    name: str, measured: str, found: Estimate, threshold: float, meaning: str, advice: str, side: Side = "<"
) -> Alarm:
    fired = found.high is not None and found.high < threshold
    return Alarm(name, fired, measured, found.mean, found.interval, threshold, meaning, advice, side)


def _silent(alarm: Alarm) -> Alarm:
    return replace(alarm, fired=False)
