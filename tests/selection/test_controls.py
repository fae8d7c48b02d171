"""The controls: what they take away is gone, and what they must leave is left."""

import numpy as np
import pyarrow as pa
import pytest

from frft.selection import with_exchanged_labels, with_shuffled_labels
from frft.selection.controls import with_noise


def make_pool(n):
    return pa.table(
        {
            "id": [f"id-{(k * 7) % n:04d}" for k in range(n)],
            "prompt": ["p"] * n,
            "chosen": [f"c{k}" for k in range(n)],
            "rejected": [f"r{k}" for k in range(n)],
            "chosen_source": [f"cs{k}" for k in range(n)],
            "rejected_source": [f"rs{k}" for k in range(n)],
            "score_chosen": pa.array([float(k) for k in range(n)]),
            "score_rejected": pa.array([-1.0 - k for k in range(n)]),
            "chosen_note": ["left"] * n,
            "rejected_note": pa.array([1] * n),
            "margin": [0.5] * n,
        }
    )


def test_a_coin_exchanges_a_pair_with_all_that_tells_of_it():
    pool = make_pool(1001)
    shuffled = with_shuffled_labels(pool, seed=5)
    assert shuffled.schema.names == pool.schema.names
    exchanged = 0
    for before, after in zip(pool.to_pylist(), shuffled.to_pylist(), strict=True):
        swapped = dict(before)
        for one, two in (
            ("chosen", "rejected"),
            ("chosen_source", "rejected_source"),
            ("score_chosen", "score_rejected"),
        ):
            swapped[one], swapped[two] = before[two], before[one]
        assert after in (before, swapped)
        exchanged += after == swapped
    assert 440 < exchanged < 560


def test_the_coin_is_a_pairs_own():
    pool = make_pool(60)
    shuffled = with_shuffled_labels(pool, seed=5)
    rows = np.random.default_rng(0).permutation(60)
    assert with_shuffled_labels(pool.take(rows), seed=5).equals(shuffled.take(rows))
    assert not with_shuffled_labels(pool, seed=6).equals(shuffled)
    assert with_shuffled_labels(pool.slice(0, 0), seed=5).num_rows == 0


@pytest.mark.parametrize("noise", [0.1, 1.0, 3.0])
def test_noise_has_the_length_it_says(noise):
    rng = np.random.default_rng(0)
    clean_ND = rng.standard_normal((500, 400)).astype(np.float32)
    clean_ND /= np.linalg.norm(clean_ND, axis=1, keepdims=True)
    texts = [f"text {row}" for row in range(500)]
    noisy_ND = with_noise(clean_ND, texts, noise, seed=0)
    assert noisy_ND.dtype == np.float32
    assert np.linalg.norm(noisy_ND, axis=1) == pytest.approx(np.ones(500), abs=1e-6)
    cosines_N = (clean_ND * noisy_ND).sum(axis=1)
    assert cosines_N.mean() == pytest.approx(1 / np.sqrt(1 + noise**2), abs=0.01)
    # Two texts' noises are independent.
    left_ND = noisy_ND - cosines_N[:, None] * clean_ND
    assert abs((left_ND[1:] * left_ND[:-1]).sum(axis=1).mean()) < 0.01


def test_noise_belongs_to_the_text():
    clean_ND = np.eye(4, dtype=np.float32)[[0, 1, 0]]
    noisy_ND = with_noise(clean_ND, ["a", "b", "a"], 0.5, seed=1)
    assert np.array_equal(noisy_ND[0], noisy_ND[2])
    assert np.array_equal(with_noise(clean_ND[:1], ["a"], 0.5, seed=1)[0], noisy_ND[0])
    assert not np.array_equal(with_noise(clean_ND, ["a", "b", "a"], 0.5, seed=2), noisy_ND)
    assert np.array_equal(clean_ND, np.eye(4)[[0, 1, 0]])


def test_the_pairs_that_are_named_are_exchanged_and_no_others():
    pool = make_pool(3)
    found = with_exchanged_labels(pool, np.array([False, True, False]))
    assert found["chosen"].to_pylist() == ["c0", "r1", "c2"]
    assert found["rejected_source"].to_pylist() == ["rs0", "cs1", "rs2"]
    assert found["score_chosen"].to_pylist() == [0.0, -2.0, 2.0]
    assert found.select(["id", "prompt", "margin"]).equals(pool.select(["id", "prompt", "margin"]))
