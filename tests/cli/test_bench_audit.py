"""`frft bench audit`: real verdicts against docs/benchmarks/labels-audit-llmbar.md, JSON, and what is refused."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from frft.cli import main

PAGE = Path(__file__).resolve().parents[2] / "docs/benchmarks/labels-audit-llmbar.md"
ORDERS = 400


@pytest.fixture
def verdicts_file(write_rows):
    return write_rows(
        "verdicts.jsonl",
        [
            {"prompt": f"{n}", "half": "ab"[n % 2], "verdicts": {"Ann": n % 10 > 0, "Bob": [n % 2 == 0, None]}}
            for n in range(80)
        ],
    )


def test_decisions_counts_and_missing_verdicts(verdicts_file, capsys):
    arguments = [
        "bench",
        "audit",
        str(verdicts_file),
        "--labeller-accuracy",
        "0.9",
        "--at-most",
        "30",
        "--orders",
        "50",
    ]
    assert main([*arguments, "--region-column", "half"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "80 pairs, 2 annotators, 2 regions. A labeller who is right with probability 0.9" in printed
    assert "│ Bob │ a │ 40 │ 100.0 │ 100.0 │ 0.0 │" in printed
    assert "│ Bob │ b │ 40 │ 0.0 │ 0.0 │ 100.0 │" in printed
    assert "80 verdicts of Bob could not be read, and are left out: a (40), b (40)." in printed
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["read"], found["accepted"], found["at_most"], found["orders"], found["seed"]) == (80, 80, 30, 50, 0)
    only = found["annotators"]["Ann"]["regions"]["all"]
    assert (only["pairs"], only["prompts"], only["right"]) == (80, 80, 0.9)
    assert only["alone"]["use"] + only["alone"]["refuse"] + only["alone"]["unknown"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--labeller-accuracy", "0.5"], "a labeller who is right more often than not"),
        (["--labeller-accuracy", "0.8", "--orders", "0"], "--orders 0"),
        (["--labeller-accuracy", "0.8", "--at-most", "0"], "--at-most 0"),
        (["--labeller-accuracy", "0.8", "--region-column", "thirds"], "thirds"),
    ],
)
def test_requests_that_make_no_sense(arguments, complaint, verdicts_file, capsys):
    assert main(["bench", "audit", str(verdicts_file), *arguments]) == 2
    assert complaint in capsys.readouterr().err


def tables_of(page: str) -> list[list[list[str]]]:
    """The cells of each table of a page, without its head."""
    found = re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE)
    return [[[c.strip() for c in line.strip("|").split("|")] for line in each.splitlines()[2:]] for each in found]


def test_the_page_says_what_the_command_finds(shared_data, capsys):
    together, *_, alone = tables_of(PAGE.read_text())
    file = str(shared_data / "llmbar" / "pairs.jsonl.gz")
    arguments = ["--region-column", "subset", "--labeller-accuracy", "0.8", "--orders", str(ORDERS), "--seed", "9"]
    assert main(["bench", "audit", file, *arguments, "--json"]) == 0
    annotators = json.loads(capsys.readouterr().out)["annotators"]
    rows = [(name, region, each) for name, found in annotators.items() for region, each in found["regions"].items()]
    assert [cells[:2] for cells in together] == [[name, region] for name, region, _ in rows]

    def near(cell: str, share: float) -> bool:
        # The page has 1,000 orders and another seed.
        p = (float(cell) / 100 * 1000 + share * ORDERS + 1) / (1000 + ORDERS + 2)
        return abs(float(cell) / 100 - share) < 4.5 * math.sqrt(p * (1 - p) * (1 / 1000 + 1 / ORDERS)) + 0.0006

    for cells, (_, _, each) in zip(together, rows, strict=True):
        assert cells[2:4] == [str(each["pairs"]), f"{100 * each['right']:.1f}"]
        assert near(cells[4], each["together"]["use"])
        assert near(cells[5], each["together"]["refuse"])
    of_page = {(cells[0], cells[1]): cells[2:] for cells in alone}
    for name, region, each in rows:
        cells = of_page[name, region]
        assert near(cells[0], each["alone"]["use"])
        assert near(cells[1], each["alone"]["refuse"])
        exact = each["independent"]
        assert cells[3:] == [f"{100 * exact['use']:.1f}", f"{100 * exact['refuse']:.1f}", f"{exact['mean_labels']:.0f}"]
