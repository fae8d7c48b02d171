"""`frft world` as a person uses and misuses it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from frft.cli import main

SMALL = ["--pool-size", "400", "--demonstrations", "20", "--train-prompts", "20", "--evaluation-prompts", "20"]


def test_a_world_is_made_read_and_described(tmp_path, capsys):
    out = tmp_path / "w"
    assert main(["world", "make", "--out", str(out), "--lambda", "2", "--near-lambda", "0", *SMALL]) == 0
    printed = capsys.readouterr().out
    assert "400" in printed
    assert json.loads((out / "world.json").read_text())["lambda_"] == 2.0
    assert main(["data", str(out / "pairs.jsonl"), "--max-rejected", "0"]) == 0
    assert "400 accepted, 0 rejected" in capsys.readouterr().out
    assert main(["world", "describe", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "20,000 pairs measured" in printed
    assert "annotator-5" in printed
    assert "flattering" in printed
    assert main(["world", "describe", str(out), "--json"]) == 0
    folder = json.loads(capsys.readouterr().out)
    dials = ["--lambda", "2", "--near-lambda", "0", "--pool-size", "400"]
    assert main(["world", "describe", "--json", *dials]) == 0
    assert json.loads(capsys.readouterr().out) == folder


def test_domains_are_described(tmp_path, capsys):
    out = tmp_path / "w"
    dials = ["--domains", "2", "--pool-mixture", "1", "3", "--policy-mixture", "0", "1", "--lambda", "0"]
    assert main(["world", "make", "--out", str(out), *dials, *SMALL]) == 0
    assert json.loads((out / "world.json").read_text())["pool_mixture"] == [1.0, 3.0]
    row = json.loads((out / "demonstrations.jsonl").read_text().splitlines()[0])
    assert row["domain"] == "domain-1"
    capsys.readouterr()
    assert main(["world", "describe", str(out)]) == 0
    printed = capsys.readouterr().out
    for said in ("blind to the domain", "domain-0", "domain-1", "right on labels", "agrees with gold", "Terry on r*"):
        assert said in printed
    assert main(["world", "describe", *dials, "--json"]) == 0
    assert [each["domain"] for each in json.loads(capsys.readouterr().out)["domains"]] == ["domain-0", "domain-1"]


def test_dials_that_are_off_and_json(tmp_path, capsys):
    out = tmp_path / "w"
    assert main(["world", "make", "--out", str(out), "--pairs-within-source=false", "--json", *SMALL]) == 0
    assert json.loads(capsys.readouterr().out)["rows"]["pairs.jsonl"] == 400
    assert json.loads((out / "world.json").read_text())["pairs_within_source"] is False


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["make"], "--out"),
        (["make", "--out", "w", "--kappa", "1.5"], "--kappa"),
        (["make", "--out", "w", "--near-policy", "6"], "--near-policy (6) must be below sources"),
        (["make", "--out", "full"], "something is there"),
        (["describe", "--anti-gold", "--lambda", "0"], "raise --lambda or --near-lambda"),
        (["describe", "full", "--kappa", "0"], "dials of its own"),
        (["describe", "--zork"], "--zork"),
        (["describe", "--conflict", "0"], "conflict means nothing with one domain"),
        (["describe", "--domains", "2", "--pool-mixture", "1"], "give one for each"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_wrong_request_is_status_2(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    assert main(["world", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_a_folder_that_is_no_world_is_status_1(tmp_path, capsys):
    assert main(["world", "describe", str(tmp_path)]) == 1
    assert "world.json is missing" in capsys.readouterr().err


def test_help_imports_nothing_heavy():
    code = """if True:
        import sys
        from frft.cli import main
        main(["world", "make", "--help"])
        print([name for name in ("numpy", "scipy", "pyarrow", "torch") if name in sys.modules])"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
