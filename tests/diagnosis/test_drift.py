"""How well texts of two times can be told apart."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from frft.diagnosis import auc_by_prompt, measure_drift
from frft.errors import SelectionError
from frft.selection.density import EmbeddedCompletions

PROMPTS = [f"prompt {number}" for number in range(100)]


def written(shift, seed, prompts=PROMPTS, dimension=8):
    """Two texts to each prompt, whose vectors have a part of the prompt and one of their own, of unit length."""
    rng = np.random.default_rng(seed)
    of_prompt = np.random.default_rng(99).normal(size=(len(prompts), dimension))
    vectors = np.concatenate([of_prompt + rng.normal(size=of_prompt.shape) for _ in range(2)])
    vectors[:, 0] += shift
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return EmbeddedCompletions([*prompts, *prompts], [f"{seed} {row}" for row in range(len(vectors))], vectors)


def test_texts_that_have_moved_are_told_apart_and_others_are_not():
    still, moved = (measure_drift(written(0, 1), written(shift, 2), seed=0) for shift in (0, 2))
    assert still.low < 0.5 < still.high
    assert moved.low > 0.75
    assert still.n == moved.n == 100


def test_no_drift_is_rarely_taken_for_one():
    """The interval is one of known classifiers: how often does it claim a drift where there is none?"""
    claimed = [measure_drift(written(0, 2 * n), written(0, 2 * n + 1), seed=n).low > 0.5 for n in range(40)]
    assert sum(claimed) <= 4


def test_the_same_texts_have_not_moved():
    same = written(0, 1)
    assert measure_drift(same, same, seed=0).mean == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("share", [0.3, 0.9, 1.0])
def test_a_policy_that_writes_the_same_text_to_many_prompts_has_moved(share):
    before, now = written(0, 1), written(0, 2)
    rng = np.random.default_rng(3)
    same = rng.random(200) < share
    texts = ["the same" if is_same else text for is_same, text in zip(same, now.texts, strict=True)]
    vectors = np.where(same[:, None], now.vectors_ND[0], now.vectors_ND)
    found = measure_drift(before, EmbeddedCompletions(now.prompts, texts, vectors), seed=0)
    # The best that can be known: the same text is now's, any other one is anybody's.
    assert found.mean == pytest.approx(share + (1 - share) / 2, abs=0.08)
    assert 0.5 < found.low <= found.high <= 1


def test_too_few_prompts_are_refused():
    few = written(0, 1, PROMPTS[:3])
    with pytest.raises(SelectionError, match="at least 5"):
        measure_drift(few, few, seed=0)


def test_the_area_is_that_of_another_library_with_ties():
    rng = np.random.default_rng(0)
    scores, is_now = rng.integers(0, 6, 300).astype(float), rng.integers(0, 2, 300)
    found = auc_by_prompt(scores, is_now, [str(row) for row in range(300)])
    assert found.mean == pytest.approx(roc_auc_score(is_now, scores), abs=1e-12)


def test_the_interval_of_texts_without_prompts_in_common_is_delong_s():
    rng = np.random.default_rng(1)
    now, before = rng.normal(0.7, 1, 80), rng.normal(0, 1, 120)
    found = auc_by_prompt(np.r_[now, before], np.r_[np.ones(80, int), np.zeros(120, int)], [str(n) for n in range(200)])
    # DeLong, DeLong and Clarke-Pearson (1988), by all pairs.
    wins = (now[:, None] > before[None, :]).astype(float)
    error = np.sqrt(wins.mean(1).var(ddof=1) / 80 + wins.mean(0).var(ddof=1) / 120)
    half = (found.high - found.low) / 2 / stats.t.ppf(0.975, 199)
    assert half == pytest.approx(error, rel=0.01)


def test_the_interval_covers_where_texts_depend_by_prompt():
    """Two texts of one time to one prompt are alike; taken for independent, they make the interval too narrow."""
    rng = np.random.default_rng(2)
    prompts, is_now = [str(p) for _ in range(4) for p in range(60)], np.repeat([0, 0, 1, 1], 60)
    truth = stats.norm.cdf(1 / np.sqrt(2 * (4 + 1)))
    covered = alone = 0
    for _ in range(400):
        shared = 2 * rng.normal(size=(2, 60))
        scores = np.concatenate([shared[time] + time + rng.normal(size=60) for time in (0, 1) for _ in range(2)])
        found = auc_by_prompt(scores, is_now, prompts)
        naive = auc_by_prompt(scores, is_now, [str(row) for row in range(240)])
        covered += found.low <= truth <= found.high
        alone += naive.low <= truth <= naive.high
    assert 0.91 < covered / 400 < 0.98
    assert alone / 400 < 0.9
