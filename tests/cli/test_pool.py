from __future__ import annotations

import json

import pytest

from frft.cli import main
from frft.cli.pool import PoolOptions
from frft.config.sections import DataConfig
from frft.errors import SettingsError
from frft.progress import SILENT


def test_options_are_those_of_a_run():
    fields = PoolOptions.model_fields
    assert set(fields) == {"split", "prompt_key", "chosen_key", "rejected_key", "max_rejected"}
    assert PoolOptions().model_dump() == DataConfig(pairs="x").model_dump(include=set(fields))
    for name, field in fields.items():
        assert field.description == DataConfig.model_fields[name].description
    with pytest.raises(SettingsError, match=r"must be at most 1\.0, got 1\.5"):
        PoolOptions(max_rejected=1.5)


def test_options_decide_how_pairs_are_read(write_rows, tmp_path):
    rows = [{"q": f"prompt {n}", "good": "yes", "bad": "no"} for n in range(9)]
    path = write_rows("odd.jsonl", [*rows, {"q": "prompt"}])
    options = PoolOptions(prompt_key="q", chosen_key="good", rejected_key="bad", max_rejected=0.1)
    pool = options.load([str(path)], SILENT, rejects_path=tmp_path / "rejects.jsonl")
    assert pool.table["prompt"].to_pylist() == [row["q"] for row in rows]
    assert json.loads((tmp_path / "rejects.jsonl").read_text())["line"] == 10


@pytest.mark.parametrize(
    "verb",
    [
        ["select", "--samples", "samples.jsonl", "--out", "out", "--strategy", "random", "--store", "c", "--pairs"],
        ["reward", "train", "--model-name-or-path", "tiny", "--out", "out", "--pairs"],
        ["reward", "eval", "--model", "tiny", "--pairs"],
    ],
    ids=lambda verb: " ".join(verb[:2]),
)
def test_every_verb_that_reads_pairs_takes_the_options(verb, write_rows, samples_file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_rows("odd.jsonl", [*({"q": f"p {n}", "good": "yes", "bad": "no"} for n in range(9)), {"q": "p"}])
    command = [*verb, "odd.jsonl"]
    assert main(command) == 2
    assert "--prompt-key, --chosen-key, --rejected-key" in capsys.readouterr().err
    command += ["--prompt-key", "q", "--chosen-key", "good", "--rejected-key", "bad"]
    assert main(command) == 2
    complaint = capsys.readouterr().err
    assert "1 of 10 rows (10.00%) cannot be used; at most 1.00% may be (max_rejected)" in complaint
    assert "raise max_rejected (--max-rejected;" in complaint
    # The pairs are read now; with no model there, the verbs that need one get no further.
    assert main([*command, "--max-rejected", "0.1"]) == (1 if verb[0] == "reward" else 0)
    assert "cannot be used" not in capsys.readouterr().err
    assert main([*command, "--max-rejected", "1.1"]) == 2
    assert "--max-rejected: Input should be less than or equal to 1, got '1.1'" in capsys.readouterr().err
