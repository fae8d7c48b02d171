"""Domains, the division of conversations, and what an actor writes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from frft.errors import DataError, UsageError
from frft.fixed_actor import PairsOfDomains
from frft.fixed_actor.own_prompts.division import DomainActor, divide_conversations


def test_a_domain_is_a_column_or_a_file(two_domains, pairs_of_domains):
    by_file = PairsOfDomains.of(two_domains, None)
    assert by_file.domains == pairs_of_domains.domains == two_domains["kind"].to_pylist()
    # The second turns of four conversations in each domain.
    assert len(set(pairs_of_domains.conversation_N.tolist())) == two_domains.num_rows - 8


@pytest.mark.parametrize(
    ("column", "values", "complaint"),
    [
        ("sort", None, r"no column sort \(--domain-column\)\. They have id, prompt"),
        ("sort", [None, "a", None], "2 of 3 pairs have no value in the column sort"),
        ("sort", ["a", "a", "a"], "All 3 pairs are of one domain, a. Give --pairs several files"),
    ],
)
def test_domains_that_cannot_be_told(two_domains, column, values, complaint):
    table = two_domains.slice(0, 3)
    if values is not None:
        table = table.append_column(column, pa.array(values))
    with pytest.raises(DataError, match=complaint):
        PairsOfDomains.of(table, column)


def test_an_actor_of_a_domain_that_is_not_there_or_too_small(pairs_of_domains):
    pairs_of_domains.check_actor("cooking", 4)
    with pytest.raises(UsageError, match=r"there are: cooking \(84 pairs\), computers \(84 pairs\)"):
        pairs_of_domains.check_actor("cocking", 4)
    with pytest.raises(DataError, match=r"80 conversations, which is too few for --folds 5, of at least 20 each"):
        pairs_of_domains.check_actor("cooking", 5)


@pytest.mark.parametrize("folds", [3, 4])
def test_every_pair_is_tested_once_and_no_conversation_has_two_uses(pairs_of_domains, folds):
    found = divide_conversations(pairs_of_domains, folds, seed=1)
    tested = np.concatenate([fold.tested for fold in found])
    assert sorted(tested.tolist()) == list(range(pairs_of_domains.table.num_rows))
    for fold in found:
        parts = (fold.pool, fold.sampled, fold.tested)
        assert sum(map(len, parts)) == pairs_of_domains.table.num_rows
        uses = Counter(number for part in parts for number in set(pairs_of_domains.conversation_N[part].tolist()))
        assert set(uses.values()) == {1}
        for part in (fold.sampled, fold.tested):
            of_domain = Counter(pairs_of_domains.domains[row] for row in part)
            # 80 conversations of each domain, dealt out evenly; four of them have two pairs.
            assert all(80 // folds <= count <= 80 // folds + 5 for count in of_domain.values())


def test_the_division_depends_on_the_seed_and_not_on_the_order(two_domains, pairs_of_domains):
    order = np.random.default_rng(0).permutation(two_domains.num_rows)
    other = PairsOfDomains.of(two_domains.take(order), "kind")

    def tested(pairs, seed):
        ids = pairs.table["id"].to_pylist()
        return [{ids[row] for row in fold.tested} for fold in divide_conversations(pairs, 4, seed)]

    assert tested(pairs_of_domains, 0) == tested(other, 0)
    assert tested(pairs_of_domains, 0) != tested(pairs_of_domains, 1)


def test_a_conversation_of_two_domains_is_not_divided(two_domains):
    shared = {**two_domains.slice(0, 1).to_pylist()[0], "id": "again", "kind": "computers"}
    pairs = PairsOfDomains.of(pa.Table.from_pylist([*two_domains.to_pylist(), shared]), "kind")
    for fold in divide_conversations(pairs, 4, seed=0):
        ids = {pairs.table["id"].to_pylist()[row] for row in fold.tested}
        assert ("again" in ids) == ("cooking-0-0" in ids)


@pytest.mark.parametrize(("weight", "own", "rest"), [(100, 42, 0), (50, 21, 21), (10, 4, 38)])
def test_a_mixture_is_written_in_its_proportions(pairs_of_domains, weight, own, rest):
    sampled = np.concatenate([np.arange(21), 84 + np.arange(21)])
    actor = DomainActor("cooking", weight)
    prompts, completions = actor.samples(pairs_of_domains, sampled, np.random.default_rng(0))
    rows = {
        (row["prompt"], row[side]): row["kind"]
        for row in pairs_of_domains.table.to_pylist()
        for side in ("chosen", "rejected")
    }
    found = Counter(rows[text] for text in zip(prompts, completions, strict=True))
    assert (found["cooking"], found["computers"]) == (own, rest)
    assert len(set(zip(prompts, completions, strict=True))) == own + rest


def test_a_mixture_is_as_large_as_the_other_domains_allow(pairs_of_domains):
    # 20 completions of cooking, 4 of computers: of a half-and-half mixture, 4 of each.
    sampled = np.concatenate([np.arange(20, 30), 84 + np.arange(20, 22)])
    prompts, _ = DomainActor("cooking", 50).samples(pairs_of_domains, sampled, np.random.default_rng(0))
    assert len(prompts) == 8


def test_shares_of_the_other_domains_are_as_in_the_data():
    shares = DomainActor("a", 40).shares({"a": 10, "b": 30, "c": 10})
    assert shares == pytest.approx({"a": 0.4, "b": 0.45, "c": 0.15})
    assert (DomainActor("a", 40).label, DomainActor("a").label) == ("40 % a", "a")
