"""The answer in words: verdicts by probability, reasons with their numbers, and no pretence."""

from dataclasses import replace

import pytest

from frft.advice.advice import advise
from frft.advice.evidence import Annotator, MeasuredEvidence
from frft.advice.model import PREDICTED_OUTCOMES, LogisticModel, PredictorTest
from frft.advice.predictor import SHOWN, Predictor
from frft.layout import wrapped

TEST = PredictorTest(clusters=15, seeds=4, cases=38, helped=21, auc=0.83, auc_low=0.75, auc_high=0.91, spearman=0.4)

GAP = MeasuredEvidence(0.2, 0.02)


@pytest.fixture
def predictor():
    """The probability is sigmoid(20 * transfer gap)."""
    inputs = PREDICTED_OUTCOMES["accuracy"].inputs
    model = LogisticModel(
        means=dict.fromkeys(inputs, 0.0),
        scales=dict.fromkeys(inputs, 1.0),
        spreads=dict.fromkeys(inputs, 1e6),
        coefficients=dict.fromkeys(inputs, 20.0),
        lows=dict.fromkeys(inputs, -0.2),
        highs=dict.fromkeys(inputs, 0.2),
        intercept=0.0,
        clusters=5,
        cases=40,
        helped=20,
        outcome="accuracy",
    )
    return Predictor("an embedder", model, {"other worlds": TEST, "real data": TEST}, {"none": TEST})


@pytest.mark.parametrize(
    ("gap", "verdict", "helps"), [(0.1, "likely", 0.88), (0.0, "unclear", 0.5), (-0.1, "unlikely", 0.12)]
)
def test_verdicts(gap, verdict, helps, make_evidence, predictor):
    advice = advise(make_evidence(transfer_gap=MeasuredEvidence(gap, 0.02)), predictor, "an embedder")
    assert advice.verdict == verdict
    assert advice.helps == pytest.approx(helps, abs=0.005)
    assert advice.answer.startswith(f"{verdict}. Probability {helps:.2f} that on pairs like those your policy writes")
    assert ("A verdict takes" in advice.answer) == (verdict == "unclear")
    assert any("other worlds, AUC 0.83 [0.75, 0.91] on 38 cases of 15 clusters" in line for line in advice.limits)
    # The verdict is not about the gold reward after reinforcement learning, and says so.
    assert advice.limits[0].startswith("Gold reward after reinforcement learning: ")


@pytest.mark.parametrize("failed", ["other worlds", "real data"])
@pytest.mark.parametrize("low", [SHOWN, None])
def test_a_predictor_that_did_not_pass_weighs_nothing_and_says_where(failed, low, make_evidence, predictor):
    tests = predictor.tests | {failed: replace(TEST, auc=0.46, auc_low=low)}
    advice = advise(make_evidence(agreement=0.1), replace(predictor, tests=tests), "an embedder")
    assert (advice.helps, advice.verdict) == (None, "unclear")
    assert advice.answer.startswith(f"unclear. The predictor did not pass its test on {failed} (the interval")
    assert any("AUC 0.46" in line for line in advice.limits)
    assert advice.reasons == advise(make_evidence(agreement=0.1), None, "an embedder").reasons


def test_of_gold_reward_the_answer_speaks_of_gold_reward(make_evidence, predictor):
    inputs = PREDICTED_OUTCOMES["gold"].inputs
    zeros = dict.fromkeys(inputs, 0.0)
    model = replace(
        predictor.model, outcome="gold", means=zeros, spreads=zeros, coefficients=zeros, lows=zeros, highs=zeros
    )
    advice = advise(make_evidence(), replace(predictor, model=model), "an embedder")
    assert "that FRFT has more gold reward after the first refresh than" in advice.answer
    # Of several inputs, it is said what each adds.
    assert any(line.startswith("Log odds, above 0 for a refresh: telling samples") for line in advice.reasons)
    assert not any("Gold reward after reinforcement learning" in line for line in advice.limits)


def test_without_a_predictor_there_is_no_verdict(make_evidence):
    advice = advise(make_evidence(), None, "an embedder")
    assert (advice.helps, advice.verdict) == (None, None)
    assert advice.answer.startswith("no verdict")
    assert "no predictor is fitted" in advice.answer
    assert len(advice.reasons) == 4


def test_a_policy_outside_the_pool_is_said_to_be(make_evidence):
    far, near = (" ".join(advise(make_evidence(coverage=share), None, "e").reasons) for share in (0.7, 0.9))
    assert "partly outside the pool: 70.0% of its samples" in far
    assert "97.0% if it had written" in far
    assert "outside" not in near


@pytest.mark.parametrize(
    ("gap", "sentence"),
    [(0.051, "right on 5.1 fewer of 100 than"), (-0.02, "right on 2.0 more of 100 than"), (0.0, "right on as many as")],
)
def test_the_transfer_gap_in_words(gap, sentence, make_evidence):
    reasons = " ".join(advise(make_evidence(transfer_gap=MeasuredEvidence(gap, 0.021)), None, "e").reasons)
    assert sentence in reasons
    assert "one of their own (standard error 2.1)" in reasons


def test_it_takes_half_a_screen(make_evidence, predictor):
    advice = advise(make_evidence(agreement=0.1), predictor, "an embedder")
    lines = [f"Answer: {advice.answer}", *(f"  - {each}" for each in (*advice.reasons, *advice.limits))]
    assert sum(len(wrapped(line, 80)) for line in lines) <= 24


def test_reasons_have_the_numbers(make_evidence):
    who = Annotator("ann\x1b[2J", 0.5, 0.2, MeasuredEvidence(0.4, 0.03))
    text = " ".join(advise(make_evidence(0.8, 0.02, -0.1, annotator=who), None, "e").reasons)
    for figure in (
        "AUC 0.800",
        "500 of 4,000 pairs (12.5%)",
        "standard error 0.0050",
    ):
        assert figure in text
    assert "follow a rule of their own: a fit" in text
    assert "worse than far ones, so they are noisier or judged differently: 50.0% against 60.0% (" in text
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
            "60.0% against 10.0% (standard error unknown)",
        ),
        ({"locality": 0.005}, "No sign that labels near the policy follow a rule of their own"),
        ({"locality": -0.05}, "No sign that labels near the policy follow a rule of their own"),
    ],
)
def test_what_is_said_where(changes, sentence, make_evidence):
    assert sentence in " ".join(advise(make_evidence(**changes), None, "e").reasons)


@pytest.mark.parametrize(
    ("locality", "better"),
    [(-0.0035, "0.0035 nats worse than"), (0.0035, "0.0035 nats better than"), (-0.00001, "as well as")],
)
def test_a_negative_gain_is_worse(locality, better, make_evidence):
    reasons = " ".join(advise(make_evidence(locality=locality), None, "e").reasons)
    assert f"predicts them {better} a fit to all (standard error 0.0050)." in reasons


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
    assert advise(make_evidence(near_pairs=29, transfer_gap=GAP), predictor, "e").verdict == "unclear"
    assert advise(make_evidence(near_pairs=30, transfer_gap=GAP), predictor, "e").verdict == "likely"
    assert "Labels near the policy follow a rule of their own" in enough


def test_what_lies_beyond_the_worlds_is_named(make_evidence, predictor):
    advice = advise(make_evidence(transfer_gap=MeasuredEvidence(0.3, 0.02)), predictor, "another embedder")
    assert any(r.startswith("Beyond all") and "the transfer gap (-0.200 to 0.200)" in r for r in advice.reasons)
    assert any("fitted with another one" in limit for limit in advice.limits)
