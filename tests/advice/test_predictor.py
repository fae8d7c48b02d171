"""The predictor against brute force, another optimizer, and cases whose truth is known."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import spearmanr

from frft.advice.evidence import MeasuredEvidence
from frft.advice.predictor import (
    INPUTS,
    STRENGTH,
    KnownExperiment,
    LogisticModel,
    Predictor,
    fit_predictor,
    packaged_predictor,
)
from frft.errors import ArtifactError, DataError


@pytest.fixture
def make_cases(make_evidence):
    """Cases in worlds of 8 seeds, whose gain is `slope` times the agreement of the world, luck of the seed, and noise.

    A seed is known by its AUC.
    """

    def make(slope, worlds=8, noise=0.3, seed=0, luck=0.0):
        rng = np.random.default_rng(seed)
        cases, lucks_8, aucs_8 = [], luck * rng.permutation(np.linspace(-1, 1, 8)), rng.uniform(0.6, 0.9, 8)
        for world in range(worlds):
            agreement = rng.normal(0, 0.1)
            for n in range(8):
                found = make_evidence(
                    auc=aucs_8[n],
                    locality=rng.normal(0.01, 0.01),
                    agreement=agreement + rng.normal(0, 0.02),
                )
                gain = slope * agreement + lucks_8[n] + rng.normal(0, noise)
                cases.append(KnownExperiment(f"w{world}", n, found, gain))
        return cases

    return make


def test_coefficients_are_those_of_another_optimizer(make_cases):
    cases = make_cases(3.0)
    model = LogisticModel.train(cases)
    x_NF = np.array([[measure(case.evidence).mean for measure in INPUTS.values()] for case in cases])
    # All cases are equally well known: 500 near pairs at 60 %, and the errors of `make_evidence`.
    variance_F = np.array([0.0, 0.005**2, 0.6 * 0.4 / 500 + 0.01**2])
    known_F = 1 - variance_F / x_NF.var(axis=0)
    known_F = known_F / (known_F + variance_F / x_NF.var(axis=0))
    x_NF = known_F * (x_NF - x_NF.mean(axis=0)) / x_NF.std(axis=0)
    sign_N = np.array([1 if case.gain > 0 else -1 for case in cases])

    def objective(theta):
        return STRENGTH * np.logaddexp(0, -sign_N * (x_NF @ theta[:-1] + theta[-1])).sum() + theta[:-1] @ theta[:-1] / 2

    theta = minimize(objective, np.zeros(4), tol=1e-12).x
    assert [*model.coefficients.values(), model.intercept] == pytest.approx(theta, abs=2e-3)
    first = cases[0].evidence
    assert model.probability(first) == pytest.approx(1 / (1 + np.exp(-x_NF[0] @ theta[:-1] - theta[-1])), abs=1e-3)
    assert model.intercept + sum(model.terms(first).values()) == pytest.approx(
        x_NF[0] @ theta[:-1] + theta[-1], abs=5e-3
    )


def test_a_true_signal_is_found_on_other_worlds(make_cases):
    predictor = fit_predictor(make_cases(6.0, worlds=12), "embedder")
    assert predictor.model.worlds == predictor.test.worlds == 6
    assert predictor.test.seeds == 4
    assert predictor.model.cases == predictor.test.cases == 24
    assert predictor.model.coefficients["agreement"] > 3 * abs(predictor.model.coefficients["auc"])
    assert predictor.test.auc > 0.8
    assert predictor.beats_a_coin
    assert predictor.exchanged.auc > 0.7


def test_no_signal_is_not_better_than_a_coin(make_cases):
    tests = [fit_predictor(make_cases(0.0, seed=seed), "embedder") for seed in range(10)]
    assert np.mean([each.test.auc for each in tests]) == pytest.approx(0.5, abs=0.08)
    assert np.mean([each.beats_a_coin for each in tests]) < 0.2


def test_both_directions_must_beat_a_coin(make_cases):
    found = fit_predictor(make_cases(1.0), "e")
    low, high = replace(found.test, auc_low=0.4), replace(found.test, auc_low=0.6)
    for test, exchanged, beats in ((high, high, True), (high, low, False), (low, high, False)):
        assert replace(found, test=test, exchanged=exchanged).beats_a_coin == beats
    assert not replace(found, test=high, exchanged=replace(low, auc_low=None)).beats_a_coin


def test_the_luck_of_a_seed_is_no_proof(make_cases):
    """It is in all worlds alike, and the evidence tells the seed: whoever trains on it is right in all other worlds."""
    lucky = [make_cases(0.0, seed=seed, luck=1.0) for seed in range(6)]
    assert np.mean([fit_predictor(cases, "e").beats_a_coin for cases in lucky]) < 0.3
    known = [LogisticModel.train(cases[:32]).test(cases[32:]).auc for cases in lucky]
    assert np.mean(known) > 0.6


def test_figures_of_a_test_are_those_of_brute_force(make_cases):
    cases = make_cases(2.0)
    model, held = LogisticModel.train(cases[:32]), cases[32:]
    held = [*held, *held[:3]]
    tested = model.test(held)
    pairs = [(one, two) for one in held if one.gain > 0 for two in held if two.gain <= 0]
    p = {id(case): model.probability(case.evidence) for case in held}
    right = [(p[id(one)] > p[id(two)]) + (p[id(one)] == p[id(two)]) / 2 for one, two in pairs]
    assert tested.auc == pytest.approx(np.mean(right))
    assert tested.spearman == pytest.approx(spearmanr([p[id(c)] for c in held], [c.gain for c in held]).statistic)
    assert tested.auc_low <= tested.auc <= tested.auc_high
    assert (tested.worlds, tested.cases, tested.helped) == (4, 35, sum(case.gain > 0 for case in held))


def test_cases_of_one_world_are_no_new_proof(make_cases):
    cases = make_cases(2.0)
    model = LogisticModel.train(cases[:32])
    once, often = model.test(cases[32:]), model.test(cases[32:] * 20)
    assert often.auc == pytest.approx(once.auc)
    assert (often.auc_low, often.auc_high) == pytest.approx((once.auc_low, once.auc_high))


def test_the_order_of_cases_decides_nothing(make_cases):
    cases = make_cases(2.0)
    assert fit_predictor(cases, "e") == fit_predictor(cases[::-1], "e")


def test_what_cannot_be_told_is_none(make_cases, make_evidence):
    model = LogisticModel.train(make_cases(2.0))
    same = [KnownExperiment("w", 0, make_evidence(), gain) for gain in (1.0, 2.0)]
    tested = model.test(same)
    assert (tested.auc, tested.auc_low, tested.auc_high, tested.spearman) == (None, None, None, None)
    assert "AUC unknown" in tested.sentence()


def test_inputs_beyond_training_count_as_the_last_seen_there(make_cases, make_evidence):
    model = LogisticModel.train(make_cases(2.0))
    far, edge = make_evidence(auc=0.999), make_evidence(auc=model.highs["auc"])
    assert model.beyond(far) == ["auc"]
    assert model.beyond(edge) == []
    assert model.probability(far) == model.probability(edge)


def test_an_input_counts_as_far_as_it_is_known(make_cases, make_evidence):
    model = LogisticModel.train(make_cases(2.0))
    terms = [
        model.terms(make_evidence(agreement=0.1, **changes))
        for changes in (
            {"locality": 0.03},
            {"near_pairs": 3, "locality": MeasuredEvidence(0.03, 0.1)},
            {"far_accuracy": None, "far_log_loss": None, "locality": MeasuredEvidence(0.03, None)},
        )
    ]
    for name in ("locality", "agreement"):
        clear, vague, unknown = (each[name] for each in terms)
        assert 0 < abs(vague) < abs(clear) / 5
        assert unknown == 0
    assert terms[0]["auc"] == terms[1]["auc"] == terms[2]["auc"]
    nothing_known = make_evidence(far_accuracy=None, far_log_loss=None, locality=MeasuredEvidence(9.0, None))
    assert model.beyond(nothing_known) == []


def test_an_input_that_is_all_error_is_not_used(make_evidence):
    rng = np.random.default_rng(0)
    cases = [
        KnownExperiment(
            f"w{n % 4}", n // 4, make_evidence(auc=rng.random(), locality=MeasuredEvidence(0.001 * n, 5.0)), (-1.0) ** n
        )
        for n in range(20)
    ]
    model = LogisticModel.train(cases)
    assert model.spreads["locality"] == 0
    assert model.terms(cases[0].evidence)["locality"] == 0


def test_too_little_to_fit(make_cases):
    with pytest.raises(DataError, match="of 3 different worlds"):
        fit_predictor(make_cases(1.0, worlds=3), "e")
    with pytest.raises(DataError, match="of 3 different seeds"):
        fit_predictor([case for case in make_cases(1.0) if case.seed < 3], "e")
    all_gained = [KnownExperiment(case.world, case.seed, case.evidence, 1.0) for case in make_cases(1.0)]
    with pytest.raises(DataError, match="Of the 16 cells to train on, 16 gained"):
        fit_predictor(all_gained, "e")


def test_there_and_back(make_cases, tmp_path):
    predictor = fit_predictor(make_cases(1.0), "embedder")
    predictor.write(tmp_path / "predictor.json")
    assert Predictor.read(tmp_path / "predictor.json") == predictor


@pytest.mark.parametrize("damage", [{"format": "other"}, {"test": {}}, {"model": {"coefficients": {}}}, None, []])
def test_what_is_no_predictor(damage, make_cases, tmp_path):
    path = tmp_path / "predictor.json"
    fit_predictor(make_cases(1.0), "embedder").write(path)
    good = json.loads(path.read_text())
    path.write_text(json.dumps({**good, **damage} if isinstance(damage, dict) else damage))
    with pytest.raises(ArtifactError, match="no predictor of this version"):
        Predictor.read(path)


def test_the_one_that_comes_with_the_package_can_be_read():
    found = packaged_predictor()
    assert found is not None
    assert set(found.model.coefficients) == set(INPUTS)
