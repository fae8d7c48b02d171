"""The transfer gap is there where near and far labels have rules of their own, and 0 where they share one."""

import numpy as np
import pytest

from frft.advice.transfer import transfer_gaps
from frft.errors import SelectionError


def gaps(near_weights, count=2000, seed=0):
    """Pairs of which half is near, with these weights; those elsewhere are labelled by (1, 0, 0, 0, 0, 0)."""
    rng = np.random.default_rng(seed)
    steps_NF = rng.standard_normal((count, 6))
    near_N = np.arange(count) < count // 2
    logits_N = 2 * np.where(near_N, steps_NF @ near_weights, steps_NF[:, 0])
    steps_NF *= np.where(rng.random(count) < 1 / (1 + np.exp(-logits_N)), 1, -1)[:, None]
    gap_N, compared_N = transfer_gaps(steps_NF, near_N + 0.1 * rng.random(count), [f"p{n}" for n in range(count)], 0)
    assert compared_N.sum() == count // 2
    assert (compared_N & near_N).sum() == count // 4
    assert not gap_N[~compared_N].any()
    return gap_N[compared_N]


@pytest.mark.parametrize(
    ("weights", "expected"),
    # P(label = sign of x) of a standard normal x and a logistic of slope 2 is about .77; less a coin, or less 1 - .77.
    [([0, 1, 0, 0, 0, 0], 0.27), ([-1, 0, 0, 0, 0, 0], 0.54), ([1, 0, 0, 0, 0, 0], 0.0)],
)
def test_what_is_lost_by_the_exchange(weights, expected):
    assert gaps(weights).mean() == pytest.approx(expected, abs=0.05)


def test_a_coin_has_no_gap():
    assert gaps([0, 0, 0, 0, 0, 0]).mean() < 0.2


def test_too_few_prompts():
    with pytest.raises(SelectionError, match="4 different prompts"):
        transfer_gaps(np.ones((8, 2)), np.zeros(8), [f"p{n % 4}" for n in range(8)], 0)
