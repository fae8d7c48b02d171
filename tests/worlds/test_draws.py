"""Random numbers by position."""

from __future__ import annotations

import numpy as np
from scipy.stats import kstest

from frft.worlds.draws import integers, stream, uniforms

MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15


def mixed(x):
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def test_the_mixer_is_splitmix64():
    # The first outputs of the reference implementation for seed 0.
    assert [hex(mixed(GOLDEN * n & MASK)) for n in (1, 2)] == ["0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4"]
    key, rows = stream("a", 1), [0, 1, 7_000_000_000]
    expected = [[(mixed((mixed((key + row * GOLDEN) & MASK) + slot * GOLDEN) & MASK) >> 11) / 2**53 for slot in (1, 2)]
                for row in rows]  # fmt: skip
    assert uniforms(key, np.array(rows), 2).tolist() == expected


def test_a_row_has_its_numbers_in_whatever_company():
    whole = uniforms(5, np.arange(1000), 7)
    assert (uniforms(5, np.array([999, 3]), 7) == whole[[999, 3]]).all()
    assert (uniforms(5, np.arange(1000), 3) == whole[:, :3]).all()
    assert stream(1, "x") != stream("1", "x") != stream("1x")


def test_numbers_are_uniform_and_independent_over_rows_slots_and_streams():
    draws = uniforms(stream(0, "u"), np.arange(20_000), 8)
    others = uniforms(stream(1, "u"), np.arange(20_000), 8)
    assert min(kstest(column, "uniform").pvalue for column in draws.T) > 1e-3
    columns = np.column_stack([draws, others, np.roll(draws, 1, axis=0)])
    correlations = np.corrcoef(columns.T) - np.eye(24)
    assert np.abs(correlations).max() < 5 / np.sqrt(20_000)


def test_integers_cover_their_range_evenly():
    counts = np.bincount(integers(uniforms(3, np.arange(60_000), 1)[:, 0], 6))
    assert len(counts) == 6
    assert np.abs(counts - 10_000).max() < 5 * np.sqrt(10_000)
