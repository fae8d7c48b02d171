"""The answer in words: verdicts by probability, reasons with their numbers, and no pretence."""

from dataclasses import replace

import pytest

from frft.advice.advice import advise
from frft.advice.evidence import Annotator, MeasuredEvidence
from frft.advice.predictor import LogisticModel, Predictor, PredictorTest


@pytest.fixture
def predictor():
    """One that looks at agreement alone: the probability is sigmoid(20 * agreement)."""
    inputs = ("auc", "locality", "agreement")
    model = LogisticModel(
        means=dict.fromkeys(inputs, 0.0),
        scales=dict.fromkeys(inputs, 1.0),
        spreads=dict.fromkeys(inputs, 1e6),
        coefficients={"auc": 0.0, "locality": 0.0, "agreement": 20.0},
        lows={"auc": 0.5, "locality": -0.1, "agreement": -0.2},
        highs={"auc": 0.9, "locality": 0.1, "agreement": 0.2},
        intercept=0.0,
        worlds=5,
        cases=40,
        helped=20,
    )
    test = PredictorTest(worlds=5, seeds=4, cases=38, helped=21, auc=0.71, auc_low=0.58, auc_high=0.83, spearman=0.4)
    return Predictor("an embedder", model, test, test)


@pytest.mark.parametrize(
    ("agreement", "verdict", "helps"), [(0.1, "likely", 0.88), (0.0, "unclear", 0.5), (-0.1, "unlikely", 0.12)]
)
def test_verdicts(agreement, verdict, helps, make_evidence, predictor):
    advice = advise(make_evidence(agreement=agreement), predictor, "an embedder")
    assert advice.verdict == verdict
    assert advice.helps == pytest.approx(helps, abs=0.005)
    assert advice.answer.startswith(f"{verdict}. ")
    assert f"{helps:.2f}" in advice.answer
    assert any("AUC 0.71 (95 % interval 0.58 to 0.83; 0.5: a coin) on 38 experiments" in line for line in advice.limits)


@pytest.mark.parametrize("direction", ["test", "exchanged"])
@pytest.mark.parametrize("low", [0.49, None])
def test_a_predictor_that_may_be_a_coin_weighs_nothing(direction, low, make_evidence, predictor):
    coin = replace(predictor, **{direction: replace(predictor.test, auc=0.46, auc_low=low)})
    advice = advise(make_evidence(agreement=0.1), coin, "an embedder")
    assert (advice.helps, advice.verdict) == (None, "unclear")
    assert advice.answer.startswith("unclear. This predictor was not shown to tell")
    (line,) = (line for line in advice.limits if "Tested on others" in line)
    tested, exchanged = line.split(" The halves exchanged: ")
    assert ("AUC 0.46" in tested, "AUC 0.46" in exchanged) == (direction == "test", direction == "exchanged")
    assert any("weighs nothing, and the verdict is unclear" in line for line in advice.limits)
    assert advice.reasons == advise(make_evidence(agreement=0.1), None, "an embedder").reasons


def test_without_a_predictor_there_is_no_verdict(make_evidence):
    advice = advise(make_evidence(), None, "an embedder")
    assert (advice.helps, advice.verdict) == (None, None)
    assert advice.answer.startswith("no verdict")
    assert any("no predictor is fitted" in line for line in advice.limits)
    assert len(advice.reasons) == 5


def test_reasons_have_the_numbers(make_evidence):
    who = Annotator("ann\x1b[2J", 0.5, 0.2, MeasuredEvidence(0.4, 0.03))
    text = " ".join(advise(make_evidence(0.8, 0.02, -0.1, annotator=who), None, "e").reasons)
    for figure in (
        "AUC 0.800",
        "500 of 4,000 pairs (12.5%)",
        "90.0%",
        "97.0%",
        "standard error 0.0050",
        "4.0 more of 100 rightly",
    ):
        assert figure in text
    assert "follow a rule of their own: a fit" in text
    assert "worse than far ones, so they are noisier or judged differently: 50.0% against 60.0% of them" in text
    assert "judged 50.0% of the near pairs (20.0% of all); the pool's rule predicts 40.0% of those labels (" in text
    assert "of those labels (standard error 3.0)." in text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"agreement": 0.1}, "better than far ones"),
        ({}, "as well as far ones"),
        ({"far_accuracy": None, "far_log_loss": None}, "All pairs are near the policy"),
        ({"near_accuracy": MeasuredEvidence(0.75, 0.0), "near_pairs": 30}, "as well as far ones: 75.0%"),
        (
            {"far_accuracy": MeasuredEvidence(0.1, None)},
            "60.0% against 10.0% of them (a difference of 50.0, standard error unknown)",
        ),
        ({"locality": 0.005}, "No sign that labels near the policy follow a rule of their own"),
        ({"locality": -0.05}, "No sign that labels near the policy follow a rule of their own"),
    ],
)
def test_what_is_said_where(changes, sentence, make_evidence):
    assert sentence in " ".join(advise(make_evidence(**changes), None, "e").reasons)


@pytest.mark.parametrize(
    ("locality", "more_right", "better", "more"),
    [
        (-0.0035, -0.02, "0.0035 nats worse than", "2.0 fewer of 100 rightly"),
        (0.0035, 0.04, "0.0035 nats better than", "4.0 more of 100 rightly"),
        (-0.00001, 0.0, "as well as", "as many rightly"),
    ],
)
def test_a_negative_gain_is_worse(locality, more_right, better, more, make_evidence):
    accuracy = {"locality_accuracy": MeasuredEvidence(more_right, 0.01)}
    reasons = " ".join(advise(make_evidence(locality=locality, **accuracy), None, "e").reasons)
    assert f"predicts them {better} a fit to the whole pool (standard error 0.0050), and {more} (" in reasons


def test_of_the_labels_of_few_near_pairs_nothing_is_said(make_evidence, predictor):
    who = Annotator("ann", 0.5, 0.2, MeasuredEvidence(0.4, 0.03))
    few, enough = (
        " ".join(advise(make_evidence(near_pairs=near, locality=0.02, annotator=who), None, "e").reasons)
        for near in (29, 30)
    )
    assert "29 of 4,000 pairs" in few
    assert "Too few pairs are near the policy to tell" in few
    assert "standard error" not in few
    assert "Too few" not in enough
    assert advise(make_evidence(near_pairs=29, agreement=0.2), predictor, "e").verdict == "unclear"
    assert advise(make_evidence(near_pairs=30, agreement=0.2), predictor, "e").verdict == "likely"
    assert "Labels near the policy follow a rule of their own" in enough


def test_what_lies_beyond_the_worlds_is_named(make_evidence, predictor):
    advice = advise(make_evidence(auc=0.95), predictor, "another embedder")
    assert any(
        "can be told from the pool is beyond all it was trained on (0.500 to 0.900)" in r for r in advice.reasons
    )
    assert any("fitted with another one" in limit for limit in advice.limits)
