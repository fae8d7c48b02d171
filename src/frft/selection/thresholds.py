"""For strategies with a threshold: the threshold at which enough pairs would qualify, for error messages."""

from __future__ import annotations

import numpy as np

from frft.statistics.numbers import Floats
from frft.strategies import Candidates, Strategy, ThresholdRule


def sufficient_threshold(rule: ThresholdRule, chosen_N: Floats, rejected_N: Floats, wanted: int) -> tuple[float, int]:
    """The highest threshold, to four decimal places, at which `wanted` pairs qualify.

    Args:
        rule: computes the value of a pair that is compared with the threshold.
        chosen_N, rejected_N: cosines of N pairs; NaN where there is no sample, so that no threshold admits the pair.
        wanted: number of pairs; where fewer have cosines, the threshold admits all of these.

    Returns:
        The threshold, at least -1, and the number of pairs that qualify at least.
    """
    value_N = rule.value(chosen_N, rejected_N)
    values = np.sort(value_N[~np.isnan(value_N)])
    pairs = min(wanted, len(values))
    # Rounded down to four places and strictly below, since a rule may want the threshold exceeded.
    return max((np.ceil(values[-pairs] * 1e4) - 1) / 1e4, -1.0), pairs


def nothing_qualifies(strategy: Strategy, candidates: Candidates, wanted: int) -> str:
    """The error message where no pair of a pool qualifies: the distribution of its values, and a threshold to use."""
    rule = strategy.threshold
    if rule is None:
        return f"No pair qualifies for {strategy.name}; the reason for all {len(candidates)}: {strategy.unqualified}."
    cosines = candidates.similarity_chosen, candidates.similarity_rejected
    value_N = rule.value(*cosines)
    values = value_N[~np.isnan(value_N)]
    least, median, high, most = np.quantile(values, [0, 0.5, 0.9, 1])
    enough, enough_for = sufficient_threshold(rule, *cosines, wanted)
    return (
        f"No pair qualifies for {strategy.name}: {rule.named} {rule.relation} "
        f"{candidates.threshold} in none of the {len(values)} pairs with a sample. It lies between {least:.4f} "
        f"and {most:.4f}; median {median:.4f}, 90 % below {high:.4f}. With a threshold of {enough:.4f} at "
        f"least {enough_for} pairs qualify ({wanted} are wanted)."
    )
