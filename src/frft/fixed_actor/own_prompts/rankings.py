"""The orders in which pairs of a pool are taken for an actor: by strategies, and by controls that see no text of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from frft.config.sections import SelectionConfig
from frft.fixed_actor.arms import NO_THRESHOLD
from frft.models import seed_for
from frft.selection import VectorCache, select, with_shuffled_labels
from frft.selection.mixture import PromptClusters, proportional_order
from frft.statistics.numbers import Indices
from frft.strategies import get_strategy

if TYPE_CHECKING:
    import pyarrow as pa

CLUSTERS = "prompt clusters"
"""A control: the pool's prompts in the proportions that the actor's prompts have among clusters of prompts."""
OWN_DOMAIN = "own domain"
"""A control, and the ceiling: pairs of the actor's domain, or of a mixture's domains in its proportions."""
PROMPT_DENSITY = "density_prompt"
"""A control: the strategy that compares prompts alone."""
CLUSTER_COUNT = 20
"""Clusters of prompts; fewer where there are fewer different prompts."""


class PoolRankings:
    """All pairs of one fold's pool in the order in which each strategy takes them for one actor.

    Args:
        pool: the pool's pairs, P.
        domains: the domain of each, P.
        shares: the share of each domain in what the actor writes.
        samples: prompts and completions of the actor.
        vectors: sentence embeddings.
        seed: seed of all draws.
    """

    def __init__(
        self,
        pool: pa.Table,
        domains: Sequence[str],
        shares: Mapping[str, float],
        samples: tuple[Sequence[str], Sequence[str]],
        vectors: VectorCache,
        seed: int,
    ) -> None:
        self._pool, self._domains, self._shares, self._samples = pool, list(domains), shares, samples
        self._vectors, self._seed = vectors, seed
        self._found: dict[tuple[str, bool], Indices] = {}

    def shuffled(self, strategy: str) -> pa.Table:
        """The pool of a placebo: labels by coin, one coin for each pair and strategy."""
        return with_shuffled_labels(self._pool, self._seed_of(strategy))

    def rows(self, strategy: str, *, placebo: bool = False) -> Indices:
        """Row numbers of the pool, best first; those that a strategy does not qualify are left out.

        Args:
            strategy: a strategy, or one of the controls.
            placebo: rank the pool with shuffled labels.
        """
        # Only what looks at chosen and rejected apart ranks a pool with other labels differently.
        reads_labels = strategy not in (CLUSTERS, OWN_DOMAIN) and not (
            get_strategy(strategy).tells_apart or strategy == "random"
        )
        key = (strategy, placebo and reads_labels)
        if key not in self._found:
            self._found[key] = self._ranked(strategy, shuffle=key[1])
        return self._found[key]

    def _seed_of(self, strategy: str) -> int:
        return seed_for(self._seed, strategy)

    def _ranked(self, strategy: str, *, shuffle: bool) -> Indices:
        rng = np.random.default_rng(self._seed_of(strategy))
        if strategy == OWN_DOMAIN:
            order = rng.permutation(len(self._domains))
            return order[proportional_order([self._domains[row] for row in order], self._shares)]
        if strategy == CLUSTERS:
            return self._by_clusters(rng)
        config = SelectionConfig(
            strategy=strategy, threshold=NO_THRESHOLD, size=self._pool.num_rows, match="nearest", shuffle_labels=shuffle
        )
        selection = select(self._pool, *self._samples, config, self._vectors, self._seed_of(strategy))
        place = {id_: row for row, id_ in enumerate(self._pool["id"].to_pylist())}
        return np.array([place[id_] for id_ in selection.train_ids], dtype=np.intp)

    def _by_clusters(self, rng: np.random.Generator) -> Indices:
        clusters = PromptClusters(
            self._pool["prompt"].to_pylist(), self._samples[0], CLUSTER_COUNT, self._vectors, int(rng.integers(2**31))
        )
        return clusters.in_proportion(rng.permutation(self._pool.num_rows))
