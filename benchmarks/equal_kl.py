"""Comparing two trainings at equal KL: more reward for more drift from the SFT model is no merit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Point(NamedTuple):
    """A policy on the way: its KL from SFT (nats a completion) and its mean score."""

    kl: float
    score: float


def score_at(kl: float, points: Sequence[Point]) -> float:
    """The score at `kl`, on the broken line through the points in the order of their KL.

    Raises:
        ValueError: the policies never were there; nothing is extrapolated.
    """
    kls, scores = zip(*sorted(points), strict=True)
    if not kls[0] <= kl <= kls[-1]:
        raise ValueError(f"KL {kl} lies outside of what was measured, {kls[0]} to {kls[-1]}.")
    return float(np.interp(kl, kls, scores))


def common_kls(curves: Sequence[Sequence[Point]], count: int) -> list[float]:
    """`count` values of KL, evenly spaced from where all curves are (left out) to the largest that all reach."""
    start = max(min(points).kl for points in curves)
    end = min(max(points).kl for points in curves)
    return np.linspace(start, end, count + 1)[1:].tolist()
