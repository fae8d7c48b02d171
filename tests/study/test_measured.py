"""What is read out of records."""

from __future__ import annotations

import numpy as np
import pytest

from frft.results.cell import CellArm, CellRecord
from frft.study.measured import (
    MEASURES,
    NotMeasuredError,
    StudyMeasurements,
    mean_of,
    peak_is_within,
    steps_to_vanilla,
)

from ..completed import completed
from .conftest import typed


def test_gains_are_paired_by_seed_in_whatever_order_cells_come(make_record):
    cells = [make_record("centre", seed, {"vanilla": 0, "random": seed / 10}, gold=seed) for seed in (2, 0, 1)]
    measured = StudyMeasurements(typed(cells))
    assert measured.seeds("centre") == [0, 1, 2]
    assert measured.gains("centre", "random", "vanilla") == pytest.approx([0, 0.1, 0.2])


def test_seeds_of_two_points_are_those_of_both(make_record):
    cells = [make_record("centre", seed, {"vanilla": 0}) for seed in (0, 1)]
    measured = StudyMeasurements(typed([*cells, make_record("kappa-0", 1, {"vanilla": 0})]))
    assert measured.seeds("centre", "kappa-0") == [1]
    assert measured.seeds("lambda-0") == []


@pytest.mark.parametrize(("point", "arm"), [("centre", "uwo"), ("lambda-0", "random"), ("kappa-0", "random")])
def test_what_was_not_measured_is_no_number(make_record, point, arm):
    gains = {"vanilla": 0, "random": 0}
    cells = [make_record("centre", seed, gains) for seed in (0, 1)]
    with pytest.raises(NotMeasuredError, match=f"{arm} and vanilla at {point}"):
        StudyMeasurements(typed([*cells, make_record("kappa-0", 0, gains)])).gains(point, arm, "vanilla")


def test_an_arm_without_refresh_has_no_figures_of_one(make_record):
    measured = StudyMeasurements(typed([make_record("centre", seed, {"vanilla": 0, "random": 0}) for seed in (0, 1)]))
    assert measured.values("centre", "vanilla", "own_test", [0, 1]) == [None, None]
    assert measured.values("centre", "random", "refresh_steps", [0, 1]) == [64, 64]
    with pytest.raises(NotMeasuredError, match="own_test of random and vanilla"):
        measured.gains("centre", "random", "vanilla", "own_test")


def test_means_are_of_the_numbers_that_there_are():
    assert mean_of([None, None]) is None
    assert mean_of([1.0, None, 3.0]).n == 2


def test_steps_to_vanilla_are_read_off_the_smoothed_rollouts(make_record):
    cells = [make_record("centre", 0, {"vanilla": 0, "better": 1, "worse": -0.9})]
    # Gold rises in a straight line over 16 steps; the last smoothed value is that of one step before the end.
    assert steps_to_vanilla(typed(cells), "vanilla") == [16]
    assert steps_to_vanilla(typed(cells), "better") == [8]
    assert steps_to_vanilla(typed(cells), "worse") == [None]


def test_where_vanilla_falls_there_is_nothing_to_reach(make_record):
    arms = {"vanilla": 0, "better": 3}
    falling, rising = make_record("centre", 0, arms, gold=-1), make_record("centre", 1, arms)
    assert steps_to_vanilla(typed([falling]), "better") == []
    assert steps_to_vanilla(typed([falling, rising]), "better") == steps_to_vanilla(typed([rising]), "better") == [5]


def test_what_a_refresh_changed_is_of_the_policy_at_the_refresh_and_not_of_the_last(make_record):
    record = make_record("centre", 0, {"vanilla": 0, "random": 0}, after=0.7, variance=0.25)
    measured = StudyMeasurements(typed([record]))
    found = {
        name: measured.values("centre", "random", name, [0])[0]
        for name in ("on_policy", "on_policy_before", "on_policy_final")
    }
    assert found == {"on_policy": 0.7, "on_policy_before": 0.55, "on_policy_final": 0.6}
    assert measured.values("centre", "random", "reward_variance", [0]) == [0.25]
    assert measured.values("centre", "random", "reward_variance_final", [0]) == [0.4]
    assert measured.values("centre", "vanilla", "on_policy", [0]) == [None]


@pytest.mark.parametrize(("farthest", "within"), [(2.0, False), (4.0, True)])
def test_a_peak_beyond_all_observed_distances_is_an_extrapolation(farthest, within):
    d = np.linspace(0, farthest, 40)
    alpha, beta = 1.0, 0.5  # d* = e
    gold = [0.0 if x == 0 else x * (alpha - beta * np.log(x)) for x in d]
    assert peak_is_within(completed(CellArm, {"steps": {"gold": gold, "kl": (d**2).tolist()}})) is within


def test_a_curve_without_a_peak_has_none_within():
    d = np.linspace(0, 4, 40)
    assert not peak_is_within(completed(CellArm, {"steps": {"gold": (d**2).tolist(), "kl": (d**2).tolist()}}))


def test_gold_is_what_is_earned_after_the_first_refresh():
    evaluation = {"gold": {"mean": 7.0}, "on_policy": {}, "off_policy": {}}
    found = {"steps": {"gold": [9.0, 9.0, 1.0, 2.0]}, "measured_from": 2, "evaluation": evaluation}
    cell = completed(CellRecord, {"arms": {"density": found}})
    assert (MEASURES["gold"](cell, "density"), MEASURES["gold_final"](cell, "density")) == (1.5, 7.0)


@pytest.mark.parametrize(
    ("world", "own", "others"),
    [
        ({"domains": 3}, 0.9, 0.6),
        ({"domains": 3, "policy_mixture": [1, 3, 0]}, 0.75, 0.5),
        ({"domains": 3, "policy_mixture": [1, 1, 2]}, 0.65, None),
    ],
)
def test_accuracy_on_the_policys_domains_and_on_all_others(world, own, others):
    by_domain = {f"domain-{n}": {"gold": {"accuracy": a}} for n, a in enumerate((0.9, 0.7, 0.5))}
    found = {"settings": {"data": {"world": world}}, "arms": {"density": {"evaluation": {"by_domain": by_domain}}}}
    cell = completed(CellRecord, found)
    measured = [MEASURES[f"{which}_gold"](cell, "density") for which in ("own_domain", "other_domains")]
    assert measured == [pytest.approx(own), None if others is None else pytest.approx(others)]


def test_a_world_of_one_domain_has_no_figures_of_domains():
    cell = completed(CellRecord, {"settings": {"data": {"world": {}}}, "arms": {"density": {}}})
    assert {MEASURES[name](cell, "density") for name in MEASURES if "domain" in name} == {None}
