"""A strategy of one's own, added by doing exactly what CONTRIBUTING says, in every command that selects."""

from __future__ import annotations

import json
import re
import textwrap
import tomllib
from pathlib import Path

import pytest
import yaml

from frft.cli import main
from frft.preferences import load_pool
from frft.selection import Selection

CONTRIBUTING = Path(__file__).resolve().parents[2] / "CONTRIBUTING.md"


@pytest.fixture
def recipe(install_package):
    """The two blocks of code of the recipe, installed; the strategy's name."""
    section = CONTRIBUTING.read_text().partition("- **a strategy**")[2].partition("\n- **")[0]
    module, project = (textwrap.dedent(block) for block in re.findall(r"(?:\n(?: {6}.*)?)+", section) if block.strip())
    groups = tomllib.loads(project)["project"]["entry-points"]
    points = "".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in groups.items()
    )
    (name,) = groups["frft.strategies"]
    install_package("my_strategies", module, points)
    return name


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def leading(selection):
    """The ids of pairs whose chosen completion is the nearer one, the farthest ahead first, ties by id."""
    rows = [(row["similarity_chosen"], row["similarity_rejected"], row["id"]) for row in selection.table.to_pylist()]
    return [
        id_ for chosen, rejected, id_ in sorted(rows, key=lambda row: (row[1] - row[0], row[2])) if chosen > rejected
    ]


def test_the_recipe_works_in_select_run_and_bench(recipe, pairs_file, settings_file, tmp_path, capsys):
    pairs = [json.loads(line) for line in pairs_file.read_text().splitlines()]
    cache = ["--store", str(tmp_path / "cache")]
    samples = tmp_path / "samples.jsonl"
    prompts = load_pool(str(pairs_file)).table["prompt"].unique().to_pylist()
    write(samples, [{"prompt": prompt, "completion": "Many people."} for prompt in prompts])
    out = tmp_path / "selection.parquet"
    command = ["select", "--pairs", str(pairs_file), "--samples", str(samples), *cache]
    assert main([*command, "--strategy", recipe, "--size", "10", "--out", str(out)]) == 0
    assert "the rejected completion is as near" in capsys.readouterr().out
    selection = Selection.read(out)
    assert selection.train_ids == leading(selection)[:10]
    assert selection.metadata["strategy_origin"]["package"] == "my-strategies"

    settings = yaml.safe_load(settings_file.read_text())
    settings["arms"] = {"vanilla": {"alpha": 0}, "own": {"selection": {"strategy": recipe}}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings))
    run = tmp_path / "run"
    assert main(["run", str(tmp_path / "run.yaml"), f"data.pairs={pairs_file}", "--out", str(run)]) == 0
    selection = Selection.read(run / "arms/own/selection-1.parquet")
    kept = sorted((row["rank"], row["id"]) for row in selection.table.to_pylist() if row["kept"])
    assert [id_ for _, id_ in kept] == leading(selection)[:28]

    # What the actor wrote is better in every other pair, and the worse one in the others.
    own = [row for row in pairs if row["chosen"].endswith("every day.")]
    rest = [row for row in pairs if row not in own]
    swapped = [{"chosen": row["rejected"], "rejected": row["chosen"]} for row in own[1::2]]
    write(tmp_path / "rest.jsonl", rest)
    write(tmp_path / "own.jsonl", [*own[::2], *swapped])
    rows = load_pool(str(tmp_path / "own.jsonl")).table.select(["prompt", "chosen", "rejected"]).to_pylist()
    wrote = [(row["prompt"], text) for row in rows for text in (row["chosen"], row["rejected"])]
    write(samples, [{"prompt": prompt, "completion": text} for prompt, text in wrote if text.endswith("every day.")])
    bench = ["bench", "fixed-actor", "--out", str(tmp_path / "bench"), "--samples", str(samples), *cache]
    bench += ["--pairs", str(tmp_path / "rest.jsonl"), "--test-pairs", str(tmp_path / "own.jsonl")]
    quick = ["--seeds", "1", "--sizes", "8", "--steps", "2", "--continue-steps", "2", "--starts", "scratch"]
    assert main([*bench, *quick, "--strategies", recipe]) == 0
    assert f"| scratch | {recipe} | 8 |" in (tmp_path / "bench/table.md").read_text()
