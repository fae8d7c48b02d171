"""Representations of pairs in one small world."""

from __future__ import annotations

from benchmarks import pair_sources


def test_pair_space_finds_more_of_the_sources_than_single_texts_do(monkeypatch):
    monkeypatch.setitem(pair_sources.CENTRE, "pool_size", 1200)
    rows = {(row["name"], row["clusters"]): row for row in pair_sources.of_world(400, None, "TF-IDF")}
    assert len(rows) == 6
    alone, together = (
        rows[name, 6]["rand"] for name in ("TF-IDF, single texts", "TF-IDF, pair space (`source_clusters`)")
    )
    assert alone < 0.3 < together < 1
    found = pair_sources.summary([*rows.values()][:2])
    assert found["rand_low"] <= found["rand"] <= found["rand_high"]
    assert pair_sources.COLUMNS["adjusted Rand index"].format(**found).count("0.") == 3


def test_the_index_of_the_sources_themselves_is_1():
    assert pair_sources.rand_index(["a", "b", "a", "c"], ["x", "y", "x", "z"]) == 1
    assert pair_sources.rand_index(["a", "b", "a", "b"], ["x", "x", "y", "y"]) < 0
