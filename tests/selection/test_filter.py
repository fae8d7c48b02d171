"""`select` against the filters written out naively, on real pairs with real embeddings and on ties."""

import math
import random

import numpy as np
import pyarrow as pa
import pytest

from frft.config.sections import SelectionConfig
from frft.errors import SelectionError
from frft.selection import VectorCache, select
from frft.strategies import Strategy


def cosine(a, b) -> float:
    dot = math.fsum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(math.fsum(x * x for x in a) * math.fsum(y * y for y in b))


def brute_similarities(pool, samples, cache, match):
    """(id, similarity of chosen, of rejected), row by row; None where the prompt has no sample."""
    texts = {t.strip() for t in [*pool["chosen"].to_pylist(), *pool["rejected"].to_pylist(), *samples[1]]}
    texts = sorted(texts)
    vector = dict(zip(texts, cache.get(texts).astype(float).tolist(), strict=True))
    known: dict[tuple[str, str], float] = {}

    def similarity(prompt, text):
        best = None
        for sample_prompt, sample in zip(*samples, strict=True):
            if match == "nearest" or sample_prompt == prompt:
                key = (text.strip(), sample.strip())
                if key not in known:
                    known[key] = cosine(vector[key[0]], vector[key[1]])
                best = known[key] if best is None else max(best, known[key])
        return best

    return [
        (row["id"], similarity(row["prompt"], row["chosen"]), similarity(row["prompt"], row["rejected"]))
        for row in pool.to_pylist()
    ]


def brute_ids(similarities, strategy, threshold, size, duplicates="once"):
    """Ids in the order in which the strategy takes them."""
    rows = sorted((id_, c, r) for id_, c, r in similarities if c is not None)
    by_chosen = [id_ for id_, c, r in sorted(rows, key=lambda row: (-row[1], row[0]))]
    by_rejected = [id_ for id_, c, r in sorted(rows, key=lambda row: (-row[2], row[0]))]
    if strategy == "part1":
        passing = [row for row in rows if row[1] > threshold and row[2] > threshold]
        return [row[0] for row in sorted(passing, key=lambda row: (-(row[1] + row[2]), row[0]))][:size]
    if strategy == "either":
        passing = [row for row in rows if row[1] >= threshold or row[2] >= threshold]
        return [row[0] for row in sorted(passing, key=lambda row: (-max(row[1:]), row[0]))][:size]
    if strategy == "part3":
        return by_rejected[:size]
    if strategy == "part4":
        return by_chosen[:size]
    taken = []
    for chosen, rejected in zip(by_chosen, by_rejected, strict=True):
        for id_ in (chosen, rejected):
            if len(taken) < size and (duplicates == "twice" or id_ not in taken):
                taken.append(id_)
    return taken


def kept_ids(selection):
    rows = sorted((row["rank"], row["id"]) for row in selection.table.to_pylist() if row["kept"])
    assert [rank for rank, _ in rows] == list(range(1, len(rows) + 1))
    return [id_ for _, id_ in rows]


def check_counts(selection, pool):
    rows, counts = selection.table.to_pylist(), selection.counts
    assert selection.table["id"].to_pylist() == pool["id"].to_pylist()
    assert counts["pool_rows"] == len(rows) == sum(counts["reasons"].values())
    assert counts["kept"] == counts["train"] + counts["test"] == counts["reasons"]["kept"]
    assert counts["kept"] == sum(row["kept"] for row in rows)
    assert counts["with_similarity"] == sum(row["similarity_chosen"] is not None for row in rows)
    assert counts["taken"] == sum(row["copies"] for row in rows) <= counts["wanted"]
    left = [counts["reasons"].get(reason, 0) for reason in ("ranked below the cut", "not drawn")]
    assert counts["qualifying"] == counts["kept"] + sum(left)
    assert len(selection.train_ids) + len(selection.test_ids) == counts["taken"]
    assert not set(selection.train_ids) & set(selection.test_ids)
    for row in rows:
        assert (row["similarity_chosen"] is None) == (row["similarity_rejected"] is None)
        assert row["kept"] == (row["reason"] == "kept") == (row["split"] is not None) == (row["rank"] is not None)
        assert row["kept"] == (row["copies"] > 0)


