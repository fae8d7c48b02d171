"""What a plan counts for the stages of a run."""

from __future__ import annotations

import json
from importlib import import_module

import pytest

from frft.config import RunConfig
from frft.experiment.plan import plan_run
from frft.progress import SILENT, SilentProgress


@pytest.fixture
def plan_of(tmp_path, monkeypatch):
    """Plans runs on 80 pairs, on a machine of a known speed."""
    monkeypatch.setattr(import_module("frft.experiment.plan"), "flops_a_second", lambda threads: 1e9)
    rows = [{"prompt": f"What is {n}?", "chosen": f"{n} it is.", "rejected": "No."} for n in range(80)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def of(settings, progress=SILENT):
        config = RunConfig.model_validate({"data": {"pairs": str(tmp_path / "pairs.jsonl")}, **settings})
        return plan_run(config, tmp_path / "out", progress)

    return of


@pytest.fixture
def seconds_of_reward(plan_of):
    """What training the base reward model is to take."""

    def of(**train) -> float:
        stages = plan_of({"reward": {"train": train}, "arms": {"vanilla": {"alpha": 0}}})
        (found,) = (stage for stage in stages if stage.name.startswith("reward-"))
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


def test_fresh_labels_are_as_many_as_are_asked_for(tmp_path, monkeypatch):
    """Not as many as the pool has, of which they are none."""
    monkeypatch.setattr(import_module("frft.experiment.plan"), "flops_a_second", lambda threads: 1e9)

    def seconds(size):
        refresh = {"labels": "gold", "selection": {"strategy": "all", "size": size, "test_size": 1}}
        world = {"pool_size": 60, "demonstrations": 60, "evaluation_prompts": 20, "train_prompts": 400}
        arms = {"vanilla": {"alpha": 0}, "oracle": refresh}
        config = RunConfig.model_validate({"data": {"world": world}, "arms": arms})
        stages = plan_run(config, tmp_path / "out", SILENT)
        return next(stage for stage in stages if stage.name.startswith("refresh-")).seconds

    few, more, most = map(seconds, (20, 40, 300))
    assert most - few == pytest.approx(14 * (more - few))


def test_texts_for_the_labels_of_a_gate_are_written_beside_those_to_train_on(tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("frft.experiment.plan"), "flops_a_second", lambda threads: 1e9)
    world = {"pool_size": 300, "demonstrations": 60, "evaluation_prompts": 20, "train_prompts": 400}

    def seconds(budget, margin):
        gate = {"labels": 5, "margin": margin, "alarms": False}
        labelled = {"labels": {"from": "gold", "budget": budget}, "selection": {"strategy": "none"}, "gate": gate}
        arms = {"vanilla": {"alpha": 0}, "labelled": labelled}
        stages = plan_run(RunConfig.model_validate({"data": {"world": world}, "arms": arms}), tmp_path / "out", SILENT)
        return sum(stage.seconds for stage in stages if stage.name.startswith("completions-"))

    fewest, more_labels, wider = seconds(20, 0.2), seconds(40, 0.2), seconds(20, 0.1)
    assert wider - fewest == pytest.approx((80 - 40) / 20 * (more_labels - fewest))


@pytest.mark.parametrize(
    ("selection", "replay", "pairs"),
    [
        ({"size": 20}, 0.0, 20),
        ({"size": 20}, 0.5, 40),
        # All there are: 52 of 80, which the judge and the evaluation leave to the pool.
        ({"size": 4000}, 0.0, 52),
        ({"size": 40}, 0.5, 52),
        ({"strategy": "all", "size": 20}, 0.0, 52),
        # Drawn by weight, and so more than once.
        ({"strategy": "density", "take": "sample", "size": 4000}, 0.0, 4000),
    ],
)
def test_a_refresh_costs_what_its_pairs_do(plan_of, selection, replay, pairs):
    def seconds(**changes):
        stages = plan_of({"arms": {"vanilla": {"alpha": 0}, "other": {"num_train_epochs": 1, **changes}}})
        (found,) = (stage for stage in stages if stage.name.startswith("refresh-"))
        return found.seconds

    one, two = (seconds(selection={"strategy": "random", "size": size}) for size in (1, 2))
    found = seconds(selection={"strategy": "random", **selection}, replay=replay)
    assert found - one == pytest.approx((pairs - 1) * (two - one))


@pytest.mark.parametrize("prompts_more", [0, 1])
def test_a_budget_of_labels_that_exceeds_the_prompts_is_told_before_the_run(plan_of, prompts_more):
    labels = {"from": "queue", "budget": 52 + prompts_more}
    arms = {
        "vanilla": {"alpha": 0, "labels": labels},
        "people": {"labels": labels, "selection": {"strategy": "random", "size": 4, "test_size": 0}},
    }
    said = []
    progress = SilentProgress()
    progress.say = said.append
    plan_of({"arms": arms}, progress)
    assert [line.split(". ")[0] for line in said] == [
        "labels.budget of people is 53, and the pool has 52 prompts",
    ] * prompts_more


@pytest.mark.parametrize(("margin", "told"), [(0.25, False), (0.05, True)])
def test_a_gate_that_has_too_few_prompts_is_told_before_the_run(plan_of, margin, told):
    arms = {
        "vanilla": {"alpha": 0},
        "gated": {
            "labels": {"from": "queue", "budget": 20},
            "selection": {"strategy": "random", "size": 4, "test_size": 0},
            "gate": {"labels": 5, "margin": margin},
        },
    }
    said = []
    progress = SilentProgress()
    progress.say = said.append
    plan_of({"arms": arms}, progress)
    assert [line.split(", and")[0] for line in said] == [
        "gate.labels of gated would look at the policy's texts to 160 prompts beside those of labels.budget"
    ] * told


@pytest.mark.parametrize(("more", "warned"), [(-1, False), (0, True)])
def test_a_pool_that_leaves_nothing_to_select_is_told_before_the_run(plan_of, more, warned):
    # Of 80 pairs, the judge and the evaluation leave 52 to the pool.
    selection = {"strategy": "random", "size": 42 + more, "test_size": 10}
    arms = {
        "vanilla": {"alpha": 0},
        "random": {"selection": selection},
        "part1": {"selection": {**selection, "strategy": "part1"}},
        "larger": {"selection": {**selection, "size": 60 * warned + 10}},
        "drawn": {"selection": {**selection, "strategy": "density", "take": "sample"}},
        "all": {"selection": {**selection, "strategy": "all"}},
        "nothing": {"selection": {**selection, "strategy": "none"}},
        "ensemble": {"selection": selection, "ensemble": 2, "alpha": 0},
    }
    said = []
    progress = SilentProgress()
    progress.say = said.append
    plan_of({"arms": arms}, progress)
    assert [line.split(" (")[0] for line in said] == [
        "The pool has 52 pairs, and a refresh of random, part1 is to select 52",
        "The pool has 52 pairs, and a refresh of larger is to select 80",
    ] * warned
