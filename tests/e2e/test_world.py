"""`frft run` in a world: from dials to results, where the gold reward judges."""

from __future__ import annotations

import json

import numpy as np
import pytest

from frft.cli import main
from frft.config.sections import WorldConfig
from frft.reward import RewardModel
from frft.store import read_json, read_rows
from frft.worlds import World

from .conftest import DIALS


@pytest.fixture(scope="session")
def world_run(world_settings, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "world"
    assert main(["run", str(world_settings), "--out", str(out)]) == 0
    return out


def test_gold_judges_and_no_judge_is_trained(world_run):
    results = read_json(world_run / "results.json")
    assert results["judge"] == {"kind": "gold"}
    assert not (world_run / "judge").exists()
    kinds = {stage["kind"] for stage in results["stages"]}
    assert kinds == {"sft", "completions", "reward", "ppo", "evaluation", "selection", "refresh", "on_policy"}
    assert results["data"]["made"] == results["data"]["splits"]["pool"] == 160
    assert results["data"]["evaluation_prompts"] == {"given": 40, "distinct": 40, "used": 20, "trained_on": 0}


def test_the_figures_are_those_of_the_texts(world_run):
    """Gold, win rate and the reward model's accuracy on held-out pairs, from what lies in the folder."""
    results, world = read_json(world_run / "results.json"), World(WorldConfig(**DIALS))
    # Not `load_samples`: a policy that has learned next to nothing writes control characters, too.
    written = {name: read_rows(world_run / "arms" / name / "completions.jsonl") for name in results["arms"]}
    pairs = world.pairs(0, DIALS["held_out_pairs"], "evaluation")
    prompts, chosen, rejected = (pairs[name].to_pylist() for name in ("prompt", "chosen", "rejected"))
    truth = world.gold(prompts, chosen) - world.gold(prompts, rejected)
    for name, rows in written.items():
        found = results["arms"][name]["evaluation"]
        asked, texts = ([row[key] for row in rows] for key in ("prompt", "completion"))
        gold = world.gold(asked, texts)
        again = read_rows(world_run / "arms" / name / "completions-2.jsonl")
        assert [row["prompt"] for row in again] == asked
        every = np.concatenate([gold, world.gold(asked, [row["completion"] for row in again])])
        assert found["gold"]["mean"] == pytest.approx(every.mean())
        assert found["gold"]["std"] == pytest.approx(every.std())
        if name != "vanilla":
            against = world.gold(asked, [row["completion"] for row in written["vanilla"]])
            assert found["win_rate"]["wins"] == (gold > against).sum()
            assert found["win_rate"]["ties"] == (gold == against).sum()
        model = RewardModel.load(world_run / "arms" / name / "reward_model", seed=0)
        margin = np.array(model(prompts, chosen)) - np.array(model(prompts, rejected))
        ordered = truth != 0
        right = np.mean((margin > 0) == (truth > 0), where=ordered)
        two_pairs = 2 / DIALS["held_out_pairs"]
        assert found["off_policy"]["gold"]["accuracy"] == pytest.approx(right, abs=two_pairs)
        assert found["off_policy"]["labels"]["accuracy"] == pytest.approx(np.mean(margin > 0), abs=two_pairs)
        assert found["on_policy"]["n"] + found["on_policy"]["without_order"] == 20
        assert found["reward_variance"] > 0


def test_every_step_has_its_gold_reward(world_run):
    world = World(WorldConfig(**DIALS))
    steps = [row for row in read_rows(world_run / "metrics.jsonl") if row["arm"] == "random"]
    results = read_json(world_run / "results.json")
    rollouts = [
        row
        for stage in results["arms"]["random"]["stages"]
        for row in read_rows(world_run / "stages" / stage / "rollouts.jsonl")
    ]
    for step in steps:
        rows = [row for row in rollouts if row["step"] == step["step"]]
        assert len(rows) == 8
        mean = np.mean([world.gold([row["prompt"]], [row["completion"]])[0] for row in rows])
        assert step["gold"] == pytest.approx(mean)
    assert (world_run / "training.svg").read_text().startswith("<svg")


def test_the_same_command_again_computes_nothing(world_run, world_settings, shown, fits, capsys):
    assert main(["run", str(world_settings), "--out", str(world_run)]) == 0
    printed, said = capsys.readouterr()
    assert "These settings have no effect on a run by ppo in a world: judge\n" in said
    assert "By the true reward, " in printed
    assert "RM on own texts" in printed
    fits(shown)
    assert main(["run", str(world_settings), "--out", str(world_run), "--json"]) == 0
    assert all(stage["reused"] for stage in json.loads(capsys.readouterr().out)["stages"])


def test_the_plan_names_the_stages_that_were_made(world_run, world_settings, tmp_path, capsys):
    assert main(["run", str(world_settings), "--out", str(tmp_path / "new"), "--dry-run", "--json"]) == 0
    printed, said = capsys.readouterr()
    assert "have no effect on a run by ppo in a world: judge\n" in said
    plan = json.loads(printed)
    made = {stage["stage"] for stage in read_json(world_run / "results.json")["stages"]}
    assert {stage["stage"] for stage in plan["stages"]} == made


def test_a_run_in_a_world_of_two_domains(world_settings, tmp_path, capsys):
    out, dials = tmp_path / "run", DIALS | {"domains": 2, "policy_mixture": [0.0, 1.0]}
    more = [
        "data.world.domains=2",
        "data.world.policy_mixture=[0.0, 1.0]",
        "arms={vanilla: {alpha: 0}, part1: {}, near: {selection: {strategy: near_source}}}",
    ]
    assert main(["run", str(world_settings), *more, "--out", str(out)]) == 0
    assert "mean true reward of what the arm writes of its prompt's domain" in capsys.readouterr().out
    results, world = read_json(out / "results.json"), World(WorldConfig(**dials))
    rows, again = (read_rows(out / "arms" / "part1" / f"completions{end}.jsonl") for end in ("", "-2"))
    asked = [row["prompt"] for row in rows]
    assert set(world.domains_of(asked)) == {1}
    texts = [row["completion"] for row in [*rows, *again]]
    found = results["arms"]["part1"]["evaluation"]["gold"]
    assert found["mean"] == pytest.approx(world.gold([*asked, *asked], texts).mean())
    # The source is named by what the SFT model wrote; the rollouts say whether the policy still writes like it.
    selected = results["arms"]["near"]["refreshes"][0]["selection"]
    named = selected["nearest_source"]
    assert named["name"] in world.sources.names
    assert named["share_now"] is not None
    pool = world.pairs(0, DIALS["pool_size"])
    assert set(pool["domain"].to_pylist()) == {"domain-0", "domain-1"}
    trained_on = {prompt for prompt in pool["prompt"].to_pylist() if world.domains_of([prompt])[0]}
    assert results["data"]["splits"]["prompts"] == len(trained_on)


def test_another_world_is_another_run(world_run, world_settings, capsys):
    assert main(["run", str(world_settings), "data.world.seed=1", "--out", str(world_run)]) == 2
    assert "data.world.seed: 0 there, 1 now" in capsys.readouterr().err
