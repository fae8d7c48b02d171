"""The picture of what labels bring."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from frft.errors import ConfigError
from frft.study import load_study, report
from frft.study.curves import LEFT, RIGHT, WIDTH, curves_picture
from frft.study.summary import summarise

from .conftest import labelled, typed

SVG = "{http://www.w3.org/2000/svg}"
BUDGETS = (25, 100, 400)
ARMS = {f"{who}-{budget}": budget for who in ("sure", "unsure") for budget in BUDGETS}
STUDY = [
    *(
        f"arms.{arm}={{selection: {{strategy: random}}, labels: {{from: gold, budget: {n}}}}}"
        for arm, n in ARMS.items()
    ),
    f"points.centre.more_arms=[{', '.join(ARMS)}]",
]
LINES = "lines: {sure: [sure-400, sure-25, sure-100], unsure: [unsure-25, unsure-100, unsure-400]}"
CURVES = [
    f"curves.Logarithmic={{point: centre, log: true, {LINES}}}",
    f"curves.Linear={{point: centre, y: recovery, x: distinct_labels, {LINES}}}",
]


def gain_of(arm: str) -> float:
    who, budget = arm.split("-")
    return {"sure": 0.2, "unsure": 0.1}[who] * BUDGETS.index(int(budget))


def results(make_record, *overrides: str, seeds: int = 4, noise: float = 0.05, oracle: float = 0.5, without: str = ""):
    study = load_study("averaging", [*STUDY, *CURVES, *overrides])
    records = []
    for seed in range(6, 6 + seeds):
        gains = {"vanilla": 0.0, "random": 0.0, "density": 0.0, "source": 0.1, "part1": 0.0, "oracle": oracle}
        gains |= {arm: gain_of(arm) for arm in ARMS if arm != without}
        # Up and down in turn, so that means are what they are meant to be.
        wobble = noise * (1 if seed % 2 else -1)
        record = make_record("centre", seed, {a: g + (wobble if g else 0) for a, g in gains.items()})
        for arm, budget in ARMS.items():
            if arm in record["arms"]:
                labelled(record, arm, budget)
        records.append(record)
    return summarise(study, typed(records), [])


def drawn(found):
    picture = curves_picture(found)
    assert picture is not None
    return ElementTree.fromstring(picture)


def dots(picture, colour: str) -> list[list[tuple[float, float]]]:
    """The dots of a colour in both panels, from left to right."""
    found = [each for each in picture.iter(f"{SVG}circle") if each.get("fill") == colour]
    at = [(float(each.get("cx")), float(each.get("cy"))) for each in found]
    return [[(x, y) for x, y in at if (x >= WIDTH) is second] for second in (False, True)]


def colours(picture) -> dict[str, str]:
    """The colour of each line, by the row of the legend at its height."""
    rows = {float(each.get("y")) - 4: each.text for each in picture.iter(f"{SVG}text")}
    strokes = {rows.get(float(each.get("y1"))): each.get("stroke") for each in picture.iter(f"{SVG}line")}
    return {
        name.split()[0]: stroke for name, stroke in strokes.items() if name and name.split()[0] in ("sure", "unsure")
    }


def test_dots_lie_where_labels_and_gains_are(make_record):
    picture = drawn(results(make_record))
    sure, unsure = (dots(picture, colours(picture)[name]) for name in ("sure", "unsure"))
    left, middle, right = sure[0]
    # Each budget is asked for at two refreshes: 50, 200, 800, which lie as far from each other in logarithms.
    assert middle[0] - left[0] == pytest.approx(right[0] - middle[0], abs=0.2)
    assert unsure[0][0][0] - left[0] == unsure[0][2][0] - right[0] > 0
    # Gains of 0, .2 and .4, and half of each.
    assert left[1] - middle[1] == pytest.approx(middle[1] - right[1], abs=0.2)
    assert left[1] - unsure[0][2][1] == pytest.approx((left[1] - right[1]) / 2, abs=0.2)
    # On the linear axis, of labels trained on, 150 are a fifth of 750.
    left, middle, right = sure[1]
    assert middle[0] - left[0] == pytest.approx((right[0] - left[0]) / 5, abs=0.3)


def test_vanilla_and_the_ceiling_are_marked(make_record):
    picture = drawn(results(make_record))
    names = [each for each in picture.iter(f"{SVG}text") if each.text in ("vanilla", "ceiling")]
    assert [each.text for each in names] == ["vanilla", "ceiling"] * 2
    levels = {
        each.get("stroke-dasharray"): float(each.get("y1"))
        for each in picture.iter(f"{SVG}line")
        if each.get("stroke") == "#555" and float(each.get("x1")) == LEFT and float(each.get("x2")) == WIDTH - RIGHT
    }
    sure = dots(picture, colours(picture)["sure"])[0]
    # An arm without a gain is at vanilla's level; of the ceiling's .5, .4 are four fifths.
    assert levels[None] == pytest.approx(sure[0][1], abs=0.2)
    assert (levels[None] - sure[2][1]) / (levels[None] - levels["6 3"]) == pytest.approx(0.8, abs=0.01)


def test_intervals_are_those_of_the_figures(make_record):
    found = results(make_record)
    picture = drawn(found)
    colour = colours(picture)["sure"]
    sure = dots(picture, colour)[0]
    bars = [
        (float(each.get("x1")), float(each.get("y1")), float(each.get("y2")))
        for each in picture.iter(f"{SVG}line")
        if each.get("stroke") == colour and each.get("x1") == each.get("x2") and float(each.get("x1")) < WIDTH
    ]
    gain = found.points["centre"].arms["sure-400"].against_vanilla.gold
    # Pixels for a unit of gold, by the dots of 0 and .4.
    scale = (sure[0][1] - sure[2][1]) / 0.4
    _, low, high = next(bar for bar in bars if bar[0] == sure[2][0])
    assert low - sure[2][1] == pytest.approx((gain.mean - gain.low) * scale, abs=0.3)
    assert sure[2][1] - high == pytest.approx((gain.high - gain.mean) * scale, abs=0.3)


def test_one_interval_that_is_too_long_is_cut_and_says_so(make_record):
    words = [each.text for each in drawn(results(make_record)).iter(f"{SVG}text")]
    assert not any("arrow" in word for word in words)
    picture = drawn(results(make_record, noise=2.0, seeds=3))
    assert list(picture.iter(f"{SVG}polyline"))
    assert any(each.get("class") == "cut" for each in picture.iter(f"{SVG}polyline"))
    assert "an arrow: the interval goes on beyond the axis" in [each.text for each in picture.iter(f"{SVG}text")]


def test_arms_with_equal_labels_in_one_line_stand_beside_each_other(make_record):
    line = "curves.Logarithmic.lines.sure=[sure-25, unsure-25, sure-400]"
    same, other, _ = dots(drawn(results(make_record, line)), "#0072b2")[0]
    assert 3 < other[0] - same[0] < 10


def test_what_has_no_place_is_named(make_record):
    picture = drawn(results(make_record, without="sure-100", oracle=-0.2))
    words = [each.text for each in picture.iter(f"{SVG}text")]
    assert "sure (4 seeds; sure-100 not run)" in words
    lost = "sure (sure-400 has no recovery; sure-25 has no recovery; sure-100 not run)"
    assert lost in words
    assert "no ceiling: oracle was not run, or has no gain to recover" in words
    assert [len(each) for each in dots(picture, "#0072b2")] == [2, 0]


def test_a_study_without_cells_has_an_empty_picture_and_one_without_curves_none(averaging):
    study = load_study("averaging", [*STUDY, *CURVES])
    assert not list(drawn(summarise(study, [], [])).iter(f"{SVG}circle"))
    assert curves_picture(summarise(averaging, [], [])) is None


def test_the_page_shows_the_picture(make_record):
    page = report.markdown(results(make_record), "frft")
    assert "![gains by the number of labels](curves.svg)" in page


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("curves.A={point: center, lines: {a: [sure-25]}}", r"curves\.A\.point: center: no such point"),
        ("curves.A={point: centre, lines: {a: [sure]}}", r"curves\.A\.lines\.a: sure: no such arm or role"),
        ("curves.A={point: centre, lines: {a: [vanilla]}}", r"curves\.A\.lines\.a: vanilla: is what all others gain"),
        ("curves.A={point: kappa-0, lines: {a: [sure-25]}}", r"lines\.a: sure-25: does not run at point kappa-0"),
        ("curves.A={point: centre, log: true, lines: {a: [control]}}", r"lines\.a: random asks for no labels, and"),
        ("curves.A={point: centre, lines: {}}", r"curves\.A\.lines"),
        ("curves.A={point: centre, x: steps, lines: {a: [sure-25]}}", r"curves\.A\.x"),
    ],
)
def test_what_is_wrong_is_named(override, message):
    with pytest.raises(ConfigError, match=message):
        load_study("averaging", [*STUDY, override])


def test_curves_of_a_point_that_is_left_out_stay(make_record):
    study = load_study("averaging", [*STUDY, *CURVES, "points.kappa-0=null", "curves.Linear=null"])
    assert list(study.config.curves) == ["Logarithmic"]
