"""How many prompts would settle a comparison."""

from __future__ import annotations

from frft.errors import UsageError

POWER = 0.8
"""Chance of seeing a difference that is there."""
_ALPHA = 0.05
MOST = 10**9


def prompts_needed(effect: float, sd: float, *, power: float = POWER, alpha: float = _ALPHA) -> int | None:
    """Fewest prompts with which a two-sided t test against 1/2 sees a true `effect` with this power.

    The smallest n with P(|T| > t_{1 - alpha/2}) >= power, T being noncentral t with n - 1 degrees of freedom and
    noncentrality effect / sd * sqrt(n). It assumes that prompts are independent, with this spread and this effect.

    Args:
        effect: the true rate less 1/2.
        sd: standard deviation of the preference over prompts.
        power, alpha: chance of seeing it; level of the test.

    Returns:
        The number; 2 where nothing varies; None where there is no effect, or a billion prompts would not do.

    Raises:
        UsageError: a spread below 0, or a level or a power that is none.
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
        # The other tail is beyond every power that is asked for, and scipy's nct loses it.
        return bool(stats.nct.sf(critical, n - 1, size * sqrt(n)) >= power)

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
