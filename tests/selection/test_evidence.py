"""Density ratios of prompts, and of prompts and completions together."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from frft.config.sections import SelectionConfig
from frft.errors import SelectionError
from frft.progress import SILENT
from frft.selection import select
from frft.selection.evidence import tell_apart
from frft.statistics.numbers import Floats

from .test_filter import check_counts, kept_ids

TOPICS = ["bread", "stars"]
ASKED = ["How do I start with", "Tell me all about", "What is odd about", "Who likes", "Why is there"]


@pytest.fixture(scope="module")
def pool() -> pa.Table:
    """60 pairs on two topics, with the same completions for both: only the prompts tell them apart."""
    rows = [
        {
            "id": f"{topic}-{n}",
            "prompt": f"\n\nHuman: {ASKED[n % 5]} {topic}, case {n}?\n\nAssistant:",
            "chosen": f" Gladly, number {n}.",
            "rejected": f" No to {n}!",
        }
        for n in range(30)
        for topic in TOPICS
    ]
    return pa.Table.from_pylist(rows)


@pytest.fixture(scope="module")
def samples() -> tuple[list[str], list[str]]:
    """A policy that is asked about bread alone, and writes as the pool does."""
    asked = [f"\n\nHuman: {ASKED[n % 5]} bread, time {n}?\n\nAssistant:" for n in range(30)]
    return asked, [f" Gladly, number {n + 100}." for n in range(30)]


def share_of_bread(selection) -> float:
    return float(np.mean([id_.startswith("bread") for id_ in kept_ids(selection)]))


@pytest.mark.parametrize(("strategy", "least"), [("density_prompt", 1.0), ("density_joint", 0.9)])
def test_prompts_tell_what_completions_cannot(strategy, least, pool, samples, hh_cache):
    shares = {}
    for name in ("density", strategy):
        selection = select(pool, *samples, SelectionConfig(strategy=name, size=20), hh_cache, seed=0)
        check_counts(selection, pool)
        shares[name] = share_of_bread(selection)
    assert shares[strategy] >= least
    assert abs(shares["density"] - 0.5) < 0.2
    assert selection.metadata["density"]["auc"] > 0.7
    assert selection.counts["truncated"]["prompts"] == 0


def test_by_prompts_no_completion_is_read(pool, samples, hh_cache):
    config = SelectionConfig(strategy="density_prompt", size=20)
    reference = select(pool, *samples, config, hh_cache, seed=0)
    other = [f"Else {n}" for n in range(len(samples[1]))]
    assert select(pool, samples[0], other, config, hh_cache, seed=0).table.equals(reference.table)


def test_the_pairs_of_a_prompt_have_one_ratio_of_prompts_and_two_of_both(pool, samples, hh_cache):
    rows = [*pool.to_pylist(), {**pool.slice(0, 1).to_pylist()[0], "id": "again", "chosen": " Never!"}]
    table = pa.Table.from_pylist(rows)
    for strategy, same in (("density_prompt", True), ("density_joint", False)):
        selection = select(table, *samples, SelectionConfig(strategy=strategy, size=20), hh_cache, seed=0)
        scores = dict(zip(selection.table["id"].to_pylist(), selection.table["score"].to_pylist(), strict=True))
        assert (scores["again"] == scores["bread-0"]) is same


def test_the_order_of_rows_changes_nothing(pool, samples, hh_cache):
    config = SelectionConfig(strategy="density_joint", size=20)
    reference = select(pool, *samples, config, hh_cache, seed=0)
    order = np.random.default_rng(0).permutation(pool.num_rows)
    again = select(pool.take(order), *[each[::-1] for each in samples], config, hh_cache, seed=0)
    # Sums of the optimiser may differ in the last bits with the order of samples.
    assert kept_ids(again) == kept_ids(reference)


def test_the_turns_of_a_conversation_are_held_out_together(pool, samples, hh_cache):
    """Later turns repeat the first: with them in the training set, a prompt would be known as the pool's."""
    turns = [
        {**row, "id": f"{row['id']}-{turn}", "prompt": row["prompt"] + f" Sure.\n\nHuman: {turn}?\n\nAssistant:" * turn}
        for row in pool.slice(0, 8).to_pylist()
        for turn in range(3)
    ]
    texts = {name: [row[name].strip() for row in turns] for name in ("prompt", "chosen", "rejected")}
    asked = {"prompt": [each.strip() for each in samples[0]], "completion": [each.strip() for each in samples[1]]}
    config = SelectionConfig(strategy="density_prompt")

    def ratios(pairs: dict[str, list[str]]) -> Floats:
        return tell_apart(pairs, asked, config, "prompt density ratio", hh_cache, 0, SILENT).values_3N[2]

    # Eight conversations can be divided into five folds, four cannot, however many turns they have.
    assert np.isfinite(ratios(texts)).all()
    with pytest.raises(SelectionError, match="on 4 different prompts"):
        ratios({name: each[:12] for name, each in texts.items()})


def test_ratios_of_both_are_no_weights():
    with pytest.raises(ValueError, match="which density_joint has none of"):
        SelectionConfig(strategy="density_joint", take="sample")
    assert SelectionConfig(strategy="density_prompt", take="sample").take == "sample"
