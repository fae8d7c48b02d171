"""What a plan counts for the stages of a run."""

from __future__ import annotations

import json
from importlib import import_module

import pytest

from frft.config import RunConfig
from frft.experiment.plan import plan


@pytest.fixture
def seconds_of_reward(tmp_path, monkeypatch):
    """What training the base reward model is to take, on a machine of a known speed."""
    monkeypatch.setattr(import_module("frft.experiment.plan"), "flops_a_second", lambda threads: 1e9)
    rows = [{"prompt": f"What is {n}?", "chosen": f"{n} it is.", "rejected": "No."} for n in range(80)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def of(**train) -> float:
        config = RunConfig.model_validate(
            {
                "data": {"pairs": str(tmp_path / "pairs.jsonl")},
                "reward": {"train": train},
                "arms": {"vanilla": {"alpha": 0}},
            }
        )
        (found,) = (stage for stage in plan(config, tmp_path / "out") if stage.name.startswith("reward-"))
        return found.seconds

    return of


def test_optimizer_steps_that_are_set_are_what_a_training_costs(seconds_of_reward):
    """The evaluation on held-out pairs is the same in all; what is left is in proportion to the pairs seen."""
    few, more, accumulated = (
        seconds_of_reward(max_steps=steps, per_device_train_batch_size=8, gradient_accumulation_steps=batches)
        for steps, batches in ((10, 1), (30, 1), (10, 5))
    )
    assert accumulated - few == pytest.approx(2 * (more - few))
    # However many passes would be made without.
    assert seconds_of_reward(max_steps=10, num_train_epochs=9, per_device_train_batch_size=8) == few


def test_else_its_passes_over_the_pairs_are(seconds_of_reward):
    once, twice, thrice = (seconds_of_reward(num_train_epochs=epochs) for epochs in (1, 2, 3))
    assert thrice - twice == pytest.approx(twice - once)
    assert twice > once
