"""Which representation of pairs finds the sources of a pool that does not name them, in worlds that know them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results import FOLDER, machine, report
from frft import World, WorldConfig
from frft.config.sections import EmbedderConfig
from frft.selection import Embedder, VectorCache
from frft.selection.pair_space import FEWEST_TEXTS_WITH, pair_clusters, shared_directions
from frft.selection.sources import STYLE_TOKENS, nearest_source

CENTRE = {"lambda_": 4, "kappa": 1, "near_lambda": 0, "categories": 6, "pool_size": 4000, "demonstrations": 6000}
"""The world at the centre of the first study (src/frft/study/averaging.yaml)."""
START = 400
"""Texts of the policy before its training: the first demonstrations, which its SFT model learns from."""
DIMENSIONS = 20
"""Dimensions of TF-IDF after the SVD where k-means works in them."""
COLUMNS = {
    "representation": "{name}",
    "clusters": "{clusters}",
    "adjusted Rand index": "{rand:.2f} ({rand_low:.2f} to {rand_high:.2f})",
    "kept pairs of the true source": "{precision:.0%} ({precision_low:.0%} to {precision_high:.0%})",
    "its pairs that are kept": "{recall:.0%} ({recall_low:.0%} to {recall_high:.0%})",
}

Clusters = tuple[Sequence[str], Sequence[str]]
"""The cluster of the chosen and of the rejected completion of each pair."""


def main() -> None:
    """Measure, write results/pair_sources.*, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first-seed", type=int, default=400)
    parser.add_argument("--worlds", type=int, default=10)
    parser.add_argument("--embeddings", type=Path, default=FOLDER / "embeddings", help="cache of vectors")
    parser.add_argument("--only", default="", help="representations whose names begin with this")
    arguments = parser.parse_args()
    vectors = VectorCache(arguments.embeddings, Embedder(EmbedderConfig()))
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.worlds)
    found = [row for seed in seeds for row in of_world(seed, vectors, arguments.only)]
    keys = dict.fromkeys((row["name"], row["clusters"]) for row in found)
    rows = [summary([row for row in found if (row["name"], row["clusters"]) == key]) for key in keys]
    notes = [machine(), f"Worlds {seeds[0]} to {seeds[-1]}: mean over them (lowest to highest)."]
    report("pair_sources", notes, rows, COLUMNS)


def of_world(seed: int, vectors: VectorCache, only: str = "") -> list[dict[str, Any]]:
    """The figures of every representation whose name begins with `only` in one world."""
    world = World(WorldConfig(seed=seed, **CENTRE))
    pairs = world.pairs(0, world.config.pool_size)
    sides = [[text.strip() for text in pairs[side].to_pylist()] for side in ("chosen", "rejected")]
    prompts, truth = pairs["prompt"].to_pylist(), np.array(pairs["chosen_source"].to_pylist())
    near = world.sources.names[world.config.near_policy]
    start = world.demonstrations(0, START)["completion"].to_pylist()
    number = world.config.sources
    made: list[tuple[str, int, Callable[[], Clusters]]] = [
        ("MiniLM, mean of both sides", number, lambda: both(k_means(mean(embedded(vectors, sides)), number, seed))),
        (
            "MiniLM, pair space",
            number,
            lambda: both(k_means(shared_directions(*embedded(vectors, sides)), number, seed)),
        ),
        ("TF-IDF, single texts", number, lambda: single_texts(reduced(sides, seed), number, seed)),
        ("TF-IDF, mean of both sides", number, lambda: both(k_means(mean(reduced(sides, seed)), number, seed))),
        *(
            (
                "TF-IDF, pair space (`source_clusters`)",
                count,
                lambda count=count: both(pair_clusters(*sides, count, seed)),
            )
            for count in (number, 4, 8, 12)
        ),
    ]
    rows = []
    for name, count, cluster in made:
        if not name.startswith(only):
            continue
        chosen, rejected = cluster()
        named = nearest_source([*prompts, *prompts], [*sides[0], *sides[1]], [*chosen, *rejected], start, seed)
        kept = (np.array(chosen) == named.name) & (np.array(rejected) == named.name)
        rows.append(
            {
                "seed": seed,
                "name": name,
                "clusters": count,
                "rand": rand_index([*truth, *truth], [*chosen, *rejected]),
                "precision": float(np.mean(truth[kept] == near)) if kept.any() else 0.0,
                "recall": float(np.mean(kept[truth == near])),
            }
        )
    return rows


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean, lowest and highest of each figure over the worlds, and the figures of each."""
    found = {"name": rows[0]["name"], "clusters": rows[0]["clusters"], "worlds": rows}
    for figure in ("rand", "precision", "recall"):
        values = [row[figure] for row in rows]
        found |= {figure: float(np.mean(values)), f"{figure}_low": min(values), f"{figure}_high": max(values)}
    return found


def embedded(vectors: VectorCache, sides: list[list[str]]) -> list[Any]:
    """Sentence embeddings of both sides."""
    return [np.asarray(vectors.get(side), dtype=np.float64) for side in sides]


def reduced(sides: list[list[str]], seed: int) -> list[Any]:
    """TF-IDF of words and marks of both sides, reduced to DIMENSIONS."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [*sides[0], *sides[1]]
    tf_idf = TfidfVectorizer(token_pattern=STYLE_TOKENS, sublinear_tf=True, min_df=FEWEST_TEXTS_WITH)
    return list(np.split(TruncatedSVD(DIMENSIONS, random_state=seed).fit_transform(tf_idf.fit_transform(texts)), 2))


def mean(sides: list[Any]) -> Any:
    """The mean of both sides' vectors."""
    return (sides[0] + sides[1]) / 2


def k_means(points: Any, count: int, seed: int) -> list[str]:
    """The cluster of each point."""
    from sklearn.cluster import KMeans

    return [str(label) for label in KMeans(count, n_init=10, random_state=seed).fit_predict(points)]


def both(clusters: Sequence[str]) -> Clusters:
    """Clusters of pairs: both completions are in the pair's."""
    return clusters, clusters


def single_texts(sides: list[Any], count: int, seed: int) -> Clusters:
    """Clusters of single texts: the two completions of a pair may be in different ones."""
    labels = k_means(np.concatenate(sides), count, seed)
    return labels[: len(sides[0])], labels[len(sides[0]) :]


def rand_index(truth: Sequence[str], clusters: Sequence[str]) -> float:
    """The adjusted Rand index: 1 where clusters are the sources, 0 on average where they are drawn at random."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(truth, clusters))


if __name__ == "__main__":
    main()
