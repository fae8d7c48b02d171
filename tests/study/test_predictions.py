"""Predictions are decided by their rule, in worlds that are made up so that the answer is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from frft.config.syntax import parse_yaml
from frft.statistics.estimates import Estimate
from frft.study.measured import StudyMeasurements
from frft.study.predictions import Prediction, claim_verdict, outcome, sanity_verdict

from .conftest import typed


@pytest.mark.parametrize(
    ("low", "high", "above", "below", "none"),
    [
        (0.01, 0.3, "held", "not held", "not held"),
        (0.01, 0.05, "held", "not held", "held"),
        (-0.02, 0.05, "not held", "not held", "held"),
        (-0.02, 0.3, "undecided", "not held", "undecided"),
        (-0.3, 0.3, "undecided", "undecided", "undecided"),
        (-0.3, -0.2, "not held", "held", "not held"),
        (None, None, "undecided", "undecided", "undecided"),
    ],
)
def test_the_interval_decides(low, high, above, below, none):
    found = Estimate(0.0, low, high, 8)
    assert [outcome(found, kind, 0.1) for kind in ("above", "below", "none")] == [above, below, none]


def _verdicts(averaging, records):
    measured = StudyMeasurements(typed(records))
    config = averaging.config
    return {name: each.verdict(name, measured, config.roles) for name, each in config.predictions.items()}


def _claimed(averaging, verdicts) -> bool:
    return claim_verdict(averaging.config.claim, list(verdicts.values())).holds


def _wobble(seed: int) -> float:
    return (-0.01, 0.0, 0.012, -0.003)[seed]


def test_every_prediction_says_when_it_was_not_run(averaging):
    verdicts = _verdicts(averaging, [])
    assert len(verdicts) == 16
    assert {each.outcome for each in verdicts.values()} == {"not run"}
    assert not _claimed(averaging, verdicts)


def _averaging_world(averaging, make_record, per_unit: float, variance: float):
    """Cells in which the gain of density over random is `per_unit` for each two of lambda * kappa."""
    coupling = {"lambda-0": 0, "kappa-0": 0, "kappa-half": 1, "lambda-2": 1, "centre": 2}
    assert set(coupling) == set(averaging.config.predictions["rises"].slope.points)
    records = []
    for point, unit in coupling.items():
        for seed in range(4):
            gain = per_unit * unit + _wobble(seed) * (1 + unit)
            gains = {"vanilla": 0, "random": 0.05, "density": 0.05 + gain, "source": 0.1 + gain, "oracle": 0.9 + gain}
            record = make_record(point, seed, gains, own_test=0.8)
            refresh = record["arms"]["density"]["refreshes"][0]
            refresh["on_policy"]["after"]["reward_variance"] = 0.3 + variance * unit + _wobble(seed)
            records.append(record)
    return records


def test_an_averaging_effect_is_found_where_there_is_one(averaging, make_record):
    verdicts = _verdicts(averaging, _averaging_world(averaging, make_record, 0.2, 0.1))
    held = {name for name, each in verdicts.items() if each.outcome == "held"}
    assert held == {"tells apart", "helps", "no bias", "no coupling", "rises", "variance", "source"}
    # Slopes by hand: the wobble has a mean of -0.00025 and is multiplied by 1 + lambda * kappa / 2.
    assert verdicts["rises"].estimate.mean == pytest.approx((0.2 - 0.00025) / 2)
    assert _claimed(averaging, verdicts)


@pytest.mark.parametrize(("per_unit", "variance"), [(0.0, 0.1), (0.2, 0.0), (-0.2, 0.1)])
def test_it_is_not_claimed_where_a_part_of_it_is_missing(averaging, make_record, per_unit, variance):
    verdicts = _verdicts(averaging, _averaging_world(averaging, make_record, per_unit, variance))
    assert not _claimed(averaging, verdicts)
    assert verdicts["helps"].outcome == ("held" if per_unit > 0 else "not held")


@pytest.mark.parametrize("missing", ["tells apart", "helps"])
def test_it_is_not_claimed_without_a_ceiling_or_a_gain(averaging, make_record, missing):
    verdicts = _verdicts(averaging, _averaging_world(averaging, make_record, 0.2, 0.1))
    verdicts[missing] = replace(verdicts[missing], outcome="not held")
    assert not _claimed(averaging, verdicts)


@pytest.mark.parametrize(
    ("less", "found"), [(0.0, "held"), (0.08, "held"), (0.1, "undecided"), (0.12, "not held"), (-0.3, "held")]
)
def test_the_true_source_may_be_a_margin_below(averaging, make_record, less, found):
    records = [
        make_record("centre", seed, {"vanilla": 0, "random": 0, "density": 0.5, "source": 0.5 - less + _wobble(seed)})
        for seed in range(4)
    ]
    assert _verdicts(averaging, records)["source"].outcome == found


def test_harm_and_equality_are_told_apart(averaging, make_record):
    records = []
    for seed in range(4):
        bad, same = -0.4 + _wobble(seed), _wobble(seed)
        base = {"vanilla": 0, "random": 0, "oracle": 1}
        records += [make_record(point, seed, {**base, "density": bad}) for point in ("anti-gold", "symmetric")]
        records += [make_record(point, seed, {**base, "density": same}) for point in ("outside", "kl-high")]
        records.append(make_record("rm-small", seed, {**base, "density": 0.5 + same}))
        records.append(
            make_record(
                "centre",
                seed,
                {**base, "density": 0.1, "shuffled": bad, "placebo3": 0, "placebo-density": 0.3 + same},
                own_test=0.7,
            )
        )
    verdicts = _verdicts(averaging, records)
    assert {name for name, each in verdicts.items() if each.outcome == "held"} == {
        "tells apart", "helps", "harms", "symmetric", "outside", "no drift", "capacity", "shortcut 3",
    }  # fmt: skip
    assert verdicts["no eyes"].outcome == "not held"
    assert verdicts["labels"].outcome == "not held"
    assert verdicts["labels"].estimate.mean == pytest.approx(-0.2 + 0.00025)
    assert verdicts["shortcut 4"].outcome == "not run"
    assert verdicts["shortcut 3"].estimate.mean == pytest.approx(0.2)
    assert verdicts["capacity"].estimate.mean == pytest.approx(0.4 - 0.00025)


def test_the_page_written_before_the_runs_states_every_prediction(averaging):
    page = (Path(__file__).parents[2] / "docs" / "study.md").read_text()
    table = page.split("| name |")[1].split("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    stated = {name: row[-1] for row in rows for name in row[0].split(", ")}
    assert stated == {name: each.expected for name, each in averaging.config.predictions.items()}


def _values(form: dict, records) -> list[float]:
    prediction = Prediction.model_validate({"statement": "x", "expected": "above", "margin": 0.1, **form})
    return prediction.statistic.values(StudyMeasurements(typed(records)), {"primary": "density", "control": "random"})


def test_a_slope_is_over_numbers_that_are_named_or_a_dial(make_record):
    records = []
    for point, number in {"pool-small": 1500, "centre": 4000, "pool-large": 10000}.items():
        for seed in (0, 1):
            gain = (seed + 1) * number / 1e4
            records.append(make_record(point, seed, {"vanilla": 0, "random": 0.2, "density": 0.2 + gain}))
    by_dial = {"points": ["pool-small", "centre", "pool-large"], "dial": "pool_size"}
    assert _values({"slope": by_dial}, records) == pytest.approx([1e-4, 2e-4])
    named = {"points": {"pool-small": 1.5, "centre": 4, "pool-large": 10}, "arm": "density", "over": "vanilla"}
    assert _values({"slope": named}, records) == pytest.approx([0.1, 0.2])


def test_steps_saved_are_those_of_vanilla_less_those_of_the_arm(make_record):
    records = [make_record("centre", seed, {"vanilla": 0, "random": -0.9, "density": 1}) for seed in (0, 1)]
    # Over 16 steps vanilla is at its final gold at step 16, density at step 8, and random never: it counts 17.
    for arm, over, steps in (("primary", "vanilla", 8), ("control", "vanilla", -1), ("density", "random", 9)):
        gain = {"gain": {"point": "centre", "arm": arm, "over": over, "measure": "steps_saved"}}
        assert _values(gain, records) == [steps, steps]
    falling = [make_record("centre", seed, {"vanilla": 0, "density": 3}, gold=-1) for seed in (0, 1)]
    assert _values({"mean": {"point": "centre", "measure": "steps_saved"}}, falling) == [0, 0]


@pytest.mark.parametrize("held", [True, False])
def test_the_prediction_without_which_no_other_counts(averaging, make_record, held):
    records = [make_record("centre", seed, {"vanilla": 0, "oracle": held + _wobble(seed)}) for seed in range(4)]
    found = sanity_verdict(averaging.config.sanity, list(_verdicts(averaging, records).values()))
    assert found.as_dict() == {
        "prediction": "tells apart",
        "otherwise": "The ceiling is not shown to be above vanilla",
        "held": held,
    }


def test_a_study_without_claims_has_none(averaging, make_record):
    assert (claim_verdict(None, []), sanity_verdict(None, [])) == (None, None)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({}, "give one of gain, difference, slope, mean, recovery, not none"),
        ({"gain": {"point": "a"}, "mean": {"point": "a"}}, "not gain and mean"),
        ({"gain": {"point": "a", "measure": "glod"}}, r"gain\.measure[\s\S]*'glod' is no measure; measures are gold, "),
        ({"gain": {"pont": "a"}}, r"gain\.pont"),
        ({"gian": {"point": "a"}}, "gian"),
        ({"slope": {"points": ["a", "b"]}}, "points needs a number for each"),
        ({"slope": {"points": ["a", "b"], "dial": "conflict*lamda"}}, "'lamda': no dial with a number; these are seed"),
        ({"slope": {"points": {"a": 1, "b": 2}, "dial": "conflict"}}, "leave out one of the two"),
        ({"slope": {"points": {"a": 1, "b": 1}}}, "all have the same number"),
        ({"slope": {"points": {"a": 1}}}, "at least 2"),
        ({"difference": {"points": ["a"]}}, r"difference\.points"),
        ({"gain": {"point": "a"}, "margin": -1}, "margin"),
        ({"gain": {"point": "a"}, "expected": "up"}, "expected"),
    ],
)
def test_a_prediction_of_another_form_is_refused_by_its_key(form, message):
    with pytest.raises(ValidationError, match=message):
        Prediction.model_validate({"statement": "x", "expected": "above", "margin": 0.1, **form})


def test_the_example_of_the_page_is_one_that_can_be_read():
    page = (Path(__file__).parents[2] / "docs" / "study.md").read_text()
    example, _ = parse_yaml(page.split("```yaml\n")[1].split("```")[0], "docs/study.md")
    kinds = [Prediction.model_validate(each).kind for each in example["predictions"].values()]
    assert kinds == ["gain", "gain", "slope"]
