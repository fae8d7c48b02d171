"""A policy and a reward model that are saved as adapters, through everything that takes models."""

from __future__ import annotations

import json
import os
import shutil

import pytest
import yaml

import frft
from frft.cli import main
from frft.store import read_json

from .conftest import dialogues
from .small import TOPICS


@pytest.fixture(scope="module")
def folders(tiny_lm_folder, saved_adapters, tmp_path_factory):
    """A base, and beside it a policy and a reward model on it, which name it by `../base`."""
    place = tmp_path_factory.mktemp("models")
    shutil.copytree(tiny_lm_folder, place / "base")
    for name, task in (("policy", "CAUSAL_LM"), ("rm", "SEQ_CLS")):
        folder = saved_adapters(place / "base", place / name, task)
        file = folder / "adapter_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "base_model_name_or_path": "../base"}))
    return place


def assert_plain(folder, folders):
    """It is a whole model, in whose files no path of the base is left."""
    assert (folder / "model.safetensors").exists()
    assert not (folder / "adapter_config.json").exists()
    for file in folder.iterdir():
        if file.is_file():
            content = file.read_bytes()
            assert not any(path.encode() in content for path in (str(folders / "base"), "../base")), file


def test_a_run_from_adapters(folders, pairs_file, settings_file, tmp_path):
    """SFT, both reward models, the critic, PPO, a refresh and log ratios of the policy."""
    settings = yaml.safe_load(settings_file.read_text())
    del settings["policy"]["scratch"]
    settings["policy"]["model_name_or_path"] = str(folders / "policy")
    settings["reward"]["model_name_or_path"] = str(folders / "rm")
    settings["judge"]["model_name_or_path"] = os.path.relpath(folders / "rm")
    settings["data"]["pairs"] = str(pairs_file)
    settings["arms"] = {
        "vanilla": {"alpha": 0},
        "ocrm": {"selection": {"strategy": "policy_ratio", "size": 10}},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings))
    out = tmp_path / "out"
    assert main(["run", str(tmp_path / "run.yaml"), "--out", str(out)]) == 0
    assert read_json(out / "results.json")["arms"]["ocrm"]["refreshes"][0]["reward_model"]["training"]["pairs"] == 10
    for folder in (out / "sft", out / "judge", *(out / "arms" / "ocrm" / name for name in ("policy", "reward_model"))):
        assert_plain(folder, folders)


def test_a_reward_that_realigns_a_model_saved_as_adapters(folders, pairs_file, tmp_path):
    reward = frft.AlignedReward(
        folders / "rm",
        str(pairs_file),
        frft.RefreshConfig(selection={"strategy": "part4", "size": 8}),
        workdir=tmp_path,
    )
    model = frft.RewardModel.load(folders / "rm", seed=0)
    prompts = [f"\n\nHuman: What is {topic} for?\n\nAssistant:" for topic in TOPICS]
    completions = [f" I like {topic}." for topic in TOPICS]
    assert reward(prompts, completions) == model(prompts, completions)
    refresh = reward.refresh(frft.PolicySamples.of(prompts, completions))
    assert_plain(refresh.reward_model.path, folders)
    assert reward(prompts, completions) != model(prompts, completions)


def test_commands_take_them(folders, tmp_path, capsys):
    """Write, judge what was written, evaluate, train."""
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps({"prompt": f"{topic}?"}) + "\n" for topic in TOPICS))
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in dialogues()[:24]))
    lengths = ["--max-new-tokens", "8", "--max-prompt-tokens", "24"]
    for name in ("policy", "base"):
        out = ["--out", str(tmp_path / f"{name}.jsonl")]
        prompts = ["--prompts", str(tmp_path / "prompts.jsonl")]
        assert main(["generate", "--policy", str(folders / name), *prompts, *out, *lengths]) == 0
    assert (tmp_path / "policy.jsonl").read_text() != (tmp_path / "base.jsonl").read_text()
    written = [str(tmp_path / f"{name}.jsonl") for name in ("policy", "base")]
    assert main(["eval", "winrate", *written, "--judge", f"rm:{folders / 'rm'}"]) == 0
    pairs = ["--pairs", str(tmp_path / "pairs.jsonl")]
    assert main(["reward", "eval", "--model", str(folders / "rm"), *pairs]) == 0
    # A head that was drawn would be evaluated like one that was trained.
    assert main(["reward", "eval", "--model", str(folders / "policy"), *pairs]) == 1
    assert "no complete reward model: 1 weights are missing (score.weight)" in capsys.readouterr().err
    base = ["--model-name-or-path", str(folders / "rm"), "--train.max-length", "64"]
    assert main(["reward", "train", *base, *pairs, "--out", str(tmp_path / "trained")]) == 0
    assert "had no head" not in capsys.readouterr().out
    assert_plain(tmp_path / "trained", folders)
    base[1] = str(folders / "policy")
    assert main(["reward", "train", *base, *pairs, "--out", str(tmp_path / "from-policy")]) == 0
    assert "had no head of one output. One was drawn at random, and trained." in capsys.readouterr().out
