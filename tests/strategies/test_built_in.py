"""The strategies against sorting written out in plain Python, on similarities full of ties and gaps."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frft.errors import SelectionError
from frft.strategies import BUILT_IN, Candidates, get_strategy

NAN = math.nan
level = st.integers(-4, 4).map(lambda tenths: tenths / 4)
pairs = st.lists(st.one_of(st.tuples(level, level), st.just((NAN, NAN))), min_size=1, max_size=40)


def candidates(pool, seed=0, **given):
    chosen, rejected = np.array(pool, dtype=float).reshape(-1, 2).T
    nothing = {"log_ratios": np.full(len(chosen), NAN), "rng": np.random.default_rng(seed)}
    return Candidates(similarity_chosen=chosen, similarity_rejected=rejected, **(nothing | given))


def ranking(name, pool, threshold=0.0, duplicates="once", seed=0):
    given = candidates(pool, seed, threshold=threshold, duplicates=duplicates)
    return get_strategy(name).rank(given).tolist()


def brute(pool, score, qualifies=lambda c, r: True):
    """Rows by falling score, ties by row; insertion by hand, no sort."""
    ranked = []
    for row, (c, r) in enumerate(pool):
        if c != c or not qualifies(c, r):
            continue
        place = 0
        while place < len(ranked) and score(*pool[ranked[place]]) >= score(c, r):
            place += 1
        ranked.insert(place, row)
    return ranked


@given(pairs, level)
def test_part1_and_either(pool, threshold):
    part1 = brute(pool, lambda c, r: c + r, lambda c, r: c > threshold and r > threshold)
    either = brute(pool, max, lambda c, r: c >= threshold or r >= threshold)
    assert ranking("part1", pool, threshold) == part1
    assert ranking("either", pool, threshold) == either


def test_part1_exceeds_and_either_reaches_the_threshold():
    pool = [(0.8, 0.9), (0.8000001, 0.9), (0.8, 0.1), (0.79, 0.79)]
    assert ranking("part1", pool, 0.8) == [1]
    assert ranking("either", pool, 0.8) == [0, 1, 2]


@given(pairs)
def test_part3_and_part4(pool):
    assert ranking("part3", pool) == brute(pool, lambda c, r: r)
    assert ranking("part4", pool) == brute(pool, lambda c, r: c)


@given(pairs, st.integers(1, 50))
def test_part2_twice_is_the_top_halves_with_repeats(pool, size):
    by_chosen, by_rejected = brute(pool, lambda c, r: c), brute(pool, lambda c, r: r)
    halves = by_chosen[: math.ceil(size / 2)] + by_rejected[: size // 2]
    assert Counter(ranking("part2", pool, duplicates="twice")[:size]) == Counter(halves)


@given(pairs, st.integers(1, 50))
def test_part2_once_fills_the_lists_up_from_further_down(pool, size):
    by_chosen, by_rejected = brute(pool, lambda c, r: c), brute(pool, lambda c, r: r)
    # Take the union of the top halves; while places are left, go one further down, chosen first.
    kept = list(dict.fromkeys(by_chosen[: math.ceil(size / 2)] + by_rejected[: size // 2]))
    depth_chosen, depth_rejected = math.ceil(size / 2), size // 2
    while len(kept) < size and depth_rejected < len(by_rejected):
        if depth_chosen <= depth_rejected:
            next_row, depth_chosen = by_chosen[depth_chosen], depth_chosen + 1
        else:
            next_row, depth_rejected = by_rejected[depth_rejected], depth_rejected + 1
        if next_row not in kept:
            kept.append(next_row)
    found = ranking("part2", pool)[:size]
    assert len(set(found)) == len(found)
    assert set(found) == set(kept)


def test_part2_by_hand():
    #        chosen: 0 1 2 3, rejected: 0 3 2 1
    pool = [(0.9, 0.9), (0.8, 0.1), (0.7, 0.2), (0.6, 0.3), (NAN, NAN)]
    assert ranking("part2", pool) == [0, 1, 3, 2]
    assert ranking("part2", pool, duplicates="twice") == [0, 0, 1, 3, 2, 2, 3, 1]


@given(pairs, st.integers(0, 1000))
def test_random_and_all_take_every_row(pool, seed):
    assert sorted(ranking("random", pool, seed=seed)) == list(range(len(pool)))
    assert ranking("random", pool, seed=seed) == ranking("random", pool, seed=seed)
    assert ranking("all", pool) == list(range(len(pool)))


def test_random_is_uniform():
    first = Counter(ranking("random", [(NAN, NAN)] * 5, seed=seed)[0] for seed in range(2000))
    expected = 400
    assert sum((first[row] - expected) ** 2 / expected for row in range(5)) < 18.5  # chi-square, df 4, p = .001


@pytest.mark.parametrize("name", [each.name for each in BUILT_IN if each.reads == "cosines"])
def test_rows_without_a_sample_never_qualify(name):
    assert ranking(name, [(NAN, NAN), (0.5, 0.5), (NAN, NAN)], threshold=-1) in ([1], [1, 1])
    assert ranking(name, [(NAN, NAN)] * 3, threshold=-1) == []


@pytest.mark.parametrize("name", [each.name for each in BUILT_IN if each.has_ratios])
@given(scores=st.lists(st.one_of(level, st.just(NAN)), min_size=1, max_size=30))
def test_best_by_the_log_ratio(name, scores):
    pool = candidates([(NAN, NAN)] * len(scores), log_ratios=np.array(scores))
    assert get_strategy(name).rank(pool).tolist() == brute([(score, score) for score in scores], lambda c, r: c)


def test_pairs_of_a_source_come_in_random_order():
    columns = {"chosen_source": ["a", "a", "a", "a", None], "rejected_source": ["a", "b", "a", "a", None]}

    def ranked(seed, source="a"):
        pool = candidates([(NAN, NAN)] * 5, seed, columns=columns, source=source)
        return get_strategy("source").rank(pool).tolist()

    orders = Counter(tuple(ranked(seed)) for seed in range(1200))
    assert {tuple(sorted(order)) for order in orders} == {(0, 2, 3)}
    assert len(orders) == 6
    assert sum((count - 200) ** 2 / 200 for count in orders.values()) < 20.5  # chi-square, df 5, p = .001
    with pytest.raises(SelectionError, match=r"both completions from 'b'\. The pool has both from 'a' \(3 pairs\)"):
        ranked(0, "b")


def test_pairs_with_one_value_in_a_column_come_in_random_order():
    columns = {"domain": ["a", "b", "a", None, "a", "b"], "grade": [3, 3, None, 3, 1, 1]}

    def ranked(seed, column="domain", value="a"):
        pool = candidates([(NAN, NAN)] * 6, seed, columns={column: columns[column]}, column=column, value=value)
        return get_strategy("column").rank(pool).tolist()

    orders = Counter(tuple(ranked(seed)) for seed in range(1200))
    assert {tuple(sorted(order)) for order in orders} == {(0, 2, 4)}
    assert sum((count - 200) ** 2 / 200 for count in orders.values()) < 20.5  # chi-square, df 5, p = .001
    assert sorted(ranked(0, "grade", "3")) == [0, 1, 3]
    with pytest.raises(
        SelectionError, match=r"'domain' says 'c' of no pair\. It says 'a' \(3 pairs\), 'b' \(2 pairs\)\."
    ):
        ranked(0, "domain", "c")
