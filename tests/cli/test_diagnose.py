"""`frft diagnose` on a user's own parts, and what it refuses. Runs: see tests/e2e/test_diagnose.py."""

from __future__ import annotations

import json

import pytest

from frft.cli import main
from frft.reward import RewardModel

from .conftest import PROMPT


@pytest.fixture(scope="module")
def reward_model(tiny_lm_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reward")
    RewardModel.load(tiny_lm_folder, seed=0, max_length=64).save(folder)
    return str(folder)


@pytest.fixture
def parts(reward_model, pairs_file, samples_file):
    return ["--reward-model", reward_model, "--pairs", str(pairs_file), "--completions", str(samples_file)]


def judged(write_rows, score):
    rows = [{"prompt": PROMPT, "completion": f" Mix water {n}.", "score": score(n)} for n in range(8)]
    return str(write_rows("judge.jsonl", rows))


def test_without_a_judge_links_are_not_measured(parts, capsys):
    main(["diagnose", *parts])
    printed = capsys.readouterr().out
    assert "not measured" in printed
    assert "over-optimisation: nobody judged enough of what the policy wrote" in printed
    assert "Its calibration error on held-out pairs" in printed


def test_json_says_the_same_as_the_exit_status(parts, write_rows, samples_file, capsys):
    """The judge likes what the reward model dislikes: the link to the policy is broken, and CI stops."""
    status = main(["diagnose", *parts, "--judge-scores", judged(write_rows, float), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert status == (0 if found["healthy"] else 1)
    assert {link["name"] for link in found["links"]} == {
        "reward-model training <-> policy training",
        "policy training <-> evaluation",
    }


def test_an_alarm_is_exit_status_1(parts, write_rows, capsys):
    """A reward model whose scores all lie within a hundredth has collapsed."""
    model = RewardModel.load(parts[1], seed=0)
    model.model.score.weight.data *= 1e-6
    model.save(write_rows("unused", []).parent / "flat")
    parts[1] = str(write_rows("unused", []).parent / "flat")
    assert main(["diagnose", *parts]) == 1
    printed = capsys.readouterr().out
    assert "reward model collapsed" in printed
    assert "FIRED" in printed
    assert "Train it again" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--reward-model, --pairs, --completions missing"),
        (["--pairs", "x"], "--reward-model, --completions missing"),
        ([".", "--pairs", "x"], "leave out --pairs"),
        ([".", "--judge-scores", "x"], "leave out --judge-scores"),
        (["."], "holds no run"),
    ],
)
def test_requests_that_cannot_be_met(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["diagnose", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_judge_scores_that_lack_a_text(parts, write_rows, capsys):
    file = write_rows("judge.jsonl", [{"prompt": PROMPT, "completion": " Mix water 0.", "score": 1}])
    assert main(["diagnose", *parts, "--judge-scores", str(file)]) == 2
    assert "lack 7 of 8 completions" in capsys.readouterr().err


def test_a_model_that_is_not_there_is_no_verdict_on_a_reward(parts, tmp_path, capsys):
    parts[1] = str(tmp_path / "nosuch")
    assert main(["diagnose", *parts, "--max-length", "64"]) == 2
    assert "nosuch" in capsys.readouterr().err
