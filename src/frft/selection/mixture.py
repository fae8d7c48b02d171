"""Selections that keep the policy's mixture of prompts.

A policy that is trained on several kinds of prompts needs a reward model for all of them. A ranking may take most of
its pairs from the kind that it recognises best; here every cluster of prompts gets pairs in the proportion in which the
policy's own prompts fall into it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from frft.progress import SILENT, Progress
from frft.selection.vectors import VectorCache
from frft.statistics.numbers import Indices


class PromptClusters:
    """Clusters of prompts: of the pool's pairs, and of the policy's samples.

    K-means on the embeddings of both together, so that a kind of prompt that only one of them has is a cluster, too.

    Args:
        prompts: the prompt of each of the N pairs.
        asked: the prompt of each of the S samples, at least one.
        count: number of clusters; fewer where there are fewer different prompts.
        vectors: cache of embeddings.
        seed: seed of the clusters' first centres.
        progress: told of texts that are embedded.

    Attributes:
        of_pairs: the cluster of each pair, N numbers.
        shares: the share of the samples whose prompt is in each cluster; the shares sum to 1.
    """

    def __init__(
        self,
        prompts: Sequence[str],
        asked: Sequence[str],
        count: int,
        vectors: VectorCache,
        seed: int,
        progress: Progress = SILENT,
    ) -> None:
        from sklearn.cluster import KMeans

        texts = [text.strip() for text in (*prompts, *asked)]
        number = min(count, len(set(texts)))
        means = KMeans(number, n_init=4, random_state=seed).fit(vectors.get(texts, progress))
        labels: list[int] = means.labels_.tolist()
        self.of_pairs = labels[: len(prompts)]
        self.shares = {label: n / len(asked) for label, n in sorted(Counter(labels[len(prompts) :]).items())}

    def in_proportion(self, ranked: Indices) -> Indices:
        """The ranked pairs in an order whose every beginning has the clusters in the proportions of the samples."""
        return ranked[proportional_order([self.of_pairs[row] for row in ranked.tolist()], self.shares)]

    def distance(self, rows: Indices) -> float:
        """How far these pairs are from the samples' proportions: total variation, from 0 (equal) to 1."""
        taken = Counter(self.of_pairs[row] for row in rows.tolist())
        everywhere = {*taken, *self.shares}
        return sum(abs(taken[name] / len(rows) - self.shares.get(name, 0.0)) for name in everywhere) / 2


def proportional_order(groups: Sequence[Any], shares: Mapping[Any, float]) -> Indices:
    """Positions in an order in which every beginning has the groups in the proportions of `shares`.

    Within a group the order stays. The j-th member of a group with the share s comes at j / s: where a group is used
    up, the others go on in their proportions; groups without a share come last.

    Args:
        groups: the group at each position, N.
        shares: the share of each group, 0 or more.
    """
    seen: Counter[Any] = Counter()
    key_N = np.empty(len(groups))
    for position, group in enumerate(groups):
        seen[group] += 1
        share = shares.get(group, 0.0)
        key_N[position] = seen[group] / share if share else np.inf
    return np.argsort(key_N, kind="stable")
