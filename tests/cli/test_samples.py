"""How commands read what a policy wrote."""

from __future__ import annotations

import json

import pytest

from frft.cli import main
from frft.cli.pool import PoolOptions
from frft.cli.samples import SampleKeys, SampleOptions
from frft.config.sections import DataConfig
from frft.progress import SILENT


def test_what_samples_and_pairs_have_in_common_is_the_same():
    for name in ("split", "max_rejected"):
        assert SampleOptions.model_fields[name].description == DataConfig.model_fields[name].description
    options = SampleKeys(samples_prompt_key="q", completion_key="a").beside(
        PoolOptions(split="test", prompt_key="p", max_rejected=0.5)
    )
    assert options.model_dump() == {
        "split": "test",
        "prompt_key": "q",
        "completion_key": "a",
        "max_rejected": 0.5,
    }


def test_options_decide_how_samples_are_read(write_rows, tmp_path):
    path = write_rows("odd.jsonl", [{"q": "p", "a": "c", "model": 7}, {"q": "p", "a": "d", "model": 8}, {"q": "p"}])
    options = SampleOptions(prompt_key="q", completion_key="a", max_rejected=0.5)
    samples = options.load(str(path), SILENT, model="7", rejects_path=tmp_path / "rejects.jsonl")
    assert (samples.prompts, samples.completions) == (["p"], ["c"])
    assert json.loads((tmp_path / "rejects.jsonl").read_text())["line"] == 3


PAIRS = ["--pairs", "pairs.jsonl"]
VERBS = {
    "select": ["select", "--out", "out", "--strategy", "random", "--size", "3", "--pairs", "pairs.jsonl", "--samples"],
    "advise": ["advise", "--pairs", "pairs.jsonl", "--samples"],
    "reward train": [
        "reward",
        "train",
        "--model-name-or-path",
        "x",
        "--out",
        "o",
        "--pairs",
        "pairs.jsonl",
        "--samples",
    ],
    "diagnose": ["diagnose", "--reward-model", "x", "--pairs", "pairs.jsonl", "--completions"],
    "bench": [
        "bench",
        "fixed-actor",
        "--out",
        "b",
        "--pairs",
        "pairs.jsonl",
        "--test-pairs",
        "pairs.jsonl",
        "--samples",
    ],
    "reward score": ["reward", "score", "--model", "x", "--out", "out.jsonl", "--samples"],
    "eval winrate": ["eval", "winrate", "--judge", "annotations:pairs.jsonl", "samples.jsonl"],
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_that_reads_samples_takes_the_options(verb, write_rows, pairs_file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FRFT_STORE", str(tmp_path / "store"))
    rows = [{"q": "p", "a": f"c {n}"} for n in range(9)]
    write_rows("odd.jsonl", rows)
    write_rows("samples.jsonl", rows)
    key = "--prompt-key" if verb in ("reward score", "eval winrate") else "--samples-prompt-key"
    command = [*VERBS[verb], "odd.jsonl"]
    assert main(command) == 2
    assert f"{key} and --completion-key" in capsys.readouterr().err.replace("\n", " ")
    # The samples are read now; without a model or an embedder the verbs get no further, whatever they say of that.
    main([*command, key, "q", "--completion-key", "a"])
    assert "cannot be used" not in capsys.readouterr().err
