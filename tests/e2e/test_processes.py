"""`frft run` under a launcher: two processes on the CPU give what one gives."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import yaml

from frft.cli import main
from frft.selection import Selection
from frft.store import MANIFEST, read_json

from ..processes import run_python

LAUNCHER = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "frft"]
WIDE = {**os.environ, "COLUMNS": "1000"}
"""So that no line is wrapped where it is looked for."""
TIMES = {"seconds_rollout", "seconds_update", "tokens_per_second"}


@pytest.mark.slow
def test_two_processes_give_what_one_gives(finished_run, pairs_file, settings_file, tmp_path):
    out = tmp_path / "out"
    settings = [str(settings_file), f"data.pairs={pairs_file}", "workers=null", "arms.random=null"]
    command = [*LAUNCHER, "run", *settings, "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=WIDE, timeout=300)
    assert done.returncode == 0, done.stderr
    two, one = (read_json(folder / "results.json") for folder in (out, finished_run))
    assert list(two["arms"]) == ["vanilla", "part1"]
    cut = {stage["stage"]: stage["truncated"] for stage in one["stages"]}
    assert {stage["stage"]: stage["truncated"] for stage in two["stages"]}.items() <= cut.items()
    made = {stage for arm in two["arms"].values() for stage in arm["stages"]}
    assert made == {stage for name in two["arms"] for stage in one["arms"][name]["stages"]}
    assert not any(stage["reused"] for stage in two["stages"])
    assert two["workers"]["count"] == 1
    for name, arm in two["arms"].items():
        for step, alone in zip(arm["ppo"], one["arms"][name]["ppo"], strict=True):
            assert step.keys() == alone.keys()
            for figure in step.keys() - TIMES:
                assert step[figure] == pytest.approx(alone[figure], rel=1e-3, abs=1e-4), (name, figure)
    selections = [Selection.read(run / "arms" / "part1" / "selection-1.parquet") for run in (out, finished_run)]
    assert selections[0].train_ids == selections[1].train_ids
    # One process speaks: the table and each stage appear once.
    assert done.stdout.count("win rate [95 %]") == 1
    assert all(done.stderr.count(f"  {stage['stage']}  ") == 1 for stage in two["stages"])
    sft = read_json(next(out.glob(f"stages/sft-*/{MANIFEST}")))
    assert sft["files"] == read_json(next(finished_run.glob(f"stages/sft-*/{MANIFEST}")))["files"]


@pytest.mark.slow
def test_two_processes_shape_rewards_as_one_does(pairs_file, settings_file, tmp_path):
    settings = yaml.safe_load(settings_file.read_text())
    settings["data"]["pairs"] = str(pairs_file)
    settings["arms"] = {"vanilla": {"alpha": 0}, "par": {"reward_shaping": "par", "selection": {"strategy": "random"}}}
    (tmp_path / "par.yaml").write_text(yaml.safe_dump(settings))
    command = ["run", str(tmp_path / "par.yaml"), "--out"]
    assert main([*command, str(tmp_path / "out-1")]) == 0
    done = run_python("-m", "frft", *command, tmp_path / "out-2", folder=tmp_path / "said", processes=2, env=WIDE)
    assert done.returncode == 0, done.stderr
    one, two = (read_json(tmp_path / f"out-{n}" / "results.json")["arms"]["par"] for n in (1, 2))
    assert one["references"] == two["references"] == 1
    assert one["stages"] == two["stages"]
    for alone, step in zip(one["ppo"], two["ppo"], strict=True):
        assert 0 < alone["score"] < 1
        for figure in ("score", "score_std", "reward", "kl_sft_k1", "has_eos"):
            assert step[figure] == pytest.approx(alone[figure], rel=1e-3, abs=1e-4), figure


def test_workers_do_not_go_with_a_launcher(pairs_file, settings_file, tmp_path):
    command = ["run", str(settings_file), f"data.pairs={pairs_file}", "workers=2", "--out", str(tmp_path / "out")]
    done = run_python("-m", "frft", *command, folder=tmp_path / "said", processes=2, env=WIDE)
    assert done.returncode != 0
    assert "2 processes were launched to train each arm together. Leave workers out" in done.stderr


def test_a_folder_of_another_run_is_refused_before_anybody_writes(finished_run, pairs_file, settings_file, tmp_path):
    command = ["run", str(settings_file), f"data.pairs={pairs_file}", "seed=5", "--out", str(finished_run)]
    before = sorted(path.name for path in finished_run.glob("stages/*"))
    done = run_python("-m", "frft", *command, folder=tmp_path / "said", processes=2, env=WIDE)
    assert done.returncode != 0
    assert "holds a run of another configuration (seed: 0 there, 5 now)" in done.stderr
    assert sorted(path.name for path in finished_run.glob("stages/*")) == before
