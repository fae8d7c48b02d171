"""Sample size: how many prompts a comparison needs for a given power."""

from __future__ import annotations

from frft.errors import UsageError

POWER = 0.8
"""Probability that a test detects a true difference."""
_ALPHA = 0.05
MOST = 10**9
"""Largest number of prompts that the search considers."""


def prompts_needed(effect: float, sd: float, *, power: float = POWER, alpha: float = _ALPHA) -> int | None:
    """Fewest prompts with which a two-sided t test against 1/2 detects a true `effect` with this power.

    The smallest n with P(|T| > t_{1 - alpha/2}) >= power, T being noncentral t with n - 1 degrees of freedom and
    noncentrality effect / sd * sqrt(n). It assumes that prompts are independent, with this spread and this effect.

    Args:
        effect: the true win rate less 1/2, in [-1/2, 1/2].
        sd: standard deviation of the preference over prompts.
        power: probability of detecting the effect.
        alpha: significance level of the test.

    Returns:
        Number of prompts; 2 where sd is 0; None where the effect is 0 or a billion prompts would not be enough.

    Raises:
        UsageError: sd is below 0, or not 0 < alpha < power < 1.
    """
    from math import sqrt

    from scipy import stats

    if sd < 0 or not 0 < alpha < power < 1:
        raise UsageError(f"sd {sd}, alpha {alpha}, power {power}: give sd >= 0 and 0 < alpha < power < 1.")
    if effect == 0:
        return None
    if sd == 0:
        return 2
    size = abs(effect) / sd

    def sees(n: int) -> bool:
        critical = stats.t.ppf(1 - alpha / 2, n - 1)
        # Only the tail on the side of the effect: the other one adds nothing at any power above alpha, and scipy's
        # noncentral t loses precision there.
        return bool(stats.nct.sf(critical, n - 1, size * sqrt(n)) >= power)

    # Double until the power is reached, then bisect.
    high = 2
    while not sees(high):
        high *= 2
        if high > MOST:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if sees(middle) else (middle, high)
    return high
