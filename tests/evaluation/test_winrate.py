"""Win rates against counting by hand, and against AlpacaEval's published ones."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

from frft.errors import DataError
from frft.evaluation import Comparison, compare, rate_of, win_rate


class LongerIsBetter:
    def prefer(self, prompts, first, second):
        return [0.5 if len(a) == len(b) else float(len(a) > len(b)) for a, b in zip(first, second, strict=True)]


class FirstIsBetter:
    def prefer(self, prompts, first, second):
        return [1.0] * len(prompts)


class SpeechlessAbout:
    """Longer is better, but there is no verdict where the first completion is this one."""

    def __init__(self, text):
        self.text = text

    def prefer(self, prompts, first, second):
        verdicts = LongerIsBetter().prefer(prompts, first, second)
        return [None if a == self.text else verdict for a, verdict in zip(first, verdicts, strict=True)]


def test_wins_ties_and_losses_are_counted_and_ties_are_half():
    result = win_rate(LongerIsBetter(), list("pqrs"), ["aaa", "b", "cc", "dddd"], ["a", "bbb", "cc", "d"])
    assert (result.wins, result.ties, result.losses, result.flips) == (2, 1, 1, 0)
    assert (result.n, result.pairs, result.unjudged) == (4, 4, 0)
    assert result.rate == pytest.approx((1 + 0 + 0.5 + 1) / 4)


def test_a_judge_that_only_sees_the_order_finds_nothing_but_ties():
    result = win_rate(FirstIsBetter(), [str(n) for n in range(10)], ["a"] * 10, ["b"] * 10)
    assert result.rate == 0.5
    assert result.ties == result.flips == 10


def test_swapping_the_sides_mirrors_everything():
    own, other = ["a" * n for n in range(20)], ["a" * (n * 7 % 20) for n in range(20)]
    prompts = [str(n) for n in range(20)]
    one = win_rate(LongerIsBetter(), prompts, own, other)
    two = win_rate(LongerIsBetter(), prompts, other, own)
    assert (one.wins, one.losses, one.rate) == (two.losses, two.wins, pytest.approx(1 - two.rate))
    assert one.p_value == pytest.approx(two.p_value)


def test_a_prompt_counts_once_however_many_samples_it_has():
    result = win_rate(LongerIsBetter(), ["p", "p", "p", "q"], ["aa", "aa", "a", "a"], ["a", "a", "aa", "aa"])
    assert (result.n, result.pairs) == (2, 4)
    assert result.rate == pytest.approx((2 / 3 + 0) / 2)
    assert (result.wins, result.losses) == (1, 1)


def test_the_interval_is_over_prompts_and_not_over_their_samples():
    wins = [3, 2, 3, 1, 2, 3, 0, 2]  # of three samples of each prompt
    prompts = [str(n) for n in range(len(wins)) for _ in range(3)]
    own = ["aa" if sample < won else "a" for won in wins for sample in range(3)]
    other = ["a" if text == "aa" else "aa" for text in own]
    result = win_rate(LongerIsBetter(), prompts, own, other)
    x = np.array(wins) / 3
    assert result.interval == pytest.approx(stats.t.interval(0.95, 7, x.mean(), x.std(ddof=1) / np.sqrt(8)))
    assert result.p_value == pytest.approx(stats.ttest_1samp(x, 0.5).pvalue)
    assert result.sd == pytest.approx(x.std(ddof=1))


def test_a_missing_verdict_is_counted_and_never_guessed():
    result = win_rate(SpeechlessAbout("x"), list("pqrs"), ["x", "bb", "x", "d"], ["yy", "b", "y", "dd"])
    assert (result.n, result.pairs, result.unjudged) == (2, 2, 2)
    assert result.rate == 0.5
    # One order alone is no verdict: here the second would have had one.
    other = compare(SpeechlessAbout("b"), ["p", "q"], ["aa", "cc"], ["b", "c"])
    assert other.preferences == [None, 1.0]
    # A prompt keeps the pairs that have one.
    kept = win_rate(SpeechlessAbout("x"), ["p", "p"], ["x", "aa"], ["y", "a"])
    assert (kept.n, kept.pairs, kept.unjudged, kept.rate) == (1, 1, 1, 1.0)


def test_no_verdict_at_all_is_an_error():
    with pytest.raises(DataError, match=r"None of 2 pairs has a verdict.* annotations must hold"):
        win_rate(SpeechlessAbout("x"), ["p", "q"], ["x", "x"], ["y", "y"])


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan")])
def test_a_preference_that_is_none_is_an_error(value):
    with pytest.raises(DataError, match="outside 0"):
        rate_of(Comparison(["p", "q"], [0.5, value]))
    with pytest.raises(DataError, match="2 prompts but 1 preferences"):
        Comparison(["p", "q"], [0.5])


def test_the_prompts_that_would_settle_it():
    assert rate_of(Comparison(range(100), [1.0] * 80 + [0.0] * 20)).n_to_settle is None
    undecided = rate_of(Comparison(range(20), [1.0] * 12 + [0.0] * 8))
    # For d = 0.1 / 0.5026, by the normal approximation and Guenther's (1981) correction of it.
    size = 0.1 / np.std([1.0] * 12 + [0.0] * 8, ddof=1)
    z = stats.norm.ppf(0.975)
    assert undecided.n_to_settle == pytest.approx(((z + stats.norm.ppf(0.8)) / size) ** 2 + z * z / 2, abs=1)
    assert rate_of(Comparison(range(20), [1.0, 0.0] * 10)).n_to_settle is None


@pytest.mark.parametrize("sizes", [(0, 0, 0), (2, 2, 1), (2, 1, 2)])
def test_sides_of_unequal_length_are_an_error(sizes):
    with pytest.raises(DataError, match="one completion of each side"):
        win_rate(LongerIsBetter(), *(["x"] * size for size in sizes))


def test_alpaca_evals_published_win_rates(shared_data):
    folder = shared_data / "alpaca-eval"
    rows = pq.read_table(folder / "annotations.parquet").to_pylist()
    published = json.loads((folder / "published.json").read_text())
    by_model = {}
    for row in rows:
        by_model.setdefault(row["model"], []).append(row)
    assert by_model.keys() == published.keys()
    for model, own in by_model.items():
        found = rate_of(Comparison([row["prompt_id"] for row in own], [row["preference"] for row in own]))
        assert 100 * found.rate == pytest.approx(published[model]["win_rate"], abs=1e-6)
        assert 100 * found.sd / found.n**0.5 == pytest.approx(published[model]["standard_error"], abs=1e-6)
