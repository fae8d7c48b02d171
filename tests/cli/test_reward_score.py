"""`frft reward score`: texts in, scores out."""

from __future__ import annotations

import json

import pytest

from frft.cli import main
from frft.reward import RewardModel


@pytest.fixture(scope="module")
def reward_folder(tiny_lm_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reward")
    RewardModel.load(tiny_lm_folder, seed=0, max_length=32).save(folder)
    return folder


@pytest.fixture
def samples(write_rows):
    texts = ["Yes.", "No.", "No.", "", "long " * 40 + "a", "long " * 40 + "b"]
    rows = [{"prompt": "Why?", "completion": text, "model": f"m{n % 2}"} for n, text in enumerate(texts)]
    return write_rows("samples.jsonl", rows), rows


def score(reward_folder, *more):
    return main(["reward", "score", "--model", str(reward_folder), *map(str, more)])


def rows_of(path):
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


def test_every_text_gets_the_score_that_the_model_gives_it(reward_folder, samples, tmp_path, capsys):
    file, rows = samples
    assert score(reward_folder, "--samples", file, "--out", tmp_path / "scores.jsonl") == 0
    scored = rows_of(tmp_path / "scores.jsonl")
    texts = [row["prompt"] for row in rows], [row["completion"] for row in rows]
    assert ([row["prompt"] for row in scored], [row["completion"] for row in scored]) == texts
    assert [row["score"] for row in scored] == RewardModel.load(reward_folder, seed=0)(*texts)
    printed = capsys.readouterr().out
    assert "6 scores" in printed
    assert "1 rows repeat an earlier one" in printed
    # The two long texts differ only in what is cut off.
    assert "2 different texts have exactly the score of another" in printed
    assert "2 the end of their completion (longer than 32 tokens)" in printed


def test_scores_in_the_format_that_is_asked_for_and_of_a_model_saved_as_adapters(
    tiny_lm_folder, saved_adapters, samples, tmp_path, capsys
):
    file, rows = samples
    folder = saved_adapters(tiny_lm_folder, tmp_path / "adapters", "SEQ_CLS")
    given = ("--samples", file, "--out", tmp_path / "scores.jsonl", "--max-length", "32")
    assert score(folder, *given, "--dtype", "bfloat16", "--json") == 0
    assert json.loads(capsys.readouterr().out)["dtype"] == "bfloat16"
    model = RewardModel.load(folder, seed=0, max_length=32, dtype="bfloat16")
    texts = [row["prompt"] for row in rows], [row["completion"] for row in rows]
    assert [row["score"] for row in rows_of(tmp_path / "scores.jsonl")] == model(*texts)
    assert score(folder, *given) == 0
    assert "computed in float32" in capsys.readouterr().out
    (folder / "adapter_config.json").write_text('{"peft_type": "PREFIX_TUNING"}')
    assert score(folder, *given) == 1
    assert "PREFIX_TUNING, which are no change of the model's weights" in capsys.readouterr().err


def test_text_says_what_json_holds(reward_folder, samples, write_rows, tmp_path, capsys):
    file = write_rows("more.jsonl", [*samples[1], {"prompt": "no completion"}])
    given = ("--samples", file, "--out", tmp_path / "scores.jsonl", "--max-rejected", "0.5")
    assert score(reward_folder, *given, "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["texts"], figures["repeated"], figures["ties"], figures["rejected"]) == (6, 1, 2, 1)
    assert figures["truncated"]["completions_truncated"] == 2
    assert score(reward_folder, *given) == 0
    printed = capsys.readouterr().out
    assert f"{figures['mean']:+.3f}" in printed
    assert f"{figures['highest']:+.3f}" in printed
    assert "1 of 7 rows could not be used, and have no score." in printed


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_asked_for(reward_folder, samples, tmp_path, capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.chdir(tmp_path)
    assert score(reward_folder, "--samples", "samples.jsonl", "--out", "scores.jsonl") == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= width


def test_scores_can_be_of_one_model_and_are_what_diagnose_takes_from_a_judge(reward_folder, samples, tmp_path):
    from frft.diagnosis import load_judge_scores

    out = tmp_path / "scores.jsonl"
    assert score(reward_folder, "--samples", samples[0], "--written-by", "m0", "--out", out) == 0
    rows = rows_of(out)
    assert [row["completion"] for row in rows] == ["Yes.", "No.", "long " * 40 + "a"]
    assert load_judge_scores(str(out)) == {(row["prompt"], row["completion"]): row["score"] for row in rows}


def test_what_is_read_is_not_written_over_and_a_model_without_a_head_leaves_nothing(
    reward_folder, tiny_lm_folder, samples, tmp_path, capsys
):
    file, _ = samples
    before = file.read_bytes()
    assert score(reward_folder, "--samples", file, "--out", file) == 2
    assert file.read_bytes() == before
    assert score(tiny_lm_folder, "--samples", file, "--out", tmp_path / "scores.jsonl") == 1
    assert "frft reward train gives it one" in " ".join(capsys.readouterr().err.split())
    assert [path.name for path in tmp_path.iterdir()] == ["samples.jsonl"]
