"""The table of the diagnostics' errors, of made-up runs."""

from __future__ import annotations

import yaml
from benchmarks.diagnostics import SETTINGS, TRAINING_POLICY, fall_of, make_cells, table

from frft.results.cell import CellArm, CellRecord

from ..completed import completed


def view(fired=(), accuracy=0.6, interval=(0.5, 0.7), apart=0.2, d=None, gold=0.0):
    """`gold`: how much more there is of it than before training."""
    return {
        "fired": list(fired),
        "links": [{"figure": accuracy, "interval": interval}, {"figure": None, "interval": None}],
        "movement": {"proxy_up_judge_down": {"mean": apart}, "judge": {"estimate": {"mean": gold}}},
        "gao": None if d is None else {"peak": d},
    }


def run(seed, gold, looks, **finals):
    arms = {
        name: {
            "steps": {"gold": [final - 1.0] * 9, "kl": [1.0] * 9},
            "measured_from": 4,
            "evaluation": {"gold": {"mean": final}, "on_policy": {"accuracy": 0.62}, "off_policy": {}},
            "refreshed_after": [8],
            "refreshes": [{"gate": {"accepted": True}}],
        }
        for name, final in finals.items()
    }
    arms["vanilla"] |= {"steps": {"gold": gold, "kl": [float(step) for step in range(len(gold))]}, "looks": looks}
    return completed(CellRecord, {"point": "here", "seed": seed, "arms": arms})


def figures(rows):
    return {row["what"]: (row["figure"], row["of"]) for row in rows}


FALLING = [0.0, 0.5, 1.0, 1.5, 2.0, 1.5, 1.0, 0.5, 0.0]
RISING = [0.1 * step for step in range(9)]


def test_the_peak_is_that_of_the_smoothed_curve_and_other_texts_say_whether_gold_fell():
    def arm(gold, *seen):
        looks = [{"step": 4 * n, "by_gold": view(gold=each)} for n, each in enumerate(seen)]
        return completed(CellArm, {"steps": {"gold": gold, "kl": [4.0] * 9}, "looks": looks})

    assert fall_of(arm(FALLING, 0.0, 1.2, 0.3)) == (5, 2.0)
    # The look nearest the fifth step is that after the fourth; noise alone makes a peak of rollouts.
    assert fall_of(arm(FALLING, 2.0, 0.35, 0.3)) is None
    assert fall_of(arm(RISING, 0.0, 1.2, 0.3)) is None


def test_errors_leads_and_false_alarms():
    over = "over-optimisation"
    start = {**view(), "step": 0, "by_gold": view()}
    early = {**view([over], accuracy=0.7, interval=(0.6, 0.8)), "step": 4, "by_gold": view(accuracy=0.55, gold=1.5)}
    late = {**view([over], accuracy=0.5), "step": 8, "by_gold": view([over], accuracy=0.6, d=2.0)}
    quiet = {
        **view(["policy stuck"], accuracy=0.6),
        "step": 4,
        "by_gold": view([f"broken link: {TRAINING_POLICY}"], 0.6),
    }
    found = figures(
        table(
            [
                run(1, FALLING, [start, early, late], vanilla=1.0, gated=1.5, scheduled=1.0),
                run(2, RISING, [start, quiet], vanilla=1.0, gated=1.0, scheduled=0.0),
            ]
        )
    )
    # +.15 and -.10 in one run, 0 in the other.
    off = found["accuracy on own texts: the judge's less gold's, same texts"]
    assert off[0].startswith("+0.01")
    assert "mean 0.60 by the judge, 0.58 by gold" in off[1]
    assert found["accuracy on own texts: size of that difference"][0].startswith("+0.06")
    assert found["accuracy on own texts: gold's figure lies in the judge's interval, same texts"][0].startswith("+0.67")
    # .50 and .60 of the last looks by the judge, .60 and .60 by gold, on other texts .62.
    ends = "accuracy on own texts at the end, by"
    assert found[f"{ends} the judge, less gold's on other texts"][0].startswith("-0.07")
    assert found[f"{ends} gold, less gold's on other texts"][0].startswith("-0.02")
    assert found[f"{ends} gold: gold's on other texts lies in the interval"][0].startswith("+1.00")
    assert found["gold ends more than 0.1 below what it was near its peak, on other texts"][0].startswith("+0.50")
    sign = "over-optimisation or past the peak"
    assert found[f"{sign}, by the judge, where gold fell"] == ("+1.00 [+0.21, +1.00]", "1 runs")
    assert found[f"{sign}, by the judge, where gold did not fall"][0].startswith("+0.00")
    assert found[f"{sign}, by the judge: steps before gold's peak (below 0: after it)"][0] == "+1.00"
    assert found[f"{sign}, by gold: steps before gold's peak (below 0: after it)"][0] == "-3.00"
    broken = "accuracy on own texts no better than a coin"
    assert found[f"{broken}, by gold, where gold did not fall"][0].startswith("+1.00")
    assert found["other alarms: policy stuck"] == (found["other alarms: policy stuck"][0], "5 looks")
    assert found["log of d* as fitted by gold over d at gold's smoothed peak, both of the rollouts"] == (
        "+0.00",
        "1 of 1 runs in which gold fell",
    )
    assert found["gold reward at the end: gated less scheduled"][0].startswith("+0.75")
    assert found["gold reward in the mean after the first refresh: gated less scheduled"][0].startswith("+0.75")
    assert found["refreshes that the gate let in"][0].startswith("+1.00")


def test_every_point_is_a_run_and_seeds_are_paired():
    settings = yaml.safe_load(SETTINGS.read_text())
    cells = make_cells(settings)
    assert len(cells) == settings["seeds"] * len(settings["points"])
    for cell in cells:
        assert cell.config.seed == cell.config.data.world.seed == cell.seed >= settings["first_seed"]
        assert cell.config.trains_judge
    assert {cell.seed for cell in cells} == {*range(1, 9)}
