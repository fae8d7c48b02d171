"""The small experiment of these tests, finished once for all that look at it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from .small import SETTINGS, dialogues

# Of a small world.
DIALS = {
    "pool_size": 160,
    "demonstrations": 160,
    "evaluation_prompts": 40,
    "held_out_pairs": 300,
    "categories": 6,
    "lambda_": 2.0,
}


@pytest.fixture(scope="session")
def pairs_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in dialogues()))
    return path


@pytest.fixture(scope="session")
def settings_file(tiny_embedder_folder, tmp_path_factory) -> Path:
    """The settings of the small experiment. The default embedder would take most of the time of a run."""
    path = tmp_path_factory.mktemp("settings") / "small.yaml"
    path.write_text(f"{SETTINGS}embedder: {{model_name_or_path: {tiny_embedder_folder}}}\n")
    return path


@pytest.fixture(scope="session")
def finished_run(pairs_file, settings_file, tmp_path_factory) -> Path:
    """The folder of a finished run of the small experiment."""
    from frft.cli import main

    out = tmp_path_factory.mktemp("runs") / "finished"
    assert main(["run", str(settings_file), f"data.pairs={pairs_file}", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="session")
def world_settings(settings_file, tmp_path_factory):
    """The settings of the small experiment, in a world instead of on pairs."""
    settings = yaml.safe_load(settings_file.read_text())
    settings["data"] = {"world": DIALS}
    settings["policy"]["scratch"]["vocab_size"] = 1024
    settings["ppo"]["sampling"] = {"max_prompt_tokens": 40, "max_new_tokens": 24}
    settings["refresh"] = {"max_samples": 40, "selection": {"size": 20, "test_size": 8, "threshold": -0.5}}
    path = tmp_path_factory.mktemp("world") / "world.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path
