"""`frft run` from data to results, stopped, started again, and misused."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest
import yaml

from frft.cli import main
from frft.config import load_config
from frft.models import load_tokenizer
from frft.preferences import load_pool, load_samples
from frft.reward import RewardModel, evaluate_reward_model
from frft.selection import Selection
from frft.store import read_json, read_rows

from ..processes import Python, run_python


def results_of(out) -> dict:
    return read_json(out / "results.json")


def figures_of(out) -> dict:
    """All that a run found, without how long it took."""
    results = results_of(out)
    for arm in results["arms"].values():
        for row in arm["ppo"]:
            for name in ("seconds_rollout", "seconds_update", "tokens_per_second"):
                del row[name]
    return strip_times({name: results[name] for name in ("data", "sft", "base_reward", "judge", "arms")})


def strip_times(value):
    if isinstance(value, dict):
        return {k: strip_times(v) for k, v in value.items() if k != "seconds"}
    return [strip_times(item) for item in value] if isinstance(value, list) else value


def test_everything_is_where_the_documentation_says(finished_run):
    results = results_of(finished_run)
    assert list(results["arms"]) == ["vanilla", "random", "part1"]
    assert load_config(str(finished_run / "config.yaml")).model_dump() == results["config"]
    for name in results["arms"]:
        folder = finished_run / "arms" / name
        samples = load_samples(folder / "completions.jsonl")
        win = results["arms"][name]["evaluation"]["win_rate"]
        assert win is None if name == "vanilla" else win["wins"] + win["ties"] + win["losses"] == len(samples)
        assert (folder / "policy" / "model.safetensors").exists()
        assert (folder / "reward_model" / "reward.json").exists()
    assert (finished_run / "sft" / "model.safetensors").samefile(next(finished_run.glob("stages/sft-*/*.safetensors")))
    assert (finished_run / "judge" / "reward.json").exists()
    steps = read_rows(finished_run / "metrics.jsonl")
    assert [(row["arm"], row["step"]) for row in steps] == [
        (arm, step) for arm in results["arms"] for step in (1, 2, 3, 4)
    ]
    assert results["peak_memory_bytes"] > 0
    for stage in results["stages"]:
        # A model this small is nothing beside the process: whatever is wrong by a factor is wrong altogether.
        assert 0.5 < stage["predicted_peak_memory_bytes"] / stage["peak_memory_bytes"] < 2.5
    assert results["versions"]["torch"]
    assert sum(stage["seconds"] for stage in results["stages"]) == pytest.approx(results["seconds"], abs=0.1)


def test_rows_are_accounted_for_and_purposes_do_not_mix(finished_run, pairs_file):
    data = results_of(finished_run)["data"]
    splits = data["splits"]
    assert data["read"] == data["accepted"] == 192
    assert splits["judge"] + splits["evaluation"] + splits["pool"] == 192
    selection = Selection.read(finished_run / "arms" / "part1" / "selection-1.parquet")
    assert selection.counts["pool_rows"] == splits["pool"] == selection.table.num_rows
    assert (selection.counts["train"], selection.counts["test"]) == (20, 8)
    evaluated = set(load_samples(finished_run / "arms" / "vanilla" / "completions.jsonl").prompts)
    pool_prompts = {row["prompt"] for row in load_pool(str(pairs_file)).table.to_pylist()}
    by_id = {row["id"]: row["prompt"] for row in load_pool(str(pairs_file)).table.to_pylist()}
    selected_from = {by_id[row["id"]] for row in selection.table.to_pylist()}
    assert evaluated < pool_prompts
    assert not evaluated & selected_from


def test_arms_share_what_they_have_in_common_and_nothing_else(finished_run):
    arms = results_of(finished_run)["arms"]
    first, second = ({arm["stages"][part] for arm in arms.values()} for part in (0, 1))
    assert len(first) == 1
    assert len(second) == 3
    scores = {name: [row["score"] for row in arm["ppo"]] for name, arm in arms.items()}
    assert scores["vanilla"][:2] == scores["random"][:2] == scores["part1"][:2]
    # The first rollouts after the refresh are the same texts, scored by another reward model.
    assert scores["vanilla"][2] != scores["part1"][2]


def test_the_saved_reward_model_gives_the_reported_accuracy(finished_run, pairs_file):
    results = results_of(finished_run)
    reported = results["arms"]["part1"]["refreshes"][0]["reward_model"]["selected_test"]
    selection = Selection.read(finished_run / "arms" / "part1" / "selection-1.parquet")
    rows = {row["id"]: row for row in load_pool(str(pairs_file)).table.to_pylist()}
    model = RewardModel.load(finished_run / "arms" / "part1" / "reward_model", seed=0)
    right = 0
    for row in (rows[row_id] for row_id in selection.test_ids):
        chosen, rejected = model([row["prompt"]] * 2, [row["chosen"], row["rejected"]])
        right += chosen > rejected
    assert reported["accuracy"] == pytest.approx(right / 8)
    assert evaluate_reward_model(model, load_pool(str(pairs_file)).table).n == 192


def test_scores_are_normalised_on_the_sft_models_samples(finished_run):
    results = results_of(finished_run)
    assert results["base_reward"]["gain"] != 1
    # The first rollouts come from the SFT model: mean near 0, spread near 1 (8 sequences).
    first = results["arms"]["vanilla"]["ppo"][0]
    assert abs(first["score"]) < 1.5
    assert 0.2 < first["score_std"] < 3


def test_the_same_command_again_computes_nothing_and_finds_the_same(finished_run, pairs_file, settings_file, capsys):
    before = figures_of(finished_run)
    assert main(["run", str(settings_file), f"data.pairs={pairs_file}", "--out", str(finished_run), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert all(stage["reused"] for stage in printed["stages"])
    assert figures_of(finished_run) == before


def test_a_plan_names_the_stages_that_a_run_makes(finished_run, pairs_file, settings_file, tmp_path, capsys):
    command = ["run", str(settings_file), f"data.pairs={pairs_file}", "--dry-run", "--json", "--out"]
    made = {stage["stage"] for stage in results_of(finished_run)["stages"]}
    capsys.readouterr()
    assert main([*command, str(tmp_path / "new")]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert {stage["stage"] for stage in plan["stages"]} == made
    assert not any(stage["done"] for stage in plan["stages"])
    assert plan["seconds"] > 0
    assert all(stage["peak_memory_bytes"] > 2**28 for stage in plan["stages"])
    assert not (tmp_path / "new").exists()
    assert main([*command, str(finished_run)]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert all(stage["done"] for stage in plan["stages"])
    assert plan["seconds"] == 0


def steps_in(out) -> int:
    return sum(path.read_bytes().count(b"\n") for path in out.glob("stages/ppo-*/metrics.jsonl"))


def saved_steps(training) -> list[int]:
    return [int(path.name.removeprefix("checkpoint-")) for path in training.glob("checkpoint-*")]


def test_interrupted_and_started_again_is_the_same_as_uninterrupted(finished_run, pairs_file, settings_file, tmp_path):
    out = tmp_path / "interrupted"
    command = ["-m", "frft", "run", settings_file, f"data.pairs={pairs_file}", "--out", out]
    (tmp_path / "said").mkdir()
    process = Python(*command, folder=tmp_path / "said")
    deadline = time.monotonic() + 300
    # Stop it in the middle of the second segment of PPO, after the third step.
    while steps_in(out) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGTERM)
    ended = process.wait()
    assert ended.returncode == 143, ended.stderr
    assert "frft: ended by SIGTERM. The same command goes on where this one stopped." in ended.stderr
    assert not (out / "results.json").exists()
    for training in out.glob("stages/ppo-*.unfinished"):
        assert saved_steps(training) == [read_rows(training / "metrics.jsonl")[-1]["step"]], "no step is lost"
    assert run_python(*command, folder=tmp_path / "said").returncode == 0
    assert figures_of(out) == figures_of(finished_run)
    assert any(stage["reused"] for stage in results_of(out)["stages"])


def test_the_folder_of_another_run_is_refused(finished_run, pairs_file, settings_file, capsys):
    command = ["run", str(settings_file), f"data.pairs={pairs_file}", "--out", str(finished_run)]
    assert main([*command, "ppo.total_steps=6"]) == 2
    assert "ppo.total_steps: 4 there, 6 now" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_place_that_holds_something_else_is_refused(kind, tmp_path, pairs_file, settings_file, capsys):
    out = tmp_path / "out"
    if kind == "file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "thesis.txt").write_text("mine")
        (out / "rejects.jsonl").write_text("mine too")
    assert main(["run", str(settings_file), f"data.pairs={pairs_file}", "--out", str(out)]) == 2
    assert str(out) in capsys.readouterr().err
    if kind == "folder":
        assert {path.name: path.read_text() for path in out.iterdir()} == {
            "thesis.txt": "mine",
            "rejects.jsonl": "mine too",
        }


def test_a_mistake_in_the_first_try_does_not_lock_the_folder(pairs_file, settings_file, tmp_path, capsys):
    """Neither missing data nor a missing model leaves a folder that refuses the corrected command."""
    out = tmp_path / "out"
    command = ["run", str(settings_file), "--out", str(out), "--limit", "120"]
    assert main([*command, "data.pairs=nosuch.jsonl"]) == 2
    assert not out.exists()
    assert main([*command, f"data.pairs={pairs_file}", "embedder.model_name_or_path=/no/such/embedder"]) == 1
    assert not out.exists()
    assert main([*command, f"data.pairs={pairs_file}", "report_to=wandb"]) == 2
    assert main([*command, f"data.pairs={pairs_file}", "policy.model_name_or_path=/no/such/model"]) == 1
    capsys.readouterr()
    assert main([*command, f"data.pairs={pairs_file}", "arms.part1=null"]) == 0


def test_the_same_pairs_from_another_place_are_the_same_run(finished_run, pairs_file, settings_file, tmp_path, capsys):
    moved = tmp_path / "moved.jsonl"
    moved.write_bytes(pairs_file.read_bytes())
    command = ["run", str(settings_file), "--out", str(finished_run), "--json"]
    assert main([*command, f"data.pairs={moved}"]) == 0
    assert all(stage["reused"] for stage in json.loads(capsys.readouterr().out)["stages"])
    moved.write_text("".join(moved.read_text().splitlines(keepends=True)[1:]))
    assert main([*command, f"data.pairs={moved}"]) == 2
    assert "the preference pairs differ" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_an_error(pairs_file, settings_file, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "out"
    assert main(["run", str(settings_file), f"data.pairs={pairs_file}", "--out", str(out)]) == 2
    assert f"--out {out} cannot be written" in capsys.readouterr().err


def test_starting_again_keeps_what_the_run_cost(finished_run, pairs_file, settings_file, capsys):
    before = results_of(finished_run)
    assert main(["run", str(settings_file), f"data.pairs={pairs_file}", "--out", str(finished_run)]) == 0
    after = results_of(finished_run)
    assert after["seconds"] == before["seconds"] > after["seconds_of_this_start"]
    assert [stage["peak_memory_bytes"] for stage in after["stages"]] == [
        stage["peak_memory_bytes"] for stage in before["stages"]
    ]


def test_what_was_cut_stands_in_the_results(finished_run, pairs_file):
    results = results_of(finished_run)
    tokenizer = load_tokenizer(finished_run / "arms" / "vanilla" / "policy")
    prompts = load_samples(finished_run / "arms" / "vanilla" / "completions.jsonl").prompts
    too_long = sum(len(tokenizer(prompt)["input_ids"]) > 32 for prompt in prompts)
    cut = results["arms"]["vanilla"]["evaluation"]["written_truncated"]
    assert (cut["sequences"], cut["prompts_truncated"]) == (len(prompts), too_long)
    counted = {kind for stage in results["stages"] for kind in [stage["kind"]] if stage["truncated"]}
    assert counted == {"sft", "completions", "reward", "ppo", "judge", "evaluation", "refresh"}
    rollouts = [stage["truncated"] for stage in results["stages"] if stage["kind"] == "ppo"]
    assert all(each["scoring_truncated"]["sequences"] == 16 for each in rollouts)  # 2 steps of 8, in every segment
    assert results["data"]["evaluation_prompts"]["used"] == len(prompts)


def test_a_damaged_stage_is_noticed(finished_run, pairs_file, settings_file, tmp_path, capsys):
    import shutil

    out = tmp_path / "copy"
    shutil.copytree(finished_run, out, symlinks=True)
    weights = next(out.glob("stages/sft-*/model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
    assert main(["run", str(settings_file), f"data.pairs={pairs_file}", "--out", str(out)]) == 1
    assert "differs from the manifest" in capsys.readouterr().err


def test_a_copy_with_its_links_followed_is_a_run(finished_run, pairs_file, settings_file, tmp_path, capsys):
    """As cp -rL, scp -r or zip make one: where links were, there are copies of what they showed."""
    import shutil

    out = shutil.copytree(finished_run, tmp_path / "copy", symlinks=False)
    assert not (out / "sft").is_symlink()
    command = ["run", str(settings_file), f"data.pairs={pairs_file}", "--out", str(out)]
    assert main(command) == 0
    links = [out / "sft", out / "judge", *out.glob("arms/*/policy"), *out.glob("arms/*/reward_model")]
    assert len(links) > 4
    assert all(link.is_symlink() and (link / "config.json").is_file() for link in links)
    assert figures_of(out) == figures_of(finished_run)
    assert not list(out.glob(".lock"))
    # What is not a copy of what the run shows is nobody's to delete.
    (out / "sft").unlink()
    (out / "sft").mkdir()
    (out / "sft" / "notes.txt").write_text("mine")
    capsys.readouterr()
    assert main(command) == 2
    assert f"{out / 'sft'} is a folder, where the run puts a link" in capsys.readouterr().err
    assert (out / "sft" / "notes.txt").read_text() == "mine"


def test_every_way_to_refresh_runs(pairs_file, settings_file, tmp_path):
    """alpha 2, rollouts as samples, nearest matches, both starts, both anchors: each changes what it should."""
    arms = {
        "vanilla": {"alpha": 0},
        "twice": {"alpha": 2, "selection": {"strategy": "part4"}},
        "rollouts": {
            "samples": "rollouts",
            "selection": {"strategy": "part3", "match": "nearest"},
            "max_samples": 12,
        },
        "fresh-start": {"init": "sft", "selection": {"strategy": "part2", "duplicates": "twice"}},
        "moving-anchor": {
            "kl_anchor": "previous",
            "init": "sft",
            "selection": {"strategy": "part2", "duplicates": "twice"},
        },
        "everything": {"selection": {"strategy": "all"}},
    }
    settings = yaml.safe_load(settings_file.read_text()) | {"arms": arms}
    settings["policy"]["scratch"]["architecture"] = "llama"
    settings["data"]["pairs"] = str(pairs_file)
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump(settings))
    assert main(["run", str(own), "--out", str(tmp_path / "out")]) == 0
    results = results_of(tmp_path / "out")["arms"]
    assert len(results["twice"]["refreshes"]) == 2
    assert results["rollouts"]["refreshes"][0]["selection"]["counts"]["samples"] == 12
    assert (
        results["everything"]["refreshes"][0]["reward_model"]["training"]["pairs"]
        == (results["everything"]["refreshes"][0]["selection"]["counts"]["train"])
    )
    fresh, moving = results["fresh-start"], results["moving-anchor"]
    assert fresh["refreshes"] == moving["refreshes"]  # the same artifact
    # The anchor that moved to the policy asks for less: the penalty starts again from 0.
    step = next(i for i, row in enumerate(fresh["ppo"]) if row["step"] == 3)
    assert fresh["ppo"][step]["score"] == moving["ppo"][step]["score"]
    assert fresh["ppo"][step]["kl_sft_k1"] == moving["ppo"][step]["kl_sft_k1"]
    assert moving["ppo"][step]["reward"] == pytest.approx(moving["ppo"][step]["score"], abs=1e-4)
    assert fresh["ppo"][step]["reward"] != pytest.approx(fresh["ppo"][step]["score"], abs=1e-4)
