"""`select` by density ratio, by policy ratio, by source, and under the controls."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import spearmanr

from frft.config.sections import SelectionConfig
from frft.errors import SelectionError, UsageError
from frft.selection import LogRatios, select
from frft.selection.weights import effective_sample_size
from frft.strategies import get_strategy

from .test_filter import SAMPLES, check_counts, kept_ids, make_pool


@pytest.fixture(scope="module")
def policy_samples(hh_pool):
    """A policy that writes as the rejected completions of 80 pairs do, at four times their length."""
    rows = hh_pool.slice(0, 80).to_pylist()
    return [row["prompt"] for row in rows], [" ".join([row["rejected"]] * 4) for row in rows]


@pytest.fixture
def log_ratios():
    rng = np.random.default_rng(0)
    return LogRatios(rng.standard_normal(60), rng.standard_normal(60))


def test_density_ranks_by_the_pairs_ratio(hh_pool, policy_samples, hh_cache):
    config = SelectionConfig(strategy="density", size=40, test_size=10)
    selection = select(hh_pool, *policy_samples, config, hh_cache, seed=0)
    check_counts(selection, hh_pool)
    rows = selection.table.to_pylist()
    assert all(row["similarity_chosen"] is None and row["score"] is not None for row in rows)
    best = sorted(rows, key=lambda row: (-row["score"], row["id"]))
    assert kept_ids(selection) == [row["id"] for row in best[:50]]
    assert selection.metadata["density"]["auc"] > 0.7
    assert selection.counts["reasons"] == {"kept": 50, "ranked below the cut": hh_pool.num_rows - 50}
    length = {row["id"]: len(row["chosen"]) + len(row["rejected"]) for row in hh_pool.to_pylist()}
    kept = [length[id_] for id_ in kept_ids(selection)]
    assert np.mean(kept) > 1.15 * np.mean(list(length.values()))  # the policy writes long


def test_density_needs_no_common_prompt_and_no_order(hh_pool, policy_samples, hh_cache):
    config = SelectionConfig(strategy="density", size=40, test_size=10)
    reference = select(hh_pool, *policy_samples, config, hh_cache, seed=0)
    rng = np.random.default_rng(1)
    rows, order = rng.permutation(hh_pool.num_rows), rng.permutation(80)
    samples = [[column[row] for row in order] for column in policy_samples]
    again = select(hh_pool.take(rows), *samples, config, hh_cache, seed=0)
    assert again.table.equals(reference.table.take(rows))
    prompts = [f"elsewhere {row}" for row in range(80)]
    elsewhere = select(hh_pool, prompts, policy_samples[1], config, hh_cache, seed=0)
    assert spearmanr(elsewhere.table["score"], reference.table["score"]).statistic > 0.6


def test_density_without_enough_samples_advises_another_strategy(hh_pool, policy_samples, hh_cache):
    one = [column[:1] for column in policy_samples]
    with pytest.raises(SelectionError, match=r"on a single prompt; .* select by another strategy than density\.$"):
        select(hh_pool, *one, SelectionConfig(strategy="density"), hh_cache, seed=0)


def test_pairs_are_drawn_by_weight(hh_pool, policy_samples, hh_cache):
    config = SelectionConfig(strategy="density", take="sample", size=60, test_size=10)
    selection = select(hh_pool, *policy_samples, config, hh_cache, seed=0)
    check_counts(selection, hh_pool)
    counts, rows = selection.counts, selection.table.to_pylist()
    assert (counts["taken"], len(selection.train_ids), len(selection.test_ids)) == (70, 60, 10)
    assert set(counts["reasons"]) == {"kept", "not drawn"}
    assert max(row["copies"] for row in rows) > 2
    scores_N, weights = np.array([row["score"] for row in rows]), selection.metadata["weights"]
    assert weights["effective_sample_size"] == pytest.approx(effective_sample_size(weights["tau"] * scores_N))
    assert weights["effective_sample_size"] >= 60
    assert weights["tau"] == 1 or weights["effective_sample_size"] < 60.001
    kept = [row for row in rows if row["kept"]]
    assert [row["score"] for row in sorted(kept, key=lambda row: row["rank"])] == sorted(
        (row["score"] for row in kept), reverse=True
    )


def test_only_what_a_strategy_ranks_is_drawn(tiny_cache, monkeypatch):
    pool = make_pool(6)
    log_ratios = LogRatios(np.log([1.0, 1, 2, 2, 3, 3]), np.zeros(6))

    def lighter(pool):
        return np.flatnonzero(pool.log_ratios < 1)

    own = replace(get_strategy("policy_ratio"), rank=lighter, unqualified="too heavy")
    monkeypatch.setattr("frft.selection.filter.get_strategy", lambda name: own)
    config = SelectionConfig(strategy="policy_ratio", take="sample", size=3)
    selections = [select(pool, [], [], config, tiny_cache, seed=seed, log_ratios=log_ratios) for seed in range(20)]
    drawn = {id_ for selection in selections for id_ in selection.train_ids}
    assert drawn == set(pool["id"].to_pylist()[:4])
    assert all(selection.counts["reasons"]["too heavy"] == 2 for selection in selections)


def test_copies_are_in_proportion_to_the_weights(tiny_cache):
    pool = make_pool(6)
    log_ratios = LogRatios(np.log([1.0, 1, 2, 2, 3, 3]), np.zeros(6))
    config = SelectionConfig(strategy="policy_ratio", take="sample", size=5, test_size=0)
    total = Counter()
    for seed in range(1000):
        selection = select(pool, [], [], config, tiny_cache, seed=seed, log_ratios=log_ratios)
        total.update(selection.train_ids)
    assert selection.metadata["weights"]["tau"] == 1  # 12^2 / 28 > 5
    by_row = [total[id_] for id_ in pool["id"].to_pylist()]
    expected = [5000 * weight / 12 for weight in (1, 1, 2, 2, 3, 3)]
    assert sum((n - e) ** 2 / e for n, e in zip(by_row, expected, strict=True)) < 20.5  # chi-square, df 5, p = .001


def test_policy_ratio_ranks_by_the_sum(tiny_cache, tiny_embedder, log_ratios):
    pool = make_pool(60)
    config = SelectionConfig(strategy="policy_ratio", size=10, test_size=2)
    selection = select(pool, *SAMPLES, config, tiny_cache, seed=0, log_ratios=log_ratios)
    check_counts(selection, pool)
    total_N = log_ratios.chosen_N + log_ratios.rejected_N
    assert selection.table["score"].to_pylist() == pytest.approx(total_N.tolist())
    best = np.argsort(-total_N)[:12]
    assert kept_ids(selection) == pool["id"].take(best).to_pylist()
    assert tiny_embedder.encoded == []
    assert selection.metadata["embedder"] is None
    rows = np.random.default_rng(0).permutation(60)
    moved = LogRatios(log_ratios.chosen_N[rows], log_ratios.rejected_N[rows])
    again = select(pool.take(rows), *SAMPLES, config, tiny_cache, seed=0, log_ratios=moved)
    assert again.table.equals(selection.table.take(rows))


@pytest.mark.parametrize(
    ("strategy", "given", "message"),
    [
        ("policy_ratio", False, "ranks by log_ratios"),
        ("random", True, "the strategy random does not read them"),
        ("none", False, "selects no pairs"),
        ("none", True, "selects no pairs"),
    ],
)
def test_log_ratios_where_they_belong(tiny_cache, log_ratios, strategy, given, message):
    config = SelectionConfig(strategy=strategy, size=5)
    with pytest.raises(UsageError, match=message):
        select(make_pool(60), *SAMPLES, config, tiny_cache, seed=0, log_ratios=log_ratios if given else None)


def test_log_ratios_of_another_pool(tiny_cache, log_ratios):
    config = SelectionConfig(strategy="policy_ratio", size=5)
    with pytest.raises(SelectionError, match="log ratios of 60 pairs, but 10 pairs"):
        select(make_pool(10), *SAMPLES, config, tiny_cache, seed=0, log_ratios=log_ratios)


def test_more_effective_pairs_than_pairs(tiny_cache, log_ratios):
    config = SelectionConfig(strategy="policy_ratio", take="sample", size=61)
    with pytest.raises(SelectionError, match="sample size of 61 cannot be drawn from 60 pairs"):
        select(make_pool(60), *SAMPLES, config, tiny_cache, seed=0, log_ratios=log_ratios)


def with_sources(pool, chosen, rejected):
    return pool.append_column("chosen_source", pa.array(chosen)).append_column("rejected_source", pa.array(rejected))


def test_source_keeps_pairs_of_one_source_in_random_order(tiny_cache, tiny_embedder):
    pool = with_sources(make_pool(60), [f"s{n % 3}" for n in range(60)], [f"s{n % 2}" for n in range(60)])
    config = SelectionConfig(strategy="source", source="s1", size=4, test_size=1)
    selection = select(pool, [], [], config, tiny_cache, seed=0)
    check_counts(selection, pool)
    both = {pool["id"][n].as_py() for n in range(60) if n % 3 == n % 2 == 1}
    assert set(kept_ids(selection)) < both
    assert selection.counts["reasons"] == {"kept": 5, "ranked below the cut": 5, "from another source": 50}
    assert tiny_embedder.encoded == []
    assert kept_ids(select(pool, [], [], config, tiny_cache, seed=1)) != kept_ids(selection)
    shuffled = config.model_copy(update={"shuffle_labels": True})
    assert set(kept_ids(select(pool, [], [], shuffled, tiny_cache, seed=0))) < both


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        (
            make_pool(6),
            "no column 'chosen_source', which the strategy source reads. It has id, prompt, chosen, rejected",
        ),
        (
            with_sources(make_pool(6), [*"aabbbc"], [*"aabbbd"]),
            r"No pair has both completions from 'z'.*both from 'b' \(3 pairs\), 'a' \(2 pairs\)\.",
        ),
        (with_sources(make_pool(6), [*"aaaaaa"], [*"bbbbbb"]), "The pool has both from no source at all"),
        (with_sources(make_pool(6), [None] * 6, [None] * 6), "The pool has both from no source at all"),
    ],
)
def test_a_source_that_is_not_there(tiny_cache, pool, message):
    with pytest.raises(SelectionError, match=message):
        select(pool, [], [], SelectionConfig(strategy="source", source="z"), tiny_cache, seed=0)


@pytest.mark.parametrize("match", ["prompt", "nearest"])
def test_shuffled_embeddings_are_the_same_numbers_and_say_nothing(hh_pool, hh_samples, hh_cache, match):
    config = SelectionConfig(strategy="part4", match=match, size=40, test_size=0)
    shuffled = config.model_copy(update={"shuffle_embeddings": True})
    clear, blind = (
        select(hh_pool, *hh_samples, each, hh_cache, seed=0).table.to_pandas() for each in (config, shuffled)
    )
    columns = ["similarity_chosen", "similarity_rejected"]
    assert blind[columns].isna().equals(clear[columns].isna())
    numbers = [sorted(map(tuple, table[columns].dropna().to_numpy().tolist())) for table in (clear, blind)]
    assert numbers[0] == numbers[1]
    known = clear[columns[0]].notna()
    assert abs(spearmanr(clear[columns[0]][known], blind[columns[0]][known]).statistic) < 0.2
    other = select(hh_pool, *hh_samples, shuffled, hh_cache, seed=1).table.to_pandas()
    assert not other[columns[0]].equals(blind[columns[0]])


def test_shuffled_density_says_nothing_either(hh_pool, policy_samples, hh_cache):
    config = SelectionConfig(strategy="density", size=40, test_size=0)
    clear = select(hh_pool, *policy_samples, config, hh_cache, seed=0).table["score"].to_numpy()
    config = config.model_copy(update={"shuffle_embeddings": True})
    blind = select(hh_pool, *policy_samples, config, hh_cache, seed=0).table["score"].to_numpy()
    assert np.array_equal(np.sort(clear), np.sort(blind))
    assert abs(spearmanr(clear, blind).statistic) < 0.2


@pytest.mark.parametrize("strategy", ["part4", "density"])
def test_the_noisier_the_embedder_the_less_it_finds(hh_pool, policy_samples, hh_cache, strategy):
    column = "similarity_chosen" if strategy == "part4" else "score"
    config = SelectionConfig(strategy=strategy, match="nearest", size=40, test_size=0)
    clear = select(hh_pool, *policy_samples, config, hh_cache, seed=0).table.to_pandas()[column]
    agreement = []
    for noise in (0.03, 1.0, 10.0):
        noisy = config.model_copy(update={"noise": noise})
        found = select(hh_pool, *policy_samples, noisy, hh_cache, seed=0).table.to_pandas()[column]
        known = clear.notna()
        agreement.append(spearmanr(clear[known], found[known]).statistic)
    assert agreement == sorted(agreement, reverse=True)
    assert agreement[0] > 0.9
    if strategy == "part4":
        assert agreement[2] < 0.4  # lengths stay what they are, and density sees them


def test_the_placebo_shows_the_selection_shortcut(hh_pool, hh_cache):
    """METHOD section 1: with labels that say nothing, part4's chosen is the more policy-like one, part3's is not."""
    rng = np.random.default_rng(0)
    rows = hh_pool.to_pylist()
    words = [row["chosen" if rng.random() < 0.5 else "rejected"].split() for row in rows]
    samples = [row["prompt"] for row in rows], [" ".join(text[: 1 + len(text) // 2]) for text in words]
    more_like_it = {}
    for strategy in ("part4", "part3", "part1"):
        above = total = 0
        for seed in range(5):
            config = SelectionConfig(strategy=strategy, threshold=-1, size=30, test_size=0, shuffle_labels=True)
            rows = select(hh_pool, *samples, config, hh_cache, seed=seed).table.to_pylist()
            kept = [row for row in rows if row["kept"] and row["similarity_chosen"] != row["similarity_rejected"]]
            above += sum(row["similarity_chosen"] > row["similarity_rejected"] for row in kept)
            total += len(kept)
        more_like_it[strategy] = above / total
    assert more_like_it["part4"] > 0.8
    assert more_like_it["part3"] < 0.2
    assert 0.35 < more_like_it["part1"] < 0.65


def test_pairs_are_selected_by_a_column_of_the_pool(tiny_cache, tiny_embedder):
    pool = make_pool(30).append_column("domain", pa.array([f"d{n % 3}" for n in range(30)]))
    config = SelectionConfig(strategy="column", column="domain", value="d1", size=4)
    selection = select(pool, [], [], config, tiny_cache, seed=0)
    assert set(kept_ids(selection)) < {pool["id"][n].as_py() for n in range(1, 30, 3)}
    assert selection.counts["reasons"] == {"kept": 4, "ranked below the cut": 6, "another value": 20}
    assert tiny_embedder.encoded == []
    with pytest.raises(SelectionError, match="no column 'domain', which the strategy column reads"):
        select(make_pool(6), [], [], config, tiny_cache, seed=0)
