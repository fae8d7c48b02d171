"""The threshold that lets enough pairs in, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from frft.selection.thresholds import sufficient_threshold
from frft.strategies import get_strategy


@pytest.mark.parametrize(("strategy", "pick"), [("part1", min), ("either", max)])
@pytest.mark.parametrize("wanted", [6, 36, 50])
def test_a_sufficient_threshold_lets_so_many_in(strategy, pick, wanted):
    cosines = np.random.default_rng(0).uniform(-1, 1, size=(36, 2))
    columns = np.vstack([cosines, [[np.nan, np.nan]] * 24]).T
    threshold, pairs = sufficient_threshold(get_strategy(strategy).threshold, *columns, wanted)
    assert pairs == min(wanted, 36)
    assert sum(pick(pair) > threshold for pair in cosines) >= pairs
    assert sum(pick(pair) > threshold + 2e-4 for pair in cosines) < pairs
