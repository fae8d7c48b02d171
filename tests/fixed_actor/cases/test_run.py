"""Cases are measured once, and those of other embedders are not mixed."""

from __future__ import annotations

import json

import pytest

from frft.cli import main
from frft.errors import OutputError
from frft.fixed_actor.cases import CASES, run_cases
from frft.fixed_actor.cases.run import CASE_SETTINGS


def test_a_repeated_command_measures_nothing_anew(measured, planned, minilm_vectors):
    before = (measured / CASES).read_text()

    def never():
        raise AssertionError

    run_cases([(key, never) for key, _ in planned], minilm_vectors, measured)
    assert (measured / CASES).read_text() == before


def test_cases_of_another_embedder_are_not_mixed(measured, planned, minilm_vectors, tmp_path):
    settings = json.loads((measured / CASE_SETTINGS).read_text())
    (tmp_path / CASE_SETTINGS).write_text(json.dumps(settings | {"embedder": "another"}))
    with pytest.raises(OutputError, match="another embedder"):
        run_cases(planned, minilm_vectors, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--worlds", "2", "--pairs", "p"], "either --worlds"),
        ([], "either --worlds"),
        (["--worlds", "0"], "at least 1"),
        (["--worlds", "1", "--family", "f"], "give --pairs"),
        (["--pairs", "p", "--actor", "a"], "give --family"),
        (["--pairs", "p", "--family", "f", "--actor", "a", "--weights", "50"], "without --actor-of"),
    ],
)
def test_options_that_contradict_each_other(arguments, complaint, tmp_path, capsys):
    assert main(["advise", "cases", "--out", str(tmp_path / "out"), *arguments]) == 2
    assert complaint in " ".join(capsys.readouterr().err.split())


def test_the_command_says_what_it_measured(two_domains, minilm_vectors, tmp_path, shown, fits, capsys):
    for domain in ("cooking", "computers"):
        rows = [row for row in two_domains.to_pylist() if row["kind"] == domain]
        (tmp_path / f"{domain}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pairs = [str(tmp_path / f"{domain}.jsonl") for domain in ("cooking", "computers")]
    command = ["advise", "cases", "--out", str(tmp_path / "out"), "--pairs", *pairs, "--actor-of", "cooking"]
    assert main([*command, "--family", "made up", "--folds", "3", "--store", str(tmp_path / "store")]) == 0
    fits(shown)
    text, rows = " ".join(capsys.readouterr().out.split()), (tmp_path / "out" / CASES).read_text().splitlines()
    assert len(rows) == 3
    assert "│ made up │ 3 │ 1 │" in text
