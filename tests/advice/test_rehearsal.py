"""A rehearsed refresh gains where labels near the policy have a rule of their own, and nothing where they do not."""

import numpy as np
import pytest

from frft.advice.rehearsal import rehearsed_gains
from frft.errors import SelectionError


def rehearsed(near_weights, count=1500, seed=0):
    """Pairs of which a quarter is near; those elsewhere are labelled by (1, 0, 0, 0, 0, 0)."""
    rng = np.random.default_rng(seed)
    steps_NF = rng.standard_normal((count, 6))
    near_N = np.arange(count) < count // 4
    logits_N = 2 * np.where(near_N, steps_NF @ near_weights, steps_NF[:, 0])
    steps_NF *= np.where(rng.random(count) < 1 / (1 + np.exp(-logits_N)), 1, -1)[:, None]
    gain_N = rehearsed_gains(steps_NF, near_N + 0.1 * rng.random(count), near_N, [f"p{n}" for n in range(count)], 0)
    return gain_N, near_N


def test_a_rule_of_their_own_is_what_a_refresh_gains_from():
    gain_N, near_N = rehearsed([0, 1, 0, 0, 0, 0])
    # With three times as many far pairs, a random quarter hardly learns the near rule: a coin against about 77 %.
    assert gain_N[near_N].mean() > 0.15
    assert not gain_N[~near_N].any()
    assert np.abs(gain_N).max() <= 1


def test_the_same_rule_gains_nothing():
    gain_N, near_N = rehearsed([1, 0, 0, 0, 0, 0])
    assert gain_N[near_N].mean() == pytest.approx(0, abs=0.03)


def test_too_few_prompts():
    with pytest.raises(SelectionError, match="4 different prompts"):
        rehearsed_gains(np.ones((8, 2)), np.zeros(8), np.ones(8, bool), [f"p{n % 4}" for n in range(8)], 0)
