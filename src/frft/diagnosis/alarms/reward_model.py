"""Failures of a reward model: collapsed or saturated scores, a scale that grew, little variance within prompts."""

from __future__ import annotations

import numpy as np

from frft.diagnosis.alarms.signature import Examined, FailureSignature, above, below
from frft.diagnosis.subject import RewardSpread, Scored
from frft.reward.alarm import Alarm
from frft.statistics.estimates import Estimate, share
from frft.statistics.numbers import Floats

COLLAPSED, SATURATED, NEAR_AN_END = 0.01, 0.5, 0.01
GREW, SIGNAL = 1.5, 0.05


def collapsed(scored: Scored, gain: float) -> Alarm:
    """The reward model gives all texts nearly the same score: the raw scores' standard deviation is below 0.01.

    Differences of raw Bradley-Terry scores are log odds: with a standard deviation of 0.01, the model's preference for
    nearly every pair of texts is within 0.5 +- 0.005, a coin flip. Normalisation to variance 1 hides this, so the raw
    scores are examined.

    Args:
        scored: completions of the policy with their normalised scores.
        gain: normalised score = gain * raw score + bias.
    """
    # sd(raw) = sd(gain * raw + bias) / gain.
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
    """More than half of the different texts score within 1 % of the range of scores from one of its ends.

    At a bound, better and worse texts score alike. Of normally distributed scores, well under a tenth lie there; at one
    half, the reward model cannot order most pairs of texts at that bound.
    """
    texts = zip(scored.prompts, scored.completions, strict=True)
    scores = np.array(list(dict(zip(texts, scored.proxy_N, strict=True)).values()))
    margin = NEAR_AN_END * float(np.ptp(scores))
    count = max(int((scores >= scores.max() - margin).sum()), int((scores <= scores.min() + margin).sum()))
    found = share(count, len(scores))
    return above(
        "reward model saturated",
        f"share of {len(scores)} different texts that score within 1 % of the range from one of its ends",
        found,
        SATURATED,
        "The reward model is at the end of its range: it can no longer tell better from worse where the policy writes.",
        "Stop at an earlier checkpoint, or refresh the reward model on pairs from where the policy writes now.",
    )


def grew(first: Floats, now: Floats) -> Alarm | None:
    """The standard deviation of scores on the same N texts is 1.5 times that by the first reward model, or more.

    The KL coefficient then acts as if it were 2/3 of its value, or less. The interval is that of the ratio of two
    correlated standard deviations of normal values: log(ratio) +- 1.96 sqrt((1 - r^2) / (N - 1)).

    Args:
        first, now: normalised scores by the reward model that training began with, and by the present one, (N,).

    Returns:
        None where either reward model gives all texts one score, so that it has no scale.
    """
    if len(now) < 2 or not np.ptp(first) or not np.ptp(now):
        return None
    ratio = float(now.std() / first.std())
    correlation = float(np.corrcoef(first, now)[0, 1])
    half = 1.96 * np.sqrt((1 - correlation**2) / (len(now) - 1))
    found = Estimate(ratio, float(ratio * np.exp(-half)), float(ratio * np.exp(half)), len(now))
    return above(
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
        spread: mean and variance of the scores of the policy's completions now.
        reference: total variance of the scores at the start of training; where it is unknown, that of now.
    """
    low, high = (None if end is None else end / reference for end in (spread.within.low, spread.within.high))
    found = Estimate(spread.within.mean / reference, low, high, spread.within.n)
    return below(
        "too little signal within a prompt",
        f"variance of the scores of one prompt's completions, over {found.n} prompts, as a share of that at first",
        found,
        SIGNAL,
        "Whatever the policy writes to a prompt scores about the same: there is next to nothing to learn from.",
        "Sample at a higher temperature, stop here, or refresh the reward model where the policy writes.",
    )


def _collapsed(found: Examined) -> Alarm | None:
    after, gain = found.subject.after, found.subject.gain
    return collapsed(after, gain) if after and gain else None


def _saturated(found: Examined) -> Alarm | None:
    after = found.subject.after
    return saturated(after) if after and not found.subject.replaced else None


def _why_not_saturated(found: Examined) -> str:
    if found.subject.after:
        return "scores of texts that were cut are replaced by missing_eos_penalty"
    return "there are no completions"


def _grew(found: Examined) -> Alarm | None:
    before, first = found.subject.before, found.subject.before_by_first
    return None if before is None or first is None else grew(first, before.proxy_N)


def _little_signal(found: Examined) -> Alarm | None:
    reference = found.earlier or found.spread
    return little_signal(found.spread, reference.total) if found.spread and reference and reference.total else None


SIGNATURES_OF_REWARD_MODELS = (
    FailureSignature(
        "reward model collapsed",
        _collapsed,
        lambda _: "there are no completions, or their raw scores are not known",
        of_refresh=True,
    ),
    FailureSignature("reward model saturated", _saturated, _why_not_saturated, of_refresh=True),
    FailureSignature(
        "scale of the reward grew",
        _grew,
        lambda _: "there is no earlier reward model, or no text from before training",
    ),
    FailureSignature(
        "too little signal within a prompt",
        _little_signal,
        lambda _: "fewer than two prompts have two completions, or all scores are equal",
    ),
)