@pytest.fixture(scope="module")
def brute_real(hh_pool, hh_samples, hh_cache):
    return {match: brute_similarities(hh_pool, hh_samples, hh_cache, match) for match in ("prompt", "nearest")}


@pytest.mark.parametrize("match", ["prompt", "nearest"])
@pytest.mark.parametrize(
    ("strategy", "threshold", "duplicates"),
    [
        ("part1", 0.3, "once"),
        ("part1", 0.5, "once"),
        ("part2", 0.8, "once"),
        ("part2", 0.8, "twice"),
        ("part3", 0.8, "once"),
        ("part4", 0.8, "once"),
        ("either", 0.6, "once"),
    ],
)
def test_equals_brute_force_on_real_pairs(
    hh_pool, hh_samples, hh_cache, brute_real, match, strategy, threshold, duplicates
):
    config = SelectionConfig(
        strategy=strategy, threshold=threshold, size=50, test_size=7, match=match, duplicates=duplicates
    )
    selection = select(hh_pool, *hh_samples, config, hh_cache, seed=4)
    for row, (id_, c, r) in zip(selection.table.to_pylist(), brute_real[match], strict=True):
        assert row["id"] == id_
        assert row["similarity_chosen"] == (None if c is None else pytest.approx(c, abs=1e-14))
        assert row["similarity_rejected"] == (None if r is None else pytest.approx(r, abs=1e-14))
    expected = brute_ids(brute_real[match], strategy, threshold, 57, duplicates)
    assert kept_ids(selection) == list(dict.fromkeys(expected))
    copies = {row["id"]: row["copies"] for row in selection.table.to_pylist() if row["kept"]}
    assert copies == {id_: expected.count(id_) for id_ in expected}
    check_counts(selection, hh_pool)
    if len(expected) == 57:
        assert (len(selection.train_ids), len(selection.test_ids)) == (50, 7)
    reasons = selection.counts["reasons"]
    without = sum(c is None for _, c, _ in brute_real[match])
    assert reasons.get("no sample of its prompt", 0) == without
    assert without == 0 if match == "nearest" else without > 0
    assert selection.counts["samples_of_pool_prompts"] == len(hh_samples[0]) - 1


def test_row_order_changes_nothing(hh_pool, hh_samples, hh_cache):
    for strategy in ("part1", "part2", "random"):
        config = SelectionConfig(strategy=strategy, threshold=0.3, size=40, test_size=10)
        reference = select(hh_pool, *hh_samples, config, hh_cache, seed=9)
        chance = random.Random(strategy)
        rows, order = list(range(hh_pool.num_rows)), list(range(len(hh_samples[0])))
        chance.shuffle(rows)
        chance.shuffle(order)
        samples = [[column[n] for n in order] for column in hh_samples]
        shuffled = select(hh_pool.take(rows), *samples, config, hh_cache, seed=9)
        assert shuffled.table.equals(reference.table.take(rows))
        assert shuffled.metadata == reference.metadata
        assert shuffled.train_ids == reference.train_ids


