"""Standard errors and intervals: against other libraries, by hand, and by how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from frft.errors import DataError
from frft.statistics.intervals import share_interval, standard_error, wilson

DATA_SETS = 1000


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (3, 7), (0, 40), (40, 40), (190, 300)])
def test_wilsons_is_scipys(successes, n):
    theirs = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert wilson(successes, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert 0 <= wilson(successes, n)[0] < wilson(successes, n)[1] <= 1


def test_half_a_success_is_between_none_and_one():
    assert wilson(2.5, 9) == (wilson(2, 9)[0], wilson(3, 9)[1])
    assert wilson(9 * (1 / 3), 9) == wilson(3.0000000001, 9) == wilson(3, 9)


def test_outcomes_of_their_own_cluster_are_independent():
    values = [0.0, 1.0, 1.0, 0.5, 1.0]
    assert share_interval(values) == share_interval(values, list("abcde")) == wilson(3.5, 5)
    assert standard_error(values, list("abcde")) == pytest.approx(stats.sem(values))
    assert standard_error(values) == pytest.approx(stats.sem(values))


def test_clusters_by_hand():
    # p = 4/6; sums less p times sizes: 2 - 2 = 0, 2 - 4/3 = 2/3, 0 - 2/3 = -2/3; 3/2 * (8/9) / 36 = 1/27.
    values, clusters = [1, 0, 1, 1, 1, 0], ["a", "a", "a", "b", "b", "c"]
    assert standard_error(values, clusters) == pytest.approx((1 / 27) ** 0.5)
    # Two ninths over 1/27: six outcomes are worth six; t with 2 degrees of freedom has its 97.5 % point at 4.302653.
    p, n, t2 = 2 / 3, 6, 4.302653**2
    roots = np.roots([1 + t2 / n, -(2 * p + t2 / n), p * p])  # (p - x)^2 = t^2 x (1 - x) / n
    assert share_interval(values, clusters) == pytest.approx(sorted(roots), abs=1e-6)


def test_copies_of_an_outcome_say_nothing_new():
    rng = np.random.default_rng(0)
    once = (rng.random(60) < 0.7).astype(float)
    many, clusters = np.repeat(once, 5), np.repeat(np.arange(60), 5)
    assert standard_error(many, clusters.tolist()) == pytest.approx(stats.sem(once))
    low, high = share_interval(many, clusters.tolist())
    assert (low, high) == pytest.approx(wilson(once.sum(), 60), abs=0.01)
    assert high - low > 2 * (wilson(many.sum(), 300)[1] - wilson(many.sum(), 300)[0])


def test_clusters_never_make_an_interval_narrower():
    """Where outcomes of a cluster differ more than by chance, they are worth no more than independent ones."""
    values, clusters = [0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0], [1, 1, 2, 2, 3, 3, 3]
    low, high = share_interval(values, clusters)
    assert low < wilson(4, 7)[0] < wilson(4, 7)[1] < high


def test_clusters_that_all_agree_count_once_each():
    assert share_interval([1.0] * 6, [1, 1, 2, 2, 3, 3]) == wilson(3, 3)
    assert share_interval([0.0] * 6, [1, 1, 2, 2, 3, 3]) == wilson(0, 3)
    assert share_interval([0.0, 1.0] * 3, [1, 1, 2, 2, 3, 3]) == wilson(1.5, 3)


def test_one_cluster_says_next_to_nothing():
    assert standard_error([0.0, 1.0, 1.0], ["a"] * 3) is None
    assert standard_error([0.3]) is None
    assert share_interval([0.0, 1.0, 1.0], ["a"] * 3) == (0.0, 1.0)
    assert share_interval([1.0, 1.0], ["a"] * 2) == wilson(1, 1)


@pytest.mark.parametrize("question", [share_interval, standard_error])
def test_every_outcome_has_a_cluster(question):
    with pytest.raises(DataError, match="3 outcomes but 2 cluster labels"):
        question([0.0, 1.0, 1.0], ["a", "b"])


SHAPES = {
    "few": (25, (1.2, 0.8), 8),
    "as a world has": (131, (1.2, 0.8), 8),
    "hardly alike": (80, (6.0, 4.0), 8),
    "far from one half": (100, (9.5, 0.5), 8),
    "few and far from one half": (30, (19.0, 1.0), 8),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_95_percent_interval_holds_the_truth_in_93_to_97_percent(shape):
    """Clusters of one to eight pairs whose accuracy is the cluster's own; for independent ones it is too narrow."""
    groups, (a, b), most = SHAPES[shape]
    rng, truth = np.random.default_rng(1), a / (a + b)
    held, held_as_if_independent = 0, 0
    for _ in range(DATA_SETS):
        accuracy_G = rng.beta(a, b, size=groups)
        of_N = np.repeat(np.arange(groups), rng.integers(1, most + 1, size=groups))
        right_N = (rng.random(len(of_N)) < accuracy_G[of_N]).astype(float)
        low, high = share_interval(right_N, of_N.tolist())
        held += low <= truth <= high
        low, high = share_interval(right_N)
        held_as_if_independent += low <= truth <= high
    assert 0.93 <= held / DATA_SETS <= 0.97
    if (a, b) == (1.2, 0.8):
        assert held_as_if_independent / DATA_SETS < 0.90
