"""The orders of a pool: by strategies and by controls."""

from __future__ import annotations

import numpy as np
import pytest

from frft.fixed_actor.own_prompts.division import DomainActor, divide_conversations
from frft.fixed_actor.own_prompts.rankings import CLUSTERS, OWN_DOMAIN, PoolRankings


@pytest.fixture(scope="module")
def rankings(pairs_of_domains, minilm_vectors):
    def make(weight):
        fold, actor = divide_conversations(pairs_of_domains, 4, seed=0)[0], DomainActor("cooking", weight)
        samples = actor.samples(pairs_of_domains, fold.sampled, np.random.default_rng(0))
        domains = [pairs_of_domains.domains[row] for row in fold.pool]
        shares = actor.shares({"cooking": 84, "computers": 84})
        pool = pairs_of_domains.table.take(fold.pool)
        return PoolRankings(pool, domains, shares, samples, minilm_vectors, seed=0), np.array(domains)

    return make


@pytest.mark.parametrize(
    ("strategy", "least"), [(OWN_DOMAIN, 1), (CLUSTERS, 0.9), ("density", 0.9), ("density_prompt", 0.9), ("part1", 0.7)]
)
def test_pairs_of_the_actors_domain_come_first(rankings, strategy, least):
    found, domains = rankings(100)
    rows = found.rows(strategy)
    assert sorted(rows.tolist()) == list(range(len(domains)))
    assert (domains[rows[:20]] == "cooking").mean() >= least
    assert 0.2 < (domains[found.rows("random")[:20]] == "cooking").mean() < 0.8


@pytest.mark.parametrize(("weight", "low", "high"), [(70, 0.6, 0.8), (30, 0.2, 0.4)])
def test_domains_and_clusters_keep_a_mixture(rankings, weight, low, high):
    found, domains = rankings(weight)
    assert (domains[found.rows(OWN_DOMAIN)[:20]] == "cooking").mean() == weight / 100
    assert low <= (domains[found.rows(CLUSTERS)[:30]] == "cooking").mean() <= high


def test_a_placebo_is_ranked_anew_only_by_what_reads_labels(rankings):
    found, _ = rankings(100)
    for strategy in ("density", OWN_DOMAIN, CLUSTERS, "random", "density_prompt"):
        assert found.rows(strategy, placebo=True) is found.rows(strategy)
    assert found.rows("part4", placebo=True).tolist() != found.rows("part4").tolist()
    shuffled = found.shuffled("density")
    exchanged = [
        one != two
        for one, two in zip(shuffled["chosen"].to_pylist(), found.shuffled("part4")["chosen"].to_pylist(), strict=True)
    ]
    assert 0.2 < np.mean(exchanged) < 0.8
