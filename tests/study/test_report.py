"""The page and the tables of a study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from frft.results import EvaluationInfo
from frft.study import load_study, report
from frft.study.summary import summarise

from ..completed import completed
from .conftest import typed


@pytest.fixture
def results(averaging, make_record):
    records = []
    for seed in range(3):
        wobble = (0.0, 0.02, -0.02)[seed]
        gains = {
            "vanilla": 0,
            "random": 0.1,
            "density": 0.3 + wobble,
            "source": 0.3,
            "part1": -0.5,
            "oracle": 1 + wobble,
        }
        records += [make_record(point, seed, gains) for point in ("centre", "kappa-0")]
    return summarise(averaging, typed(records), ["lambda-0-1: RewardError: line one\n\x1b[31mred"])


def test_every_point_and_every_arm_is_in_the_page_losing_ones_too(averaging, results):
    page = report.markdown(results, "frft study averaging --out studies/averaging")
    for point in ("centre", "kappa-0"):
        section = page.split(f"## {point}\n")[1].split("\n## ")[0]
        for arm in ("vanilla", "random", "density", "source", "part1", "oracle"):
            assert section.count(f"| {arm} |") == 2
    assert "-0.50 [-0.50, -0.50]" in page
    assert "`data.world.kappa=0`" in page
    config = averaging.cells[0].config
    assert f"{config.ppo.total_steps} PPO steps of {config.ppo.rollout_batch_size} completions" in page


def test_the_budget_of_every_arm_is_in_the_page_as_its_settings_have_it(results):
    paragraph = report.markdown(results, "frft").split("\n\n")[2]
    assert "starts with one base reward model of 125 optimizer steps" in paragraph
    refreshed = paragraph.split("Refreshed 2 times, each by 40 optimizer steps: ")[1].split(".")[0]
    assert {"`density`", "`random`", "`density-sft`", "`oracle`", "`ocrm`"} <= set(refreshed.split(", "))
    assert "Refreshed once, by 125 optimizer steps: `static-random`." in paragraph
    from_sft = paragraph.split("all that their last reward model has seen: ")[1].split(".")[0]
    assert {"`density-sft`", "`random-sft`", "`static-random`", "`placebo3`"} <= set(from_sft.split(", "))
    assert "`density`" not in from_sft
    never = paragraph.split("beyond the base reward model's: ")[1].split(".")[0]
    assert never.split(", ") == ["`vanilla`", "`reset-optimizer`", "`move-anchor`", "`uwo`"]
    assert "`uwo` trains 3 base reward models." in paragraph


def test_pairs_are_counted_as_selected_distinct_effective_and_seen(results):
    row = report.diagnosis_rows(results.points["centre"])[1]
    found = dict(zip(report.DIAGNOSIS_COLUMNS, row, strict=True))
    assert [found[name] for name in ("pairs", "distinct", "effective", "seen", "steps")] == [
        "600", "480", "450", "1240", "64",
    ]  # fmt: skip
    assert (found["near source, first"], found["last"]) == ("50.0 %", "25.0 %")


def test_vanilla_without_anything_to_reach_has_no_step(averaging, make_record):
    gains = {"vanilla": 0, "random": 0.1, "density": 0.3, "source": 0.3, "part1": 0, "oracle": 1}
    found = summarise(averaging, typed([make_record("centre", seed, gains, gold=-1) for seed in (2, 3)]), [])
    column = report.OUTCOME_COLUMNS.index("steps to vanilla's")
    assert {row[column] for row in report.outcome_rows(found.points["centre"])} == {"– (0 of 0)"}


@pytest.mark.parametrize(("peak", "shown"), [(4.994, "4.99"), (2.2e22, "> 100")])
def test_a_peak_of_a_curve_that_hardly_bends_has_no_twenty_digits(results, peak, shown):
    point = results.points["centre"]
    arms = {
        name: replace(arm, peak=replace(arm.peak, median=peak, found=1, within=0)) for name, arm in point.arms.items()
    }
    rows = report.outcome_rows(replace(point, arms=arms))
    assert {row[report.OUTCOME_COLUMNS.index("d*")] for row in rows} == {f"{shown} (1, 0 within)"}


def test_missing_and_failed_cells_are_in_the_page_and_cannot_disturb_it(results):
    page = report.markdown(results, "frft")
    assert f"**{results.cells.wanted - 6} cells are missing**, of which 1 failed" in page
    assert "- lambda-0-1: RewardError: line one\\n\\x1b[31mred" in page


def test_the_page_of_a_study_that_asks_for_no_labels_is_as_it_was(make_record):
    """`averaging-page.md` was written by the version that knew of no labels, families and curves, on the same cells."""
    study = load_study("averaging", ["seeds=4"])
    records = []
    for cell in study.cells:
        if cell.point in ("centre", "kappa-0"):
            rng = np.random.default_rng([cell.seed, *cell.point.encode()])
            gains = {name: float(rng.normal(0.4 * (name == "oracle"), 0.15)) for name in cell.config.arms}
            records.append(make_record(cell.point, cell.seed, gains))
    found = summarise(study, typed(records), [])
    page = report.markdown(found, "frft study averaging").replace(f"(frft {found.frft})", "(frft VERSION)")
    kept = Path(__file__).with_name("averaging-page.md").read_text()
    assert page.replace(report.LEGEND, "LEGEND\n") == kept


def test_every_prediction_is_in_the_page(results):
    page = report.markdown(results, "frft")
    for each in results.predictions:
        assert f"| {each.name} | {each.outcome} |" in page
    assert (
        "An averaging effect can not be claimed: that takes `tells apart`, `helps`, `rises`, `variance`, `source` to "
        "hold."
    ) in page
    assert "no evidence" not in page


def test_without_a_ceiling_the_page_says_so_first(averaging, make_record):
    gains = {"vanilla": 0, "random": 0.1, "density": 0.3, "source": 0.2, "oracle": -0.5}
    page = report.markdown(
        summarise(averaging, typed([make_record("centre", seed, gains) for seed in (2, 3)]), []), "frft"
    )
    assert "**The ceiling is not shown to be above vanilla: the outcomes below are no evidence.**" in page


def test_tables_have_as_many_cells_as_columns(results):
    assert {len(row) for row in report.overview(results)} == {len(report.OVERVIEW_COLUMNS)}
    found = results.points["centre"]
    assert {len(row) for row in report.outcome_rows(found)} == {len(report.OUTCOME_COLUMNS)}
    assert {len(row) for row in report.diagnosis_rows(found)} == {len(report.DIAGNOSIS_COLUMNS)}


def test_the_overview_compares_with_control_vanilla_and_ceiling(results):
    row = report.overview(results)[0]
    assert row[:2] == ("centre", "3")
    assert row[2].startswith("+0.20 [")
    assert row[4].startswith("+0.20 [")
    assert row[5].startswith("+0.30 [")
    assert row[6].startswith("+0.10")
    assert row[7].startswith("+1.00")


def test_a_perfect_filter_that_was_not_run_has_no_gain(averaging, make_record):
    gains = {"vanilla": 0, "random": 0.1, "density": 0.3, "oracle": 1}
    results = summarise(averaging, typed([make_record("centre", seed, gains) for seed in (2, 3)]), [])
    assert (
        dict(zip(report.OVERVIEW_COLUMNS, report.overview(results)[0], strict=True))["perfect filter − control"] == "–"
    )


def test_the_p_of_the_overview_is_corrected_over_the_points(averaging, make_record):
    gains = {"centre": (0.3, 0.4, 0.5), "lambda-0": (0.1, -0.1, 0.3), "kappa-0": (0.2, 0.3, 0.2)}
    records = [
        make_record(point, seed, {"vanilla": 0, "random": 0, "density": gain, "source": 0.5, "oracle": 1})
        for point, of_seeds in gains.items()
        for seed, gain in enumerate(of_seeds)
    ]
    results = summarise(averaging, typed(records), [])
    for row in report.overview(results):
        against = results.points[row[0]].arms["density"].against_control
        assert row[3] == f"{against.p_holm_over_points:.3f}"
    assert any(
        point.arms["density"].against_control.p_holm != point.arms["density"].against_control.p_holm_over_points
        for point in results.points.values()
    )


def test_figures_of_domains_have_a_table_of_their_own_where_there_are_several(make_record, results):
    assert "own domain" not in report.markdown(results, "frft")
    assert "panels.svg" not in report.markdown(results, "frft")
    study = load_study("domains")
    records = [
        make_record("centre", seed, {"vanilla": 0, "random": 0.1, "density": 0.3, "oracle": 1}) for seed in (0, 1)
    ]
    for record in records:
        record["settings"]["data"]["world"] |= study.cell("centre", 0).config.data.world.model_dump(mode="json")
        for arm in record["arms"].values():
            found = {
                f"domain-{n}": {"gold": {"accuracy": gold}, "labels": {"accuracy": 0.5}}
                for n, gold in enumerate((0.8, 0.4))
            }
            arm["evaluation"]["by_domain"] = completed(EvaluationInfo, {"by_domain": found}).as_dict()["by_domain"]
            for share, refresh in zip((0.9, 0.7), arm["refreshes"], strict=False):
                refresh["domain_share"] = share
    found = summarise(study, typed(records), [])
    rows = {row[0]: row for row in report.domain_rows(found.points["centre"])}
    assert {len(row) for row in rows.values()} == {len(report.DOMAIN_COLUMNS)}
    assert rows["vanilla"][-2:] == ("–", "–")
    assert rows["density"][1].startswith("80.0 %")
    assert rows["density"][3].startswith("40.0 %")
    assert rows["density"][5:] == ("90.0 %", "70.0 %")
    page = report.markdown(found, "frft")
    assert "- **own domain**: how often" in page
    assert "![gains along the dials](panels.svg)" in page
