from __future__ import annotations

import numpy as np
import pytest

from frft.reward import spread_of_scores


def test_repeated_texts_are_no_ties_and_ties_are_of_different_texts():
    texts = ["a", "b", "c", "c", "d", "e"]
    scores = np.array([1.0, 1.0, 2.0, 2.0, -3.0, 0.0])
    spread = spread_of_scores(["p"] * 6, texts, scores)
    assert (spread.texts, spread.repeated, spread.ties) == (6, 1, 2)
    assert (spread.lowest, spread.median, spread.highest) == (-3.0, 1.0, 2.0)
    assert spread.mean == pytest.approx(0.5)
    # By hand: squares of the deviations .5, .5, 1.5, 1.5, -3.5, -.5, over 6.
    assert spread.standard_deviation == pytest.approx((17.5 / 6) ** 0.5)
    # The same completion of two prompts is two texts.
    assert spread_of_scores(["p", "q"], ["a", "a"], np.array([1.0, 1.0])).ties == 2
    assert spread.as_dict()["ties"] == 2
