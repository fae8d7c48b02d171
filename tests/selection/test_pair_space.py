"""Sources of a pool that does not name them: clusters of pairs by what their two completions have in common."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from frft.config.sections import SelectionConfig, WorldConfig
from frft.errors import SelectionError
from frft.selection import select
from frft.selection.pair_space import pair_clusters, shared_directions
from frft.worlds import World

PAIRS = 1500


@pytest.fixture(scope="module")
def world():
    return World(WorldConfig(seed=3, categories=6, pool_size=PAIRS, demonstrations=300))


@pytest.fixture(scope="module")
def pool(world):
    return world.pairs(0, PAIRS)


def clusters_of(pool, *sides, seed=0):
    return pair_clusters(*(pool[side].to_pylist() for side in sides), 6, seed)


def test_the_directions_are_those_in_which_groups_differ():
    """By the covariance between groups, in data whose texts vary the most where groups do not differ."""
    rng = np.random.default_rng(0)
    group_N = rng.integers(3, size=20000)
    means_GD = np.zeros((3, 12))
    means_GD[:, 2], means_GD[:, 7] = (-1, 0, 1), (1, -2, 1)
    spread_D = np.where(np.arange(12) >= 8, 3.0, 0.5)
    sides = [means_GD[group_N] + spread_D * rng.standard_normal((20000, 12)) for _ in range(2)]
    points_NS = shared_directions(*sides, most=2)
    # Equal to a projection on the two coordinates in which the groups' means differ, up to a rotation of both.
    expected_N2 = (sides[0] + sides[1])[:, [2, 7]] / 2
    expected_N2 -= expected_N2.mean(axis=0)
    distances = [np.linalg.norm(each[:200, None] - each[None, :200], axis=-1) for each in (points_NS, expected_N2)]
    assert np.corrcoef(distances[0].ravel(), distances[1].ravel())[0, 1] > 0.99
    by = {
        name: adjusted_rand_score(group_N, KMeans(3, n_init=2, random_state=0).fit_predict(each))
        for name, each in {"shared": points_NS, "mean": (sides[0] + sides[1]) / 2}.items()
    }
    assert by["shared"] > 0.9
    assert by["mean"] < 0.1
    # Which side is which does not matter.
    assert np.allclose(shared_directions(*sides[::-1], most=2) ** 2, points_NS**2)


def test_sides_that_share_nothing_have_no_direction_for_lack_of_one():
    rng = np.random.default_rng(1)
    sides = rng.standard_normal((2, 500, 4))
    sides[1, :, 0] = -sides[0, :, 0]
    assert 0 < shared_directions(*sides).shape[1] < 4
    assert shared_directions(sides[0], -sides[0]).shape == (500, 0)


def test_clusters_of_pairs_are_the_sources_of_a_world(pool):
    found = clusters_of(pool, "chosen", "rejected")
    assert set(found) == {f"cluster {number}" for number in range(1, 7)}
    truth = pool["chosen_source"].to_pylist()
    assert adjusted_rand_score(truth, found) > 0.5
    assert clusters_of(pool, "chosen", "rejected") == found
    # Which completion was chosen does not matter.
    assert adjusted_rand_score(found, clusters_of(pool, "rejected", "chosen")) > 0.95
    # Rejected completions of other pairs: nothing that two sides have in common, and nothing to find.
    shuffled = pool["rejected"].to_pylist()[1:] + pool["rejected"].to_pylist()[:1]
    alone = pair_clusters(pool["chosen"].to_pylist(), shuffled, 6, 0)
    assert adjusted_rand_score(truth, alone) < 0.2


def test_the_cluster_nearest_to_the_start_is_taken_whole(world, pool, tiny_cache):
    start = world.demonstrations(0, 200)
    given = start["prompt"].to_pylist(), start["completion"].to_pylist()
    config = SelectionConfig(strategy="near_source", size=100, source_clusters=6)
    nameless = pool.drop_columns(["chosen_source", "rejected_source"])
    found = select(nameless, *given, config, tiny_cache, 0)
    named = found.metadata["nearest_source"]
    labels = dict(zip(pool["id"].to_pylist(), clusters_of(pool, "chosen", "rejected"), strict=True))
    assert {labels[id_] for id_ in found.train_ids} == {named["name"]}
    assert found.counts["qualifying"] == sum(label == named["name"] for label in labels.values())
    assert set(named["shares"]) == set(labels.values())
    assert (named["outside"], found.metadata["embedder"], found.metadata["source_clusters"]) == (False, None, 6)
    source = dict(zip(pool["id"].to_pylist(), pool["chosen_source"].to_pylist(), strict=True))
    near = world.sources.names[world.config.near_policy]
    assert np.mean([source[id_] == near for id_ in found.train_ids]) > 0.7
    # The pool's own columns are not looked at where the clusters are asked for.
    assert select(pool, *given, config, tiny_cache, 0).train_ids == found.train_ids


@pytest.mark.parametrize("texts", [["Yes, of course."] * 40, [f"word{n}" for n in range(40)]])
def test_pairs_that_are_too_much_alike_are_refused(texts):
    with pytest.raises(SelectionError, match=r"40 pairs of the pool cannot be put into 3 clusters: .*source_clusters"):
        pair_clusters(texts, texts, 3, 0)
