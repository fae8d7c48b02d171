"""Random numbers by position: row i has the same ones whoever asks, in whatever portions, in whatever order.

The generator is splitmix64 (Steele, Lea and Flood 2014) over a counter, twice: over the row, then over the slot. Its
numbers do not depend on the version of a library.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from frft.statistics.numbers import Floats

RowNumbers = npt.NDArray[np.int64]

_GOLDEN = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio, to an odd number: the increment of splitmix64's counter."""
_TO_UNIT = 2.0**-53
"""A float64 holds 53 bits exactly, so of the 64 the upper 53 are used."""


def stream(*names: Any) -> int:
    """The key of an independent stream of random numbers, from its names (a seed among them): 64 bits."""
    digest = hashlib.blake2b(repr(names).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def uniforms(key: int, rows: RowNumbers, slots: int) -> Floats:
    """`slots` uniform numbers in [0, 1) for each of N rows: float64 (N, slots)."""
    key_N = _mixed(np.full(len(rows), key, np.uint64) + rows.astype(np.uint64) * np.uint64(_GOLDEN))
    step_K = np.arange(1, slots + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
    return np.asarray((_mixed(key_N[:, None] + step_K) >> np.uint64(11)) * _TO_UNIT)


def integers(uniform: Floats, below: int | RowNumbers) -> RowNumbers:
    """Whole numbers in [0, below) from uniform ones in [0, 1), of the same shape: int64."""
    return np.asarray(uniform * below).astype(np.int64)


def _mixed(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Splitmix64's output function (Stafford's Mix13); products overflow modulo 2^64, as they are meant to."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
