"""From cases to a predictor."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from frft.cli import main
from frft.errors import DataError
from frft.fixed_actor.cases import CASES, fit_on_cases, read_cases, summary_of_cases
from frft.fixed_actor.cases.run import CASE_SETTINGS
from frft.store import read_sealed, write_sealed


@pytest.fixture
def folders(measured, tmp_path):
    """A folder to train on and one to test on, whose gains go with the transfer gap."""
    lines, rng = read_cases(measured), np.random.default_rng(0)
    made = []
    for folder in ("train", "test"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / CASE_SETTINGS).write_text((measured / CASE_SETTINGS).read_text())
        rows = []
        for n in range(40):
            line, gain = lines[n % len(lines)], float(rng.choice([0.0, 0.1]))
            evidence = {**line.evidence, "transfer_gap": {"mean": gain + rng.normal(0, 0.02), "error": 0.02}}
            accuracy = line.selected.accuracy - gain
            at_random = [replace(each, accuracy=accuracy) for each in line.at_random]
            cluster = f"{folder} {n % 10}"
            rows.append(replace(line, fold=n, cluster=cluster, evidence=evidence, at_random=at_random).as_dict())
        (tmp_path / folder / CASES).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        made.append(tmp_path / folder)
    return made


def test_fit_trains_on_some_folders_and_tests_on_others(folders, tmp_path, capsys):
    train, test = folders
    out = tmp_path / "predictor.json"
    assert main(["advise", "fit", "--cases", str(train), "--test", str(test), "--out", str(out), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    predictor = fit_on_cases([train], [test])
    assert printed["model"]["coefficients"] == predictor.model.coefficients
    assert predictor.model.coefficients["transfer_gap"] > 0.3
    (tested,) = predictor.tests.items()
    assert tested[0] == "made up"
    assert (tested[1].cases, tested[1].clusters) == (40, 10)
    assert predictor.is_shown
    assert predictor.others == {}
    assert summary_of_cases(read_cases(test))[0].gained == tested[1].helped
    assert main(["advise", "fit", "--cases", str(train), "--test", str(train), "--out", str(out)]) == 2
    assert "share 10 clusters" in capsys.readouterr().err


def test_cases_of_another_embedder_are_not_compared(measured, tmp_path):
    settings = read_sealed(measured / CASE_SETTINGS)
    write_sealed(tmp_path / CASE_SETTINGS, settings | {"embedder": "another"})
    (tmp_path / CASES).write_text((measured / CASES).read_text())
    with pytest.raises(DataError, match="different embedders"):
        fit_on_cases([measured], [tmp_path])
    with pytest.raises(DataError, match="holds no cases"):
        fit_on_cases([measured], [tmp_path / "empty"])


def test_fit_wants_a_study_or_cases_with_a_test(tmp_path, capsys):
    assert main(["advise", "fit", "--cases", str(tmp_path), "--out", str(tmp_path / "p.json")]) == 2
    assert "--test" in capsys.readouterr().err
