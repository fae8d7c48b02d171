"""`frft reward check`: its verdict as exit status, its JSON, and wrong requests."""

from __future__ import annotations

import json
import shutil

import pytest

from frft.cli import main
from frft.reward import RewardModel


@pytest.fixture(scope="module")
def folder(tiny_lm_folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("checked") / "rm"
    RewardModel.load(tiny_lm_folder, seed=0, max_length=128).save(path)
    return path


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows")
    pairs = [{"prompt": f"Question {n}?", "chosen": f" Yes {n}.", "rejected": " No, never."} for n in range(6)]
    samples = [
        {"prompt": each["prompt"], "completion": each[side]} for each in pairs for side in ("chosen", "rejected")
    ]
    for name, found in (("pairs", pairs), ("samples", samples)):
        (path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    return path


def check(*words):
    return main(["reward", "check", *map(str, words)])


def test_the_verdict_and_everything_measured_are_json_and_the_status_follows(folder, rows, capsys):
    status = check(folder, "--pairs", rows / "pairs.jsonl", "--samples", rows / "samples.jsonl", "--limit", 4, "--json")
    found = json.loads(capsys.readouterr().out)
    assert status == (1 if found["verdict"] == "not fit" else 0)
    assert {each["name"] for each in found["findings"]} >= {"padding on the left changes scores elsewhere"}
    assert (found["facts"]["model"], found["facts"]["trained_with"]) == (str(folder), "plain")
    assert (found["pairs"]["of"], found["pairs"]["evaluation"]["n"]) == (6, 4)
    assert (found["samples"]["of"], found["samples"]["scores"]["texts"]) == (12, 4)
    assert found["agreement"]["difference"] < 1e-5
    assert found["against"] is None
    assert "scores" not in found


def test_without_data_a_model_is_fit_and_a_copy_is_the_same_model(folder, tmp_path, capsys):
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert check(folder, "--against", copy) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith("Verdict: fit with remarks.")
    assert "The files of both say the same of the model." in printed
    other = RewardModel.load(folder, seed=0)
    other.model.score.weight.data *= -1
    other.save(tmp_path / "other")
    assert check(folder, "--against", tmp_path / "other") == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith("Verdict: not fit. • FAULT: another model.")


def test_one_that_reads_completions_alone_is_compared_on_them_and_it_is_said(tiny_lm_folder, rows, tmp_path, capsys):
    RewardModel.load(tiny_lm_folder, seed=0, max_length=128, reads="completion").save(tmp_path / "rm")
    given = (tmp_path / "rm", "--pairs", rows / "pairs.jsonl")
    assert check(*given) == check(*given, "--json") == 0
    text, found = (" ".join(part.split()) for part in capsys.readouterr().out.split("{", 1))
    found = json.loads("{" + found)
    assert found["facts"]["reads"] == "completion"
    assert (found["agreement"]["refused"], found["agreement"]["other_tokens"]) == (0, 0)
    assert "reads │ completions without their prompts, as plain text" in text
    verbs = [("eval", "--pairs", "pairs"), ("score", "--out", str(tmp_path / "scores"), "--samples", "samples")]
    for verb, *options, name in verbs:
        assert main(["reward", verb, "--model", str(tmp_path / "rm"), *options, str(rows / f"{name}.jsonl")]) == 0
        assert "It reads completions without their prompts, as plain text." in capsys.readouterr().out


def test_a_model_that_cannot_be_loaded_is_1_and_a_wrong_request_2(folder, tiny_lm_folder, rows, tmp_path, capsys):
    assert check(tiny_lm_folder) == 1
    assert "looks like a language model" in capsys.readouterr().err
    assert check(folder, "--pairs", tmp_path / "none.jsonl") == 2
    assert check(folder, "--limit", 0) == 2
    capsys.readouterr()
    assert check(folder, "--against", folder) == 2
    assert "the model that is checked. Name another folder." in capsys.readouterr().err


def test_a_template_that_was_not_trained_with_is_refused(folder, capsys):
    assert check(folder, "--chat-template", "none") == 1
    assert "was trained on conversations by the chat template plain" in capsys.readouterr().err
