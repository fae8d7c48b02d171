"""Interpolation at equal KL."""

from __future__ import annotations

import pytest
from benchmarks.equal_kl import Point, common_kls, score_at

CURVE = [Point(0.0, 1.0), Point(4.0, 3.0), Point(2.0, 2.5)]
"""A run whose KL fell again at the end."""


@pytest.mark.parametrize(("kl", "score"), [(0.0, 1.0), (1.0, 1.75), (2.0, 2.5), (3.0, 2.75), (4.0, 3.0)])
def test_score_lies_on_the_line_through_the_neighbours_in_kl(kl, score):
    assert score_at(kl, CURVE) == pytest.approx(score)


@pytest.mark.parametrize("kl", [-0.1, 4.1])
def test_nothing_is_extrapolated(kl):
    with pytest.raises(ValueError, match=r"outside of what was measured, 0\.0 to 4\.0"):
        score_at(kl, CURVE)


def test_common_kls_end_where_the_shortest_curve_ends():
    other = [Point(0.0, 1.0), Point(3.0, 9.0)]
    assert common_kls([CURVE, other], 3) == pytest.approx([1.0, 2.0, 3.0])
    for curve in (CURVE, other):
        for kl in common_kls([CURVE, other], 3):
            score_at(kl, curve)
