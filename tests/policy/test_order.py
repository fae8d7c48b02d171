"""The order of prompts."""

from __future__ import annotations

from frft.policy.order import prompt_indices


def test_every_prompt_is_used_once_before_any_is_used_again():
    seen = [index for start in range(0, 30, 2) for index in prompt_indices(3, 7, range(start, start + 2))]
    rounds = [seen[i : i + 3] for i in range(0, 30, 3)]
    assert all(sorted(order) == [0, 1, 2] for order in rounds)
    assert len(set(map(tuple, rounds))) > 1
    assert seen == prompt_indices(3, 7, range(30))
    assert seen != prompt_indices(3, 8, range(30))
