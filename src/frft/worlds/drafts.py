"""Pairs before they are judged: texts, who wrote them, who will judge, and what they are worth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from frft.statistics.numbers import Floats
from frft.worlds.draws import RowNumbers
from frft.worlds.gold import gold_rewards
from frft.worlds.requests import Requests
from frft.worlds.style import style_counts

if TYPE_CHECKING:
    from frft.worlds.world import World


@dataclass(frozen=True)
class Drafts:
    """N pairs before anyone has judged them.

    Attributes:
        purpose: what their prompts are for: pool, demonstrations, train or evaluation.
        rows: positions of the pairs among all pairs of that purpose: int64 (N,).
        prompts: Arrow array of N texts.
        requests: what the prompts ask for.
        domain: index of the domain of each prompt: int64 (N,).
        completions: two Arrow arrays of N texts, which differ in each pair.
        sources: the source of each completion, the first of a pair being the one that its annotator may follow: int64
            (2, N).
        annotator: index of the annotator who judges each pair: int64 (N,).
        world: the world that they are of.
        base: r* of the completions, what all domains value alike: float64 (2, N).
        style: the completions' style counts: int64 (2, N, styles).
        gold: the completions' gold rewards: float64 (2, N).
    """

    purpose: str
    rows: RowNumbers
    prompts: Any
    requests: Requests
    domain: RowNumbers
    completions: tuple[Any, Any]
    sources: RowNumbers
    annotator: RowNumbers
    world: World

    @cached_property
    def base(self) -> Floats:
        return np.stack([gold_rewards(self.requests, texts) for texts in self.completions])

    @cached_property
    def style(self) -> RowNumbers:
        return np.stack([style_counts(texts) for texts in self.completions])

    @cached_property
    def gold(self) -> Floats:
        rewards = self.world.domain_rewards
        if rewards is None:
            return self.base
        sides = zip(self.base, self.style, strict=True)
        return np.stack([rewards.rewards(base, style, self.domain) for base, style in sides])
