"""Which source of the pool writes like the policy."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from frft.config.sections import SelectionConfig, WorldConfig
from frft.errors import SelectionError
from frft.selection import select
from frft.selection.sources import MOST_TEXTS, _drawn, nearest_source
from frft.worlds import World

DIALS = {"categories": 6, "pool_size": 900, "demonstrations": 300}


def made(**dials):
    """A world's pool, texts of its policy at the start, and the name of its source."""
    world = World(WorldConfig(**DIALS, **dials))
    start = world.demonstrations(0, 200)
    near = world.sources.names[world.config.near_policy]
    return world.pairs(0, 900), start["prompt"].to_pylist(), start["completion"].to_pylist(), near


def named(pool, samples, **options):
    texts = [*pool["chosen"].to_pylist(), *pool["rejected"].to_pylist()]
    sources = [*pool["chosen_source"].to_pylist(), *pool["rejected_source"].to_pylist()]
    return nearest_source(pool["prompt"].to_pylist() * 2, texts, sources, samples, 0, **options)


@pytest.mark.parametrize("near_policy", [0, 3])
def test_the_source_of_a_policy_is_named_and_taken_whole(near_policy, tiny_cache):
    pool, prompts, written, near = made(near_policy=near_policy)
    config = SelectionConfig(strategy="near_source", size=60)
    found = select(pool, prompts, written, config, tiny_cache, 0)
    kept = set(found.train_ids)
    rows = [row for row in pool.to_pylist() if row["id"] in kept]
    assert len(rows) == 60
    assert {(row["chosen_source"], row["rejected_source"]) for row in rows} == {(near, near)}
    evidence = found.metadata["nearest_source"]
    assert (evidence["name"], evidence["outside"], evidence["samples"]) == (near, False, 200)
    assert sum(evidence["shares"].values()) == pytest.approx(1)
    # A policy that is the source has the share that the source's own held-out texts have, up to sampling.
    assert evidence["shares"][near] == pytest.approx(evidence["recalls"][near], abs=0.15)
    assert found.metadata["embedder"] is None


def test_a_policy_in_a_style_of_no_source_is_outside():
    pool, _, written, _ = made(drift=1.0)
    assert named(pool, written).outside


def test_whether_the_policy_still_writes_like_its_source():
    pool, prompts, written, near = made()
    elsewhere = made(near_policy=3)[2]
    config = SelectionConfig(strategy="near_source", size=60)
    found = select(pool, prompts, elsewhere, config, None, 0, start=(prompts, written)).metadata["nearest_source"]
    # The source is that of the start, and the present texts are another's.
    assert found["name"] == near
    assert found["share_now"] < 0.3 < found["shares"][near]


def test_sources_with_few_texts_are_no_candidates_and_are_counted():
    pool, _, written, _ = made()
    texts, sources = ["a", "b"] * 40, ["many"] * 40 + ["also"] * 30 + ["few"] * 8 + [None] * 2
    found = nearest_source([f"p{n}" for n in range(80)], texts, sources, written, 0)
    assert found.left_out == {"few": 8}
    assert (set(found.shares), found.texts) == ({"many", "also"}, 70)
    with pytest.raises(SelectionError, match=r"1 sources with at least 30 texts, of 2 in all"):
        nearest_source([f"p{n}" for n in range(48)], texts[:48], ["many"] * 40 + ["few"] * 8, written, 0)
    with pytest.raises(SelectionError, match=r"no text of the policy before its training .*1 given"):
        named(pool, [" "])


def test_few_samples_are_not_enough_to_be_outside():
    texts = [f"{word} {n}" for n in range(40) for word in ("red", "green", "blue")]
    prompts, sources = [f"p{n}" for n in range(40) for _ in range(3)], ["r", "g", "b"] * 40
    one_each = ["red", "green", "blue"]
    few, many = (nearest_source(prompts, texts, sources, one_each * times, 0) for times in (1, 20))
    # A third is below one half in both, which of three samples may be luck.
    assert few.shares == many.shares
    assert min(few.recalls.values()) == 1
    assert (few.outside, many.outside) == (False, True)


def test_texts_on_one_conversation_are_held_out_together():
    # A conversation's own word tells its source, and nothing else does.
    rows = [(f"p{n}", f"word{n}", "ab"[n % 2]) for _ in range(4) for n in range(40)]
    prompts, texts, sources = zip(*rows, strict=True)
    found = nearest_source(prompts, texts, sources, ["word3"], 0)
    assert np.mean(list(found.recalls.values())) < 0.7
    assert found.name == "b"


def test_of_too_many_texts_each_source_gives_as_many():
    sources = ["large"] * MOST_TEXTS + ["small"] * 50
    rows = _drawn(sources, {"large": MOST_TEXTS, "small": 50}, np.random.default_rng(0))
    assert (sum(row < MOST_TEXTS for row in rows), len(rows)) == (MOST_TEXTS // 2, MOST_TEXTS // 2 + 50)


def test_a_pool_without_sources_is_refused(tiny_cache):
    pool = pa.table({name: ["x", "y"] for name in ("id", "prompt", "chosen", "rejected")})
    with pytest.raises(SelectionError, match=r"no column 'chosen_source', which the strategy near_source reads"):
        select(pool, ["p"], ["text"], SelectionConfig(strategy="near_source"), tiny_cache, 0)
