"""The order of the pairs in training."""

from __future__ import annotations

import numpy as np
import pytest

from frft.models.batches import SimilarLengths


@pytest.mark.parametrize("count", [1, 7, 16, 1000, 2003])
def test_every_epoch_is_a_new_permutation_decided_by_the_seed(count):
    lengths = np.random.default_rng(0).integers(10, 256, count)
    sampler = SimilarLengths(lengths, 16, seed=3)
    epochs = [list(sampler) for _ in range(2)]
    assert len(sampler) == count
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)
    again = SimilarLengths(lengths, 16, seed=3)
    assert [list(again) for _ in range(2)] == epochs
    if count > 16:
        assert epochs[0] != epochs[1]
        assert list(SimilarLengths(lengths, 16, seed=4)) != epochs[0]


def test_batches_hold_similar_lengths_in_no_order_of_length():
    lengths = np.random.default_rng(0).integers(10, 256, 2400)
    order = np.array(list(SimilarLengths(lengths, 16, seed=0)))
    batches = lengths[order].reshape(-1, 16)
    assert np.ptp(batches, axis=1).mean() < 10  # of 246
    assert abs(np.corrcoef(np.arange(150), batches.mean(axis=1))[0, 1]) < 0.25


def test_what_fills_no_batch_comes_last():
    lengths = np.repeat([10, 200], 12)
    order = list(SimilarLengths(lengths[:-1], 4, seed=1))
    for begin in range(0, 20, 4):
        assert np.ptp(lengths[order[begin : begin + 4]]) in (0, 190)
    assert len(order[20:]) == 3
