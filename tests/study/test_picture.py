"""The figure of a study."""

from __future__ import annotations

from xml.etree import ElementTree

from frft.study.picture import gains_picture
from frft.study.summary import summarise

from .conftest import typed

SVG = "{http://www.w3.org/2000/svg}"


def test_a_dot_for_every_arm_and_point_lies_where_its_gain_is(averaging, make_record):
    gains = {"vanilla": 0, "random": 0.25, "density": 0.5, "source": 0.5, "part1": -0.5, "oracle": 1}
    records = [make_record(point, seed, gains) for point in ("centre", "kappa-0") for seed in (0, 1)]
    picture = ElementTree.fromstring(gains_picture(summarise(averaging, typed(records), [])))
    dots = [float(each.get("cx")) for each in picture.iter(f"{SVG}circle")]
    assert len(dots) == 2 * 5
    ticks = {text.text: float(text.get("x")) for text in picture.iter(f"{SVG}text") if text.get("text-anchor")}
    assert list(ticks) == ["-0.4", "-0.2", "0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    zero = ticks["0.0"]
    random, density, part1 = dots[0], dots[2], dots[4]
    assert (density - zero) == 2 * (random - zero) == -(part1 - zero)
    assert ticks["1.0"] - zero == 2 * (density - zero)
    words = {each.text for name in ("text", "tspan") for each in picture.iter(f"{SVG}{name}")}
    assert {"centre", "kappa-0", "random (control)", "density (FRFT)", "part1", "oracle (ceiling)"} <= words


def test_a_study_of_one_seed_has_dots_without_intervals(averaging, make_record):
    gains = dict.fromkeys(("vanilla", "random", "density", "source", "part1", "oracle"), 0.0)
    picture = ElementTree.fromstring(gains_picture(summarise(averaging, typed([make_record("centre", 0, gains)]), [])))
    assert len(list(picture.iter(f"{SVG}circle"))) == 5
    assert not [line for line in picture.iter(f"{SVG}line") if line.get("y1") == line.get("y2")]
