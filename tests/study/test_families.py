"""Recovery, other confidence levels, and families: by scipy, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from frft.study import load_study, report
from frft.study.measured import StudyMeasurements
from frft.study.predictions import Prediction, verdicts_on
from frft.study.summary import summarise

from .conftest import typed

ROLES = {"primary": "density", "control": "random", "ceiling": "oracle"}
CEILING = (0.9, 1.1, 1.0, 1.2, 0.8, 1.0)
HALF = (0.5, 0.6, 0.4, 0.7, 0.45, 0.55)


def prediction(**form) -> Prediction:
    return Prediction.model_validate({"statement": "x", "expected": "above", "margin": 0.1, **form})


def cells(make_record, **gains) -> list:
    """Cells of `centre`, with the gains over vanilla of each arm, seed by seed."""
    return typed(
        [
            make_record("centre", seed, {"vanilla": 0, **{arm: float(each[seed]) for arm, each in gains.items()}})
            for seed in range(len(next(iter(gains.values()))))
        ]
    )


def verdicts(records, **predictions):
    return {each.name: each for each in verdicts_on(predictions, StudyMeasurements(records), ROLES)}


def test_the_ends_of_a_recovery_are_the_shares_that_a_paired_t_test_does_not_reject(make_record):
    records = cells(make_record, density=HALF, oracle=CEILING)
    share = prediction(recovery={"point": "centre", "arm": "primary", "minus": 0.25}, family="shares")
    found = verdicts(records, share=share)["share"]
    assert found.estimate.mean == pytest.approx(np.mean(HALF) / np.mean(CEILING) - 0.25)
    assert (found.estimate.n, found.outcome) == (6, "held")
    for end in found.estimate.interval:
        less = np.subtract(HALF, (end + 0.25) * np.array(CEILING))
        assert stats.ttest_1samp(less, 0).pvalue == pytest.approx(0.05)
    # One test inverts the other: its p is that of exactly a quarter.
    assert found.p == pytest.approx(stats.ttest_1samp(np.subtract(HALF, 0.25 * np.array(CEILING)), 0).pvalue)


@pytest.mark.parametrize(
    ("ceiling", "why"),
    [
        (
            (0.1, -0.2, 0.3, 0.1, -0.1, 0.2),
            "no share of the gain of oracle over vanilla: it is not shown to be, at 95 %,",
        ),
        ((-0.1, -0.2, -0.3, 0.1, -0.1, -0.2), "no share of the gain of oracle over vanilla: it is not above 0"),
    ],
)
def test_a_recovery_without_two_ends_is_undecided_and_no_number(averaging, make_record, ceiling, why):
    records = cells(make_record, density=HALF, random=HALF, oracle=ceiling)
    share = prediction(recovery={"point": "centre"})
    found = verdicts(records, share=share)["share"]
    assert (found.outcome, found.estimate, found.missing) == ("undecided", None, None)
    assert found.why.startswith(why)
    study = load_study(
        "averaging",
        ["predictions.share={statement: x, expected: above, margin: 0.1, recovery: {point: centre}}"],
    )
    rows = {row[0]: row for row in report.verdicts(summarise(study, records, []))}
    assert rows["share"][1:4] == ("undecided", found.why, "–")


def test_a_recovery_of_what_was_not_run_is_not_run(make_record):
    share = prediction(recovery={"point": "centre", "arm": "uwo"})
    found = verdicts(cells(make_record, density=HALF, oracle=CEILING), share=share)["share"]
    assert (found.outcome, found.missing, found.why) == ("not run", "uwo, vanilla and oracle at centre", None)


@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.99])
def test_another_confidence_is_that_of_students_interval_and_is_shown(make_record, confidence):
    records = cells(make_record, density=HALF, random=[0] * 6, oracle=CEILING)
    gain = prediction(gain={"point": "centre"}, confidence=confidence)
    found = verdicts(records, gain=gain)["gain"]
    assert found.estimate.interval == pytest.approx(
        stats.t.interval(confidence, 5, np.mean(HALF), stats.sem(HALF)), abs=1e-9
    )
    assert found.as_dict()["confidence"] == confidence
    study = load_study(
        "averaging",
        [f"predictions.helps.confidence={confidence}"],
    )
    row = {row[0]: row for row in report.verdicts(summarise(study, records, []))}["helps"]
    assert row[2].endswith(f"] ({100 * confidence:g} %)")


def test_ninety_percent_are_one_sided_bounds_of_ninety_five(make_record):
    # A mean whose one-sided p is below 5 %, and whose two-sided p is not.
    gains = np.array([0.3, -0.02, 0.4, 0.1, -0.02, 0.2])
    assert 0.05 < stats.ttest_1samp(gains, 0).pvalue < 0.1
    records = cells(make_record, density=gains, random=[0] * 6)
    both = verdicts(
        records,
        two=prediction(gain={"point": "centre"}),
        one=prediction(gain={"point": "centre"}, confidence=0.9),
    )
    assert {name: each.outcome for name, each in both.items()} == {"two": "undecided", "one": "held"}
    assert "confidence" not in both["two"].as_dict()


GAINS = {"density": (0.3, 0.1, 0.42, 0.15, 0.05, 0.25), "part1": (0.4, 0.0, 0.5, 0.3, 0.1, 0.06)}


def family(**more) -> dict[str, Prediction]:
    return {
        arm: prediction(gain={"point": "centre", "arm": arm, "over": "vanilla"}, family="primary", **more)
        for arm in GAINS
    }


def test_a_family_is_corrected_by_holm(make_record):
    records = cells(make_record, **GAINS, random=[0] * 6)
    raw = {arm: stats.ttest_1samp(each, 0).pvalue for arm, each in GAINS.items()}
    assert raw["density"] < 0.025
    assert 0.05 > raw["part1"] > 0.025
    found = verdicts(records, **family())
    # The smaller of two p-values is doubled, the larger one stays as it is.
    assert found["density"].p_holm == pytest.approx(2 * raw["density"])
    assert found["part1"].p_holm == pytest.approx(raw["part1"])
    assert {name: each.outcome for name, each in found.items()} == {"density": "held", "part1": "held"}


def test_what_the_interval_holds_and_the_corrected_p_does_not_is_undecided(make_record):
    records = cells(make_record, density=GAINS["part1"], part1=np.negative(GAINS["part1"]), random=[0] * 6)
    alone = prediction(gain={"point": "centre", "over": "vanilla"})
    found = verdicts(records, **family(), alone=alone)
    assert found["density"].estimate.low > 0
    assert found["density"].p_holm == pytest.approx(2 * stats.ttest_1samp(GAINS["part1"], 0).pvalue)
    assert {name: each.outcome for name, each in found.items()} == {
        "density": "undecided", "part1": "not held", "alone": "held",
    }  # fmt: skip
    assert (found["alone"].p, found["alone"].p_holm, found["alone"].family) == (None, None, None)


def test_a_member_that_was_not_run_counts_in_the_family(make_record):
    records = cells(make_record, density=GAINS["density"], random=[0] * 6)
    found = verdicts(records, **family())
    assert found["part1"].outcome == "not run"
    assert found["part1"].p_holm is None
    assert found["density"].p_holm == pytest.approx(2 * stats.ttest_1samp(GAINS["density"], 0).pvalue)


def test_the_page_shows_the_corrected_p_and_says_what_a_family_is(make_record):
    overrides = [
        f"predictions.{arm}={{statement: x, expected: above, margin: 0.1, family: primary, "
        f"gain: {{point: centre, arm: {arm}, over: vanilla}}}}"
        for arm in GAINS
    ]
    records = cells(make_record, **GAINS, random=[0] * 6, source=[0] * 6, oracle=CEILING)
    results = summarise(load_study("averaging", overrides), records, [])
    rows = {row[0]: row for row in report.verdicts(results)}
    p = next(each.p_holm for each in results.predictions if each.name == "part1")
    assert rows["part1"][2].endswith(f"], p {p:.3f} by Holm over primary")
    assert "Family primary: `density`, `part1`" in report.markdown(results, "frft")


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"family": "primary", "expected": "none", "gain": {"point": "a"}}, "family corrects p-values of differences"),
        ({"confidence": 1, "gain": {"point": "a"}}, "confidence"),
        ({"confidence": 0.05, "gain": {"point": "a"}}, "confidence"),
        ({"recovery": {"point": "a", "margin": 1}}, r"recovery\.margin"),
    ],
)
def test_what_does_not_go_together_is_refused(form, message):
    with pytest.raises(ValidationError, match=message):
        prediction(**form)
