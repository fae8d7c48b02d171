"""A run that is killed at any step and started again is the same, to the bit, as one that was left alone."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest
import yaml

from frft.cli import main
from frft.store import read_json

from ..processes import Python, run_python
from .comparison import everything_in


@pytest.mark.slow
def test_killed_twice_and_resumed_is_the_same_to_the_bit(pairs_file, settings_file, tmp_path):
    settings = yaml.safe_load(settings_file.read_text())
    settings["data"]["pairs"] = str(pairs_file)
    settings["ppo"] |= {"total_steps": 8, "save_steps": 2, "num_ppo_epochs": 1}
    random_pairs = {"selection": {"strategy": "random"}, "alpha": 1}
    shaped = {**random_pairs, "reward_shaping": "par", "restart_policy": True}
    settings["arms"] = {"vanilla": {"alpha": 0}, "random": random_pairs, "shaped": shaped}
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump(settings))
    seed = random.randrange(2**32)
    killed_at = random.Random(seed).sample(range(2, 18), 2)
    out = tmp_path / "killed"
    command = ["-m", "frft", "run", own, "--out", out]
    (tmp_path / "said").mkdir()
    for step in sorted(killed_at):
        process = Python(*command, folder=tmp_path / "said")
        deadline = time.monotonic() + 120
        while steps_in(out) < step and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        assert process.poll() is None, f"it was done before step {step}, drawn with seed {seed}"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    left = [path.name for path in out.glob("stages/*.unfinished/checkpoint-*")]
    assert run_python(*command, folder=tmp_path / "said").returncode == 0
    whole = tmp_path / "whole"
    assert main(["run", str(own), "--out", str(whole)]) == 0
    assert everything_in(out) == everything_in(whole), f"killed at steps {killed_at}"
    assert not list(out.glob("stages/*/checkpoint-*")), f"left before: {left}"
    for name in ("arms/random/completions.jsonl", "arms/random/selection-1.parquet"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    assert read_json(out / "results.json")["arms"].keys() == settings["arms"].keys()


def steps_in(out) -> int:
    return sum(path.read_bytes().count(b"\n") for path in out.glob("stages/ppo-*/metrics.jsonl"))
