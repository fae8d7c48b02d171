"""Strategies, which rank the pairs of a pool for a refresh; registry.py says how to add one of your own."""

from frft.strategies.built_in import BUILT_IN, SOURCES
from frft.strategies.registry import described_strategies, get_strategy, strategy_names, strategy_origin
from frft.strategies.strategy import Candidates, Rank, Strategy, ThresholdRule, best_first

__all__ = [
    "BUILT_IN",
    "SOURCES",
    "Candidates",
    "Rank",
    "Strategy",
    "ThresholdRule",
    "best_first",
    "described_strategies",
    "get_strategy",
    "strategy_names",
    "strategy_origin",
]
