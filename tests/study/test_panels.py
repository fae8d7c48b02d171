"""The picture of a study's panels."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from frft.study import load_study
from frft.study.panels import WIDTH, panels_picture
from frft.study.picture import gains_picture
from frft.study.summary import summarise

from .conftest import typed

SVG = "{http://www.w3.org/2000/svg}"
PANELS = [
    "panels.Pool size={x: pairs, log: true, points: {pool-small: 1000, centre: 4000, pool-large: 16000}}",
    "panels.Coupling={x: kappa, arms: [primary, source], points: {kappa-0: 0, kappa-half: 0.5, centre: 1}}",
]
GAINS = {"pool-small": 0.1, "centre": 0.4, "pool-large": 0.2, "kappa-0": -0.4, "kappa-half": 0.0}


def results(make_record, *, without: str = "", seeds: int = 2):
    study = load_study("averaging", PANELS)
    records = [
        make_record(
            point, seed, {"vanilla": 0, "random": 0.1, "part1": 0.1, "source": 0.2, "oracle": 0.3, "density": y}
        )
        for point, y in ((point, 0.1 + gain) for point, gain in GAINS.items() if point != without)
        for seed in range(seeds)
    ]
    return summarise(study, typed(records), [])


def drawn(make_record, **more):
    picture = panels_picture(results(make_record, **more))
    assert picture is not None
    return ElementTree.fromstring(picture)


def dots(picture, colour: str) -> list[list[tuple[float, float]]]:
    """The dots of a colour in both panels, from left to right."""
    found = [each for each in picture.iter(f"{SVG}circle") if each.get("fill") == colour]
    at = [(float(each.get("cx")), float(each.get("cy"))) for each in found]
    return [[(x, y) for x, y in at if (x >= WIDTH) is second] for second in (False, True)]


def colours(picture) -> dict[str, str]:
    return {each.text: each.get("fill") for each in picture.iter(f"{SVG}tspan")}


def test_dots_lie_where_the_gains_over_the_control_and_the_numbers_of_points_are(make_record):
    picture = drawn(make_record)
    assert list(colours(picture)) == ["density (FRFT)", "part1", "source (perfect filter)", "oracle (ceiling)"]
    sizes, coupling = dots(picture, colours(picture)["density (FRFT)"])
    left, middle, right = sizes
    # A logarithmic axis: 1,000, 4,000 and 16,000 are as far from each other.
    assert middle[0] - left[0] == pytest.approx(right[0] - middle[0], abs=0.2)
    # One scale: .4 at `centre` in both panels, and -.4 as far below 0 as that is above.
    assert middle[1] == coupling[2][1]
    zero = coupling[1][1]
    assert coupling[0][1] - zero == pytest.approx(zero - coupling[2][1], abs=0.2)
    assert zero - left[1] == pytest.approx((zero - middle[1]) / 4, abs=0.2)
    words = {each.text for each in picture.iter(f"{SVG}text")}
    assert {"Pool size", "Coupling", "pairs", "kappa", "1,000", "16,000", "0.5"} <= words


def test_arms_are_those_that_a_panel_names_and_stand_beside_each_other(make_record):
    picture = drawn(make_record)
    assert dots(picture, colours(picture)["oracle (ceiling)"])[1] == []
    density, source = (
        dots(picture, colours(picture)[name])[1] for name in ("density (FRFT)", "source (perfect filter)")
    )
    assert all(one[0] < other[0] for one, other in zip(density, source, strict=True))


def test_an_arm_has_the_colour_that_it_has_in_the_picture_of_every_point(make_record):
    every_point = colours(ElementTree.fromstring(gains_picture(results(make_record))))
    assert colours(drawn(make_record)).items() < every_point.items()


def test_points_without_cells_are_left_out_and_one_seed_has_no_interval(make_record):
    picture = drawn(make_record, without="kappa-half", seeds=1)
    assert [len(each) for each in dots(picture, colours(picture)["density (FRFT)"])] == [3, 2]
    assert not [line for line in picture.iter(f"{SVG}line") if line.get("x1") == line.get("x2")]


def test_a_study_without_panels_has_no_such_picture(averaging, make_record):
    assert panels_picture(summarise(averaging, [], [])) is None
