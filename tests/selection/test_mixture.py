"""Selections that keep the policy's mixture of prompts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frft.config.sections import RefreshConfig, SelectionConfig
from frft.errors import SelectionError, SettingsError
from frft.selection import select
from frft.selection.mixture import PromptClusters, proportional_order

TOPICS = {
    "cooking": ["Which herbs go with roast lamb", "How long do I boil potatoes", "A recipe for onion soup, please"],
    "computers": ["How do I sort a list in Python", "Why does my laptop overheat", "What is a hash table"],
}


@given(
    counts=st.lists(st.integers(5, 40), min_size=1, max_size=4),
    parts=st.lists(st.integers(0, 5), min_size=4, max_size=4),
    seed=st.integers(0, 99),
)
def test_every_beginning_has_the_proportions(counts, parts, seed):
    groups = [group for group, count in enumerate(counts) for _ in range(count)]
    shares = {group: part for group, part in enumerate(parts[: len(counts)]) if part}
    total = sum(shares.values())
    groups = [groups[row] for row in np.random.default_rng(seed).permutation(len(groups))]
    order = proportional_order(groups, {group: part / total for group, part in shares.items()})
    assert sorted(order.tolist()) == list(range(len(groups)))
    # Until a group is used up, its number among the first n is its share of n, up to rounding.
    reach = min((int(counts[group] * total / part) for group, part in shares.items()), default=0)
    for n in range(1, reach + 1):
        taken = [groups[row] for row in order[:n]]
        for group, part in shares.items():
            assert abs(taken.count(group) - n * part / total) <= len(shares)
    # The order within a group stays.
    for group in set(groups):
        places = [row for row in order.tolist() if groups[row] == group]
        assert places == sorted(places)
    # Groups without a share come after all others.
    last = [groups[row] in shares for row in order]
    assert last == sorted(last, reverse=True)


def _texts(topic, count):
    """Prompts of a topic that differ, each in other words at the end."""
    return [f"{TOPICS[topic][n % 3]}, number {n}?" for n in range(count)]


@pytest.fixture(scope="module")
def pool():
    """60 pairs about cooking, whose completions are all alike but for a number, and 60 about computers."""
    prompts = [*_texts("cooking", 60), *_texts("computers", 60)]
    return pa.table(
        {
            "id": [f"{n:03}" for n in range(120)],
            "prompt": prompts,
            "chosen": [f"Here is answer {n}." for n in range(120)],
            "rejected": [f"No answer {n}." for n in range(120)],
        }
    )


def _share_of_cooking(selection):
    return np.mean([int(id_) < 60 for id_ in selection.train_ids])


@pytest.mark.parametrize("strategy", ["random", "part4", "density_prompt"])
def test_kept_pairs_have_the_mixture_of_the_samples(strategy, pool, hh_cache):
    asked = [*_texts("cooking", 30), *_texts("computers", 10)]
    config = SelectionConfig(strategy=strategy, size=40, match="nearest", clusters=2)
    found = select(pool, asked, ["Here is answer 1."] * 40, config, hh_cache, 0)
    assert _share_of_cooking(found) == pytest.approx(0.75, abs=0.026)
    assert found.metadata["mixture_distance"] == pytest.approx(abs(_share_of_cooking(found) - 0.75))
    assert found.metadata["embedder"] == hh_cache.embedder.digest
    # Without clusters the strategy's order alone decides, and nothing is said of a mixture.
    plain = select(pool, asked, ["Here is answer 1."] * 40, config.model_copy(update={"clusters": None}), hh_cache, 0)
    assert plain.metadata["mixture_distance"] is None
    assert plain.train_ids != found.train_ids


def test_within_a_cluster_the_order_is_that_of_the_strategy(pool, hh_cache):
    asked = [*_texts("cooking", 30), *_texts("computers", 10)]
    given = (pool, asked, ["Here is answer 1."] * 40)
    config = SelectionConfig(strategy="density_prompt", size=120)
    plain = select(*given, config, hh_cache, 0).train_ids
    mixed = select(*given, config.model_copy(update={"clusters": 2}), hh_cache, 0).train_ids
    for of_topic in (lambda id_: int(id_) < 60, lambda id_: int(id_) >= 60):
        assert [id_ for id_ in plain if of_topic(id_)] == [id_ for id_ in mixed if of_topic(id_)]


def test_a_cluster_of_the_samples_alone_counts_as_missing(hh_cache):
    clusters = PromptClusters(_texts("cooking", 12), _texts("computers", 12), 2, hh_cache, 0)
    assert sum(clusters.shares.values()) == pytest.approx(1)
    assert clusters.distance(np.arange(12)) == pytest.approx(1)


def test_samples_without_text_have_no_mixture(pool, hh_cache):
    config = SelectionConfig(strategy="random", size=40, clusters=2)
    with pytest.raises(SelectionError, match="mixture of prompts"):
        select(pool, ["a prompt"], [" "], config, hh_cache, 0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"strategy": "all"}, "all chooses none"),
        ({"strategy": "density", "take": "sample"}, "leave out clusters"),
        ({"clusters": 1}, "must be above 1"),
    ],
)
def test_settings_that_clusters_cannot_go_with(settings, said):
    with pytest.raises(SettingsError, match=said):
        SelectionConfig(**{"clusters": 3, **settings})


def test_newer_settings_at_their_default_are_no_part_of_the_identity():
    assert "clusters" not in SelectionConfig().identity()
    assert RefreshConfig(selection=SelectionConfig(clusters=3)).identity()["selection"]["clusters"] == 3
    # All that is left is what it was before.
    newer = {"selection": SelectionConfig.newer, **dict.fromkeys(RefreshConfig.newer, True)}
    assert RefreshConfig().identity() == RefreshConfig().model_dump(mode="json", exclude=newer)
