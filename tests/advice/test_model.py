"""The logistic model against brute force, another optimizer, and cases whose truth is known."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import spearmanr

from frft.advice.evidence import MeasuredEvidence
from frft.advice.model import INPUTS, PREDICTED_OUTCOMES, KnownExperiment, LogisticModel

GOLD = PREDICTED_OUTCOMES["gold"]


def test_coefficients_are_those_of_another_optimizer(make_cases):
    cases = make_cases(3.0)
    model = LogisticModel.train(cases, GOLD)
    x_NF = np.array(
        [[measure(case.evidence).mean for measure in (INPUTS[name] for name in GOLD.inputs)] for case in cases]
    )
    # All cases are equally well known: 500 near pairs at 60 %, and the errors of `make_evidence`.
    variance_F = np.array([0.0, 0.005**2, 0.6 * 0.4 / 500 + 0.01**2])
    known_F = 1 - variance_F / x_NF.var(axis=0)
    known_F = known_F / (known_F + variance_F / x_NF.var(axis=0))
    x_NF = known_F * (x_NF - x_NF.mean(axis=0)) / x_NF.std(axis=0)
    sign_N = np.array([1 if case.gain > 0 else -1 for case in cases])

    def objective(theta):
        return (
            GOLD.strength * np.logaddexp(0, -sign_N * (x_NF @ theta[:-1] + theta[-1])).sum()
            + theta[:-1] @ theta[:-1] / 2
        )

    theta = minimize(objective, np.zeros(4), tol=1e-12).x
    assert [*model.coefficients.values(), model.intercept] == pytest.approx(theta, abs=2e-3)
    first = cases[0].evidence
    assert model.probability(first) == pytest.approx(1 / (1 + np.exp(-x_NF[0] @ theta[:-1] - theta[-1])), abs=1e-3)
    assert model.intercept + sum(model.terms(first).values()) == pytest.approx(
        x_NF[0] @ theta[:-1] + theta[-1], abs=5e-3
    )


def test_figures_of_a_test_are_those_of_brute_force(make_cases):
    cases = make_cases(2.0)
    model, held = LogisticModel.train(cases[:32], GOLD), cases[32:]
    held = [*held, *held[:3]]
    tested = model.test(held)
    pairs = [(one, two) for one in held if one.gain > 0 for two in held if two.gain <= 0]
    p = {id(case): model.probability(case.evidence) for case in held}
    right = [(p[id(one)] > p[id(two)]) + (p[id(one)] == p[id(two)]) / 2 for one, two in pairs]
    assert tested.auc == pytest.approx(np.mean(right))
    assert tested.spearman == pytest.approx(spearmanr([p[id(c)] for c in held], [c.gain for c in held]).statistic)
    assert tested.auc_low <= tested.auc <= tested.auc_high
    assert (tested.clusters, tested.cases, tested.helped) == (4, 35, sum(case.gain > 0 for case in held))


def test_cases_of_one_world_are_no_new_proof(make_cases):
    cases = make_cases(2.0)
    model = LogisticModel.train(cases[:32], GOLD)
    once, often = model.test(cases[32:]), model.test(cases[32:] * 20)
    assert often.auc == pytest.approx(once.auc)
    assert (often.auc_low, often.auc_high) == pytest.approx((once.auc_low, once.auc_high))


def test_what_cannot_be_told_is_none(make_cases, make_evidence):
    model = LogisticModel.train(make_cases(2.0), GOLD)
    same = [KnownExperiment("w", 0, make_evidence(), gain) for gain in (1.0, 2.0)]
    tested = model.test(same)
    assert (tested.auc, tested.auc_low, tested.auc_high, tested.spearman) == (None, None, None, None)
    assert "AUC unknown" in tested.sentence()


def test_inputs_beyond_training_count_as_the_last_seen_there(make_cases, make_evidence):
    model = LogisticModel.train(make_cases(2.0), GOLD)
    far, edge = make_evidence(auc=0.999), make_evidence(auc=model.highs["auc"])
    assert model.beyond(far) == ["auc"]
    assert model.beyond(edge) == []
    assert model.probability(far) == model.probability(edge)


def test_an_input_counts_as_far_as_it_is_known(make_cases, make_evidence):
    model = LogisticModel.train(make_cases(2.0), GOLD)
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
    model = LogisticModel.train(cases, GOLD)
    assert model.spreads["locality"] == 0
    assert model.terms(cases[0].evidence)["locality"] == 0


def test_a_gain_below_what_is_worth_it_is_no_help(make_evidence):
    accuracy = PREDICTED_OUTCOMES["accuracy"]
    cases = [
        KnownExperiment(f"w{n}", 0, make_evidence(transfer_gap=MeasuredEvidence(0.01 * n, 0.01)), 0.01 * n - 0.01)
        for n in range(10)
    ]
    model = LogisticModel.train(cases, accuracy)
    worth_it = [case for case in cases if case.gain > 0.03]
    assert (model.helped, model.outcome) == (len(worth_it), "accuracy")
    assert model.test(cases).helped == len(worth_it) < sum(case.gain > 0 for case in cases)
    assert model.coefficients["transfer_gap"] > 0
    assert LogisticModel.train(cases, GOLD).helped > len(worth_it)
