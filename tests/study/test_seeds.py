"""Points with seeds of their own, and arms that run with the first seeds alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from frft.errors import ConfigError
from frft.store import write_json
from frft.study import expected_seconds, load_study, report, worker_count
from frft.study.cell import digest, record_path
from frft.study.measured import StudyMeasurements
from frft.study.summary import summarise

from .conftest import typed

FEW = ["seeds=5", "points.centre.more_arms=[uwo]", "points.centre.on_fewer_seeds={seeds: 3, arms: [part2, part3]}"]
OWN = [*FEW, "points.kappa-0.seeds=2", "points.lambda-0.seeds=7"]


@pytest.fixture(scope="module")
def study():
    return load_study("averaging", OWN)


def test_a_point_has_its_own_number_of_seeds_or_the_studys(study):
    seeds = {
        point: [cell.seed for cell in study.cells if cell.point == point]
        for point in ("centre", "kappa-0", "lambda-0", "lambda-2")
    }
    assert seeds == {
        "centre": [6, 7, 8, 9, 10],
        "kappa-0": [6, 7],
        "lambda-0": [6, 7, 8, 9, 10, 11, 12],
        "lambda-2": [6, 7, 8, 9, 10],
    }


def test_arms_on_fewer_seeds_are_in_the_first_cells_alone(study):
    arms = {cell.seed: list(cell.config.arms) for cell in study.cells if cell.point == "centre"}
    assert arms[6] == arms[7] == arms[8] == [*arms[9], "part2", "part3"]
    assert arms[9] == arms[10] == ["vanilla", "random", "density", "part1", "source", "oracle", "uwo"]


def test_what_does_not_change_a_cell_does_not_change_its_digest(study):
    plain = load_study("averaging", [*FEW[:2], "predictions.helps.confidence=0.9", "predictions.helps.family=a"])
    before = {cell.name: digest(cell) for cell in load_study("averaging", FEW[:2]).cells}
    assert before == {cell.name: digest(cell) for cell in plain.cells}
    now = {cell.name: digest(cell) for cell in study.cells}
    assert {name for name in before if name in now and now[name] != before[name]} == {
        "centre-6", "centre-7", "centre-8",
    }  # fmt: skip


@pytest.fixture
def gains():
    rng = np.random.default_rng(4)
    return {name: rng.normal(0.3, 0.2, 5) for name in ("random", "density", "part1", "source", "oracle", "part2")}


@pytest.fixture
def results(study, make_record, gains):
    records = [
        make_record(
            "centre",
            6 + n,
            {"vanilla": 0, **{arm: float(each[n]) for arm, each in gains.items() if arm != "part2" or n < 3}},
        )
        for n in range(5)
    ]
    return summarise(study, typed(records), [])


def test_two_arms_are_compared_over_the_seeds_that_both_have(results, gains):
    arms = results.points["centre"].arms
    few = arms["part2"].against_control
    less = gains["part2"][:3] - gains["random"][:3]
    assert few.gold.n == 3
    assert few.gold.mean == pytest.approx(less.mean())
    assert few.p == pytest.approx(stats.ttest_1samp(less, 0).pvalue)
    assert arms["part2"].recovery is None or arms["part2"].recovery.n == 3
    assert arms["density"].against_control.gold.n == 5
    assert results.points["centre"].seeds == [6, 7, 8, 9, 10]


def test_tables_say_where_an_arm_has_fewer_seeds(results):
    found = results.points["centre"]
    for rows in (report.outcome_rows(found), report.diagnosis_rows(found)):
        assert [row[0] for row in rows] == [
            "vanilla", "random", "density", "part1", "source", "oracle", "part2 (3 seeds)",
        ]  # fmt: skip


def test_predictions_go_by_the_seeds_that_their_arms_have(make_record, gains):
    some = ["predictions.few={statement: x, expected: above, margin: 0, gain: {point: centre, arm: part2}}"]
    some += ["predictions.mean={statement: x, expected: above, margin: 0, mean: {point: centre, arm: part2}}"]
    some += ["predictions.part={statement: x, expected: above, margin: 0, recovery: {point: centre, arm: part2}}"]
    study = load_study("averaging", [*OWN, *some])
    assert "few" not in study.not_run()
    records = []
    for n in range(5):
        ran = {"vanilla": 0, "random": 0.1 * n, "density": 0.2, "oracle": 2 + 0.1 * n}
        records.append(make_record("centre", 6 + n, ran | ({"part2": 1 + float(gains["part2"][n])} if n < 3 else {})))
    found = {each.name: each for each in summarise(study, typed(records), []).predictions}
    assert {found[name].estimate.n for name in ("few", "mean", "part")} == {3}
    assert found["part"].estimate.mean == pytest.approx((1 + gains["part2"][:3].mean()) / 2.1)
    # Elsewhere all seeds count.
    assert found["tells apart"].estimate.n == 5
    assert StudyMeasurements(typed(records)).seeds("centre", arms=["part2"]) == [6, 7, 8]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("points.kappa-0.seeds=0", r"points\.kappa-0\.seeds: .*greater than 0"),
        ("points.centre.on_fewer_seeds.seeds=5", r"points\.centre\.on_fewer_seeds\.seeds: must be below .* seeds, 5"),
        ("points.centre.on_fewer_seeds.arms=[part7]", r"points\.centre\.on_fewer_seeds\.arms: part7: no such arm"),
        ("points.centre.on_fewer_seeds.arms=[random]", r"on_fewer_seeds\.arms: random: runs with all seeds"),
        ("points.centre.on_fewer_seeds.arms=[uwo]", r"on_fewer_seeds\.arms: uwo: runs with all seeds"),
    ],
)
def test_what_is_wrong_is_named(override, message):
    with pytest.raises(ConfigError, match=message):
        load_study("averaging", [*FEW, override])


def test_cells_with_fewer_arms_are_expected_to_take_as_long_as_others_with_fewer(study, make_record, tmp_path):
    """Finished cells tell: seeds 6 to 8 of `centre` have two arms more than 9 and 10."""
    cells = {cell.name: cell for cell in study.cells}
    for name, seconds in {"centre-6": 400.0, "centre-8": 200.0, "centre-10": 10.0}.items():
        path = record_path(tmp_path, cells[name])
        write_json(path, make_record("centre", cells[name].seed, {"vanilla": 0}) | {"seconds": seconds})
    left = [cells["centre-7"], cells["centre-9"]]
    workers = worker_count(study.config, 2)
    assert expected_seconds(study, tmp_path, left, "none") == pytest.approx((300 + 10) / workers)
