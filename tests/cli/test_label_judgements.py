"""docs/benchmarks/labels-pandalm.md: what the page tells one to do is done, and gives the figures of the page."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from frft.cli import main

PAGE = (Path(__file__).resolve().parents[2] / "docs/benchmarks/labels-pandalm.md").read_text()


def test_judgements_become_labels_as_the_page_says(shared_data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("pairs.jsonl.gz").symlink_to(shared_data / "pandalm" / "pairs.jsonl.gz")
    Path("answers.py").write_text(re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1])
    commands = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)[1].replace("\\\n", "").splitlines()
    for command in commands[:-1]:
        program, *arguments = command.split()
        if program == "frft":
            assert main(arguments) == 0
        else:
            script, pairs, questions, _, answers = arguments
            done = subprocess.run(
                [sys.executable, script, pairs, questions], capture_output=True, text=True, check=True
            )
            Path(answers).write_text(done.stdout)
    assert "2511 answers added" in capsys.readouterr().out
    assert main([*commands[-1].split()[1:], "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    alpha = found["agreement"]["alpha"]["alpha"]
    assert f"alpha is {alpha['mean']:.2f} [{alpha['low']:.2f}, {alpha['high']:.2f}]" in PAGE
    consensus = found["agreement"]["consensus"]
    assert f"{consensus['sure']} of {consensus['questions']} questions" in PAGE
    for name, each in found["labellers"].items():
        errors = consensus["labellers"][name]
        rates = " | ".join(f"{100 * errors[key]:.1f} %" for key in ("accuracy", "where_left", "where_right"))
        assert f"| {name} | {each['left']} | {each['right']} | {each['tie']} | {rates} |" in PAGE
        assert (each["pool"], each["counts"]["answered"]) == (0, 837)
    for pair in found["agreement"]["pairs"]:
        names = f"{pair['first'][-1]} and {pair['second'][-1]}"
        counted = " | ".join(str(pair[key]) for key in ("agree", "questions", "one_tie", "both_tie"))
        low, mean, high = (round(100 * pair["accuracy"][key]) for key in ("low", "mean", "high"))
        assert f"| {names} | {counted} | {mean} % [{low}, {high}] |" in PAGE


def test_the_budgets_of_the_page(capsys):
    def plan(accuracy: str, sources: str) -> dict:
        assert (
            main(["label", "plan", "--labeller-accuracy", accuracy, "--ties", "0.1", "--sources", sources, "--json"])
            == 0
        )
        return json.loads(capsys.readouterr().out)

    for accuracy in ("0.97", "0.9", "0.8"):
        one, four = plan(accuracy, "1"), plan(accuracy, "4")
        audits = [f"{a['labels']} / {b['labels']}" for a, b in zip(one["audits"], four["audits"], strict=True)]
        gates = [f"{each['labels']:,}" for each in one["gates"]]
        assert f"| {accuracy} | {' | '.join([*audits, *gates])} |" in PAGE


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--labeller-accuracy", "0.4"], "right more often than not"),
        (["--labeller-accuracy", "0.9", "--right", "0.5"], "not 0.5, a coin"),
        (["--labeller-accuracy", "0.9", "--gains", "0.5"], "at most the disagreement"),
    ],
)
def test_plans_that_are_refused(arguments, complaint, capsys):
    assert main(["label", "plan", *arguments]) == 2
    assert complaint in " ".join(capsys.readouterr().err.split())
