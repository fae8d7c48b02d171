"""Predictors on cases whose truth is known: what passes its tests, what does not, and files."""

import json
from dataclasses import replace
from importlib import resources

import numpy as np
import pytest

from frft.advice.evidence import MeasuredEvidence
from frft.advice.model import PREDICTED_OUTCOMES, KnownExperiment, LogisticModel
from frft.advice.predictor import FEWEST_CLUSTERS, SHOWN, Predictor, fit_predictor, fit_with_tests, packaged_predictor
from frft.errors import ArtifactError, DataError
from frft.store import is_sealed, read_sealed


def test_a_true_signal_is_found_on_other_worlds(make_cases):
    predictor = fit_predictor(make_cases(12.0, worlds=24), "embedder")
    test, exchanged = predictor.tests.values()
    assert predictor.model.clusters == test.clusters == 12
    assert test.seeds == 4
    assert predictor.model.cases == test.cases == 48
    assert predictor.model.coefficients["agreement"] > 3 * abs(predictor.model.coefficients["auc"])
    assert test.auc > 0.8
    assert exchanged.auc > 0.8
    assert predictor.is_shown


def test_no_signal_is_not_shown(make_cases):
    found = [fit_predictor(make_cases(0.0, seed=seed), "embedder") for seed in range(10)]
    assert np.mean([next(iter(each.tests.values())).auc for each in found]) == pytest.approx(0.5, abs=0.08)
    assert not any(each.is_shown for each in found)


def test_every_test_must_be_passed(make_cases):
    found = fit_predictor(make_cases(1.0), "e")
    test = next(iter(found.tests.values()))
    low, high = (replace(test, auc_low=SHOWN + more, clusters=FEWEST_CLUSTERS) for more in (0, 0.01))
    few = replace(high, clusters=FEWEST_CLUSTERS - 1)
    for one, two, failed in ((high, high, []), (high, low, ["b"]), (low, high, ["a"]), (few, high, ["a"])):
        tested = replace(found, tests={"a": one, "b": two})
        assert (list(tested.failed), tested.is_shown) == (failed, not failed)
    assert "rests on 9 clusters" in replace(found, tests={"a": few}).failed["a"]
    assert "does not lie above 0.7" in replace(found, tests={"a": low}).failed["a"]
    assert not replace(found, tests={"a": high, "b": replace(low, auc_low=None)}).is_shown
    assert not replace(found, tests={}).is_shown
    assert replace(found, tests={"a": high}, others={"b": low}).is_shown


def test_accuracy_is_tested_on_what_is_named_and_on_every_kind_left_out(make_evidence):
    rng = np.random.default_rng(0)

    def drawn(name, count):
        gains = rng.choice([0.0, 0.1], count) + rng.normal(0, 0.005, count)
        return [
            KnownExperiment(
                f"{name}{n % 10}",
                0,
                make_evidence(transfer_gap=MeasuredEvidence(gain + rng.normal(0, 0.02), 0.02)),
                gain,
            )
            for n, gain in enumerate(gains)
        ]

    trained, worlds, real = drawn("t", 40), drawn("w", 40), drawn("r", 40)
    kinds = {"worlds": [*trained, *worlds], "real": real}
    found = fit_with_tests(trained, {"worlds": worlds, "real": real}, kinds, "e")
    assert found.model == LogisticModel.train(
        sorted(trained, key=lambda case: (case.cluster, case.seed, case.gain)), PREDICTED_OUTCOMES["accuracy"]
    )
    assert found.tests == {"worlds": found.model.test(worlds), "real": found.model.test(real)}
    assert found.is_shown
    assert sorted(found.others) == [f"{kind}, trained on all other kinds" for kind in ("real", "worlds")]
    assert found.others["worlds, trained on all other kinds"].cases == 80
    assert fit_with_tests(trained[::-1], {"worlds": worlds, "real": real}, kinds, "e").model == found.model
    with pytest.raises(DataError, match="share 10 clusters"):
        fit_with_tests(trained, {"the same": trained[:20]}, kinds, "e")


def test_the_luck_of_a_seed_is_no_proof(make_cases):
    """It is in all worlds alike, and the evidence tells the seed: whoever trains on it is right in all other worlds."""
    lucky = [make_cases(0.0, seed=seed, luck=1.0) for seed in range(6)]
    assert np.mean([fit_predictor(cases, "e").is_shown for cases in lucky]) < 0.3
    known = [LogisticModel.train(cases[:32], PREDICTED_OUTCOMES["gold"]).test(cases[32:]).auc for cases in lucky]
    assert np.mean(known) > 0.6


def test_the_order_of_cases_decides_nothing(make_cases):
    cases = make_cases(2.0)
    assert fit_predictor(cases, "e") == fit_predictor(cases[::-1], "e")


def test_too_little_to_fit(make_cases):
    with pytest.raises(DataError, match="of 3 different worlds"):
        fit_predictor(make_cases(1.0, worlds=3), "e")
    with pytest.raises(DataError, match="of 3 different seeds"):
        fit_predictor([case for case in make_cases(1.0) if case.seed < 3], "e")
    all_gained = [KnownExperiment(case.cluster, case.seed, case.evidence, 1.0) for case in make_cases(1.0)]
    with pytest.raises(DataError, match="Of the 16 cases to train on, 16 gained"):
        fit_predictor(all_gained, "e")


def test_there_and_back(make_cases, tmp_path):
    predictor = fit_predictor(make_cases(1.0), "embedder")
    predictor.write(tmp_path / "predictor.json")
    assert Predictor.read(tmp_path / "predictor.json") == predictor


@pytest.mark.parametrize(
    "damage", [{"format": "other"}, {"tests": {"a": {}}}, {"model": {"coefficients": {}}}, None, []]
)
def test_what_is_no_predictor(damage, make_cases, tmp_path):
    path = tmp_path / "predictor.json"
    fit_predictor(make_cases(1.0), "embedder").write(path)
    path.write_text(json.dumps({**read_sealed(path), **damage} if isinstance(damage, dict) else damage))
    with pytest.raises(ArtifactError, match=r"no (predictor of this version|JSON object).*frft advise fit"):
        Predictor.read(path)


def test_an_edited_coefficient_is_found(make_cases, tmp_path):
    path = tmp_path / "predictor.json"
    fit_predictor(make_cases(1.0), "embedder").write(path)
    found = json.loads(path.read_text())
    found["model"]["intercept"] = 7.0
    path.write_text(json.dumps(found))
    with pytest.raises(ArtifactError, match=r"predictor.json was changed after it was written.*frft advise fit"):
        Predictor.read(path)


def test_the_one_that_comes_with_the_package_can_be_read():
    with resources.as_file(resources.files("frft.advice") / "predictor.json") as path:
        assert is_sealed(path)
    found = packaged_predictor()
    assert found is not None
    assert set(found.model.coefficients) == set(found.outcome.inputs)
    assert found.tests
