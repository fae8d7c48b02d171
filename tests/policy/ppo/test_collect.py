"""What counts as a reward."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from frft.errors import RewardError, TrainingError
from frft.policy.ppo.collect import checked_scores

PROMPTS, COMPLETIONS = ["p"] * 3, ["one", "tw\x1bo", "three"]


def check(returned):
    return checked_scores(lambda prompts, completions: returned, PROMPTS, COMPLETIONS)


@pytest.mark.parametrize(
    "returned",
    [
        [1, -2.5, True],
        (1.0, -2.5, 1.0),
        np.array([1.0, -2.5, 1.0]),
        np.array([1.0, -2.5, 1.0], dtype=np.float32),
        torch.tensor([1.0, -2.5, 1.0], dtype=torch.bfloat16),
        [torch.tensor(1.0), np.float64(-2.5), 1],
        iter([1.0, -2.5, 1.0]),
    ],
)
def test_any_sequence_of_numbers_will_do(returned):
    scores = check(returned)
    assert scores == [1.0, -2.5, 1.0]
    assert {type(score) for score in scores} == {float}


@pytest.mark.parametrize("returned", [None, 1.0, torch.tensor(1.0), np.array(1.0)])
def test_what_holds_no_scores_is_an_error(returned):
    with pytest.raises(RewardError, match="for 3 completions; it must return a score each"):
        check(returned)


@pytest.mark.parametrize("returned", [[], [1.0], [1.0] * 4, torch.ones(2), {"rewards": [1.0, 2.0, 3.0]}])
def test_another_number_of_scores_is_an_error(returned):
    with pytest.raises(RewardError, match=f"returned {len(returned)} scores for 3 completions"):
        check(returned)


@pytest.mark.parametrize(
    "wrong",
    [None, "1.0", b"1", [1.0], 1j, float("nan"), float("inf"), float("-inf"), 1e300, -1e39, 10**400, torch.ones(1)],
)
def test_what_is_no_finite_float32_is_an_error_that_says_which(wrong):
    with pytest.raises(RewardError, match=r"completion 1 of 3 is .*begins 'tw\\x1bo'"):
        check([0.0, wrong, 0.0])
    assert check([0.0, 3.4e38, -3.4e38]) == [0.0, 3.4e38, -3.4e38]


@pytest.mark.parametrize("returned", [np.ones((3, 2)), torch.ones(3, 2), np.ones((3, 1)), [None] * 3, "abc"])
def test_an_array_of_something_else_is_an_error(returned):
    with pytest.raises(RewardError, match="completion 0 of 3"):
        check(returned)


def test_processes_that_roll_out_different_batches_are_noticed(make_trainer, monkeypatch):
    trainer = make_trainer()
    monkeypatch.setattr("frft.policy.ppo.collect.gather_object", lambda found: [*found[:-1], found[0]])
    with pytest.raises(TrainingError, match="6 sequences came back for 6 prompts: the processes do not agree"):
        trainer.collect()
