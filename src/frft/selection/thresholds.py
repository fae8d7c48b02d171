"""Which threshold would let enough pairs in, for a strategy that has one."""

from __future__ import annotations

import numpy as np

from frft.statistics.numbers import Floats
from frft.strategies import Candidates, Strategy, ThresholdRule


def sufficient_threshold(rule: ThresholdRule, chosen_N: Floats, rejected_N: Floats, wanted: int) -> tuple[float, int]:
    """A threshold, to four places, with which `wanted` pairs qualify, and how many at least do.

    Args:
        rule: what is held against the threshold.
        chosen_N, rejected_N: cosines of N pairs; NaN: no sample, so no threshold lets the pair in.
        wanted: pairs; where fewer have cosines, the threshold is for all of them.
    """
    value_N = rule.value(chosen_N, rejected_N)
    values = np.sort(value_N[~np.isnan(value_N)])
    pairs = min(wanted, len(values))
    # Rounded down to four places and strictly below, since a rule may want the threshold exceeded.
    return max((np.ceil(values[-pairs] * 1e4) - 1) / 1e4, -1.0), pairs


def nothing_qualifies(strategy: Strategy, candidates: Candidates, wanted: int) -> str:
    """What an error says of a pool of which no pair qualifies, and what would help."""
    rule = strategy.threshold
    if rule is None:
        return f"No pair qualifies for {strategy.name}; of each of the {len(candidates)}: {strategy.unqualified}."
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