def make_pool(n, *, same=1):
    """n pairs; texts repeat every n / same rows, so that rows tie."""
    texts = [f"an answer about {'very ' * (k % 4)}number {k}" for k in range(max(n // same, 1))]
    return pa.table(
        {
            "id": [f"id-{(k * 7) % n:03d}" for k in range(n)],
            "prompt": [f"prompt {k % 5}" for k in range(n)],
            "chosen": [texts[k % len(texts)] for k in range(n)],
            "rejected": [texts[(k + 1) % len(texts)] for k in range(n)],
        }
    )


SAMPLES = (["prompt 0", "prompt 1", "prompt 3"], ["an answer", "about very very", "an answer about number 3"])


@pytest.mark.parametrize("strategy", ["part1", "part2", "part3", "part4", "either"])
@pytest.mark.parametrize("duplicates", ["once", "twice"])
@pytest.mark.parametrize("size", [1, 8, 9, 100])
def test_equals_brute_force_on_ties(tiny_cache, strategy, duplicates, size):
    pool = make_pool(60, same=6)
    similarities = brute_similarities(pool, SAMPLES, tiny_cache, "prompt")
    assert len({c for _, c, _ in similarities}) < 20
    threshold = sorted(r for _, _, r in similarities if r is not None)[10]
    config = SelectionConfig(strategy=strategy, threshold=threshold, size=size, test_size=2, duplicates=duplicates)
    selection = select(pool, *SAMPLES, config, tiny_cache, seed=0)
    expected = brute_ids(similarities, strategy, threshold, size + 2, duplicates)
    assert kept_ids(selection) == list(dict.fromkeys(expected))
    assert selection.counts["taken"] == len(expected)
    check_counts(selection, pool)


@pytest.mark.parametrize(("strategy", "kept"), [("random", 25), ("all", 60)])
def test_random_and_all_compute_no_similarities(tiny_cache, tiny_embedder, strategy, kept):
    pool = make_pool(60)
    selection = select(pool, [], [], SelectionConfig(strategy=strategy, size=20, test_size=5), tiny_cache, seed=0)
    assert tiny_embedder.encoded == []
    assert selection.metadata["embedder"] is None
    assert selection.table["similarity_chosen"].null_count == 60
    assert selection.counts["kept"] == kept
    assert len(selection.test_ids) == 5
    check_counts(selection, pool)


@pytest.mark.parametrize("strategy", ["part1", "part2", "part3", "part4"])
def test_without_a_test_size_the_best_are_trained_on(hh_pool, hh_samples, hh_cache, brute_real, strategy):
    config = SelectionConfig(strategy=strategy, threshold=0.3, size=30)
    selection = select(hh_pool, *hh_samples, config, hh_cache, seed=4)
    assert selection.train_ids == brute_ids(brute_real["prompt"], strategy, 0.3, 30)
    assert selection.test_ids == []
    assert (selection.counts["wanted"], selection.metadata["test_size"]) == (30, 0)
    asked = select(hh_pool, *hh_samples, config.model_copy(update={"test_size": 0}), hh_cache, seed=4)
    assert asked.table.equals(selection.table)


def test_seed_decides_split_and_draw(tiny_cache):
    pool, config = make_pool(60), SelectionConfig(strategy="random", size=20, test_size=5)
    draws = [select(pool, [], [], config, tiny_cache, seed=seed) for seed in (1, 1, 2)]
    assert draws[0].table.equals(draws[1].table)
    assert kept_ids(draws[0]) != kept_ids(draws[2])
    config = SelectionConfig(strategy="part4", size=20, test_size=5)
    splits = [select(pool, *SAMPLES, config, tiny_cache, seed=seed) for seed in (1, 2)]
    assert kept_ids(splits[0]) == kept_ids(splits[1])
    assert splits[0].test_ids != splits[1].test_ids


def test_every_kept_row_is_as_likely_to_test(tiny_cache):
    pool, config = make_pool(10), SelectionConfig(strategy="all", size=7, test_size=3)
    tests = [id_ for seed in range(400) for id_ in select(pool, [], [], config, tiny_cache, seed=seed).test_ids]
    for id_ in pool["id"].to_pylist():
        assert 80 <= tests.count(id_) <= 160


@pytest.mark.parametrize(
    ("rows", "size", "test_size", "train", "test"),
    [
        (60, 2000, 200, 55, 5),
        (60, 30, 30, 30, 30),
        (1, 1, 1, 1, 0),
        (2, 1, 200, 1, 1),
        (60, 10, 0, 60, 0),
        (60, 50, 10, 50, 10),
    ],
)
def test_fewer_rows_than_wanted_are_split_in_proportion(tiny_cache, rows, size, test_size, train, test):
    config = SelectionConfig(strategy="all", size=size, test_size=test_size)
    counts = select(make_pool(rows), [], [], config, tiny_cache, seed=0).counts
    assert (counts["train"], counts["test"]) == (train, test)
    assert counts["wanted"] == rows


def test_a_row_that_is_taken_twice_takes_two_places_of_the_test(tiny_cache):
    config = SelectionConfig(strategy="part2", duplicates="twice", size=12, test_size=3)
    doubles = set()
    for seed in range(20):
        selection = select(make_pool(60), *SAMPLES, config, tiny_cache, seed=seed)
        assert len(selection.train_ids) >= 12
        assert len(selection.test_ids) == 15 - len(selection.train_ids)
        doubles.add(len(selection.test_ids) - len(set(selection.test_ids)))
    assert doubles >= {0, 1}  # with and without a pair that is there twice


def test_too_few_qualify(tiny_cache):
    config = SelectionConfig(strategy="part4", size=2000, test_size=200)
    selection = select(make_pool(60), *SAMPLES, config, tiny_cache, seed=0)
    assert selection.counts["wanted"] == 2200
    assert selection.counts["taken"] == selection.counts["kept"] == 36
    assert (selection.counts["train"], selection.counts["test"]) == (33, 3)


def test_completions_are_embedded_stripped_and_prompts_matched_stripped(tiny_cache, tiny_embedder):
    pool = pa.table(
        {
            "id": ["a", "b"],
            "prompt": ["p: ", "q"],
            "chosen": [" yes\n", "no"],
            "rejected": ["never", "\tmaybe "],
        }
    )
    config = SelectionConfig(strategy="part4", size=1, test_size=0)
    selection = select(pool, ["p:", "elsewhere"], ["yes ", "unused"], config, tiny_cache, seed=0)
    assert sorted(tiny_embedder.encoded) == ["never", "yes"]
    assert selection.table["similarity_chosen"].to_pylist() == [1.0, None]
    assert selection.counts["samples"] == 2
    assert selection.counts["samples_of_pool_prompts"] == 1


def test_empty_samples_and_truncated_texts_are_counted(tiny_cache, tmp_path):
    long = "and on and on it goes " * 20
    pool = pa.table({"id": ["a", "b"], "prompt": ["p", "p"], "chosen": ["x", long], "rejected": [long + "!", "y"]})
    config = SelectionConfig(strategy="part4", size=1, test_size=0)
    for cache in (tiny_cache, VectorCache(tmp_path / "vectors", tiny_cache.embedder)):
        counts = select(pool, ["p", "p"], [" ", "z"], config, cache, seed=0).counts
        assert (counts["samples"], counts["samples_empty"]) == (2, 1)
        assert counts["truncated"] == {"chosen": 1, "rejected": 1, "samples": 0}


@pytest.mark.parametrize(("strategy", "pick"), [("part1", min), ("either", max)])
def test_nothing_qualifies(tiny_cache, strategy, pick):
    pool = make_pool(60)
    samples = (SAMPLES[0], ["zebra", "Red!", "\x00\x01"])
    values = sorted(pick(c, r) for _, c, r in brute_similarities(pool, samples, tiny_cache, "prompt") if c is not None)
    config = SelectionConfig(strategy=strategy, threshold=1.0, size=5, test_size=1)
    with pytest.raises(SelectionError) as caught:
        select(pool, *samples, config, tiny_cache, seed=0)
    message = str(caught.value)
    assert "none of the 36 pairs" in message
    assert f"between {values[0]:.4f} and {values[-1]:.4f}" in message
    advised = float(message.partition("With a threshold of ")[2].split()[0])
    eased = select(pool, *samples, config.model_copy(update={"threshold": advised}), tiny_cache, seed=0)
    assert eased.counts["taken"] == eased.counts["wanted"] == 6
    assert values[-6] - 2e-4 <= advised < values[-6]


def test_no_sample_has_a_prompt_of_the_pool(tiny_cache):
    config = SelectionConfig(strategy="part1", size=5)
    with pytest.raises(SelectionError, match=r"None of the 1 policy samples .*match: nearest \(--match nearest\)"):
        select(make_pool(6), ["elsewhere"], ["text"], config, tiny_cache, seed=0)


@pytest.mark.parametrize(
    ("change", "samples", "message"),
    [
        (lambda pool: pool.slice(0, 0), SAMPLES, "no pairs"),
        (lambda pool: pool.drop_columns(["chosen"]), SAMPLES, "column 'chosen'"),
        (lambda pool: pool.set_column(0, "id", pa.array(["a"] * 5 + [None])), SAMPLES, "'id' without nulls"),
        (
            lambda pool: pool.set_column(0, "id", pa.array(["a", "b", "a", "c", "d", "a"])),
            SAMPLES,
            "2 are repeated",
        ),
        (lambda pool: pool, ([], []), r"no policy sample with text .*0 given"),
        (lambda pool: pool, (["prompt 0", "q"], ["", " \n"]), r"no policy sample with text .*2 given"),
        (lambda pool: pool, (["p"], []), "1 sample prompts but 0"),
    ],
)
def test_what_cannot_be_selected_from(tiny_cache, change, samples, message):
    with pytest.raises(SelectionError, match=message):
        select(change(make_pool(6)), *samples, SelectionConfig(strategy="part1"), tiny_cache, seed=0)


def with_rank(monkeypatch, rank, **traits):
    """`part4` under another rank function and traits, as a package's own strategy would be."""
    own = Strategy(name="part4", description="", rank=rank, **traits)
    for module in ("frft.selection.filter", "frft.config.sections.refresh"):
        monkeypatch.setattr(f"{module}.get_strategy", lambda name: own)


@pytest.mark.parametrize(
    ("rank", "message"),
    [
        (
            lambda pool: [0, 10],
            r"numbers from 0 to 9 in one dimension, but returned int64 of shape \(2,\) from 0 to 10",
        ),
        (lambda pool: [-1], "returned int64 of shape .* from -1 to -1"),
        (lambda pool: [0.5], "returned float64"),
        (lambda pool: [True] * 10, "returned bool"),
        (lambda pool: [[0, 1]], r"of shape \(1, 2\)"),
        (lambda pool: [], "No pair qualifies for part4; the reason for all 10: too dull"),
    ],
)
def test_a_strategy_that_ranks_no_rows_is_named(tiny_cache, monkeypatch, rank, message):
    with_rank(monkeypatch, rank, unqualified="too dull")
    with pytest.raises(SelectionError, match=message):
        select(make_pool(10), [], [], SelectionConfig(strategy="part4", size=2), tiny_cache, seed=0)


def test_a_strategy_reads_the_columns_that_it_names_in_the_order_of_ids(tiny_cache, monkeypatch):
    pool = make_pool(10).append_column("quality", pa.array([5, 9, 1, 7, 3, 8, 0, 2, 6, 4]))
    pool = pool.take([3, 1, 2, 0, 9, 8, 7, 6, 5, 4])
    with_rank(monkeypatch, lambda pool: np.argsort(pool.columns["quality"])[:4], columns=("quality",))
    selection = select(pool, [], [], SelectionConfig(strategy="part4", size=3), tiny_cache, seed=0)
    quality = dict(zip(pool["id"].to_pylist(), pool["quality"].to_pylist(), strict=True))
    assert [quality[id_] for id_ in selection.train_ids] == [0, 1, 2]
    assert selection.counts["reasons"] == {"does not qualify": 6, "kept": 3, "ranked below the cut": 1}
    with pytest.raises(SelectionError, match="no column 'quality', which the strategy part4 reads"):
        select(pool.drop_columns(["quality"]), [], [], SelectionConfig(strategy="part4"), tiny_cache, seed=0)


def test_metadata_says_how_it_was_made(tiny_cache):
    config = SelectionConfig(strategy="part3", threshold=0.25, size=4, test_size=1, match="nearest")
    metadata = select(make_pool(10), *SAMPLES, config, tiny_cache, seed=11).metadata
    assert {key: value for key, value in metadata.items() if key != "counts"} == {
        "format": "frft selection 2",
        **config.model_dump(),
        "seed": 11,
        "embedder": tiny_cache.embedder.digest,
        "density": None,
        "weights": None,
        "nearest_source": None,
        "mixture_distance": None,
    }
    assert all(
        isinstance(np.asarray(value).item(), int)
        for value in metadata["counts"].values()
        if not isinstance(value, dict)
    )
