"""The training of the arms as an SVG."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from frft.experiment import draw_picture
from frft.experiment.picture import round_values
from frft.results import RunResults

from ..completed import completed

SVG = "{http://www.w3.org/2000/svg}"


def results(kind="gold", arms=("vanilla", "frft"), steps=6) -> dict:
    def rows(shift):
        return [
            {"step": step, "score": step * 0.1 + shift, "kl_sft_k1": step**2, "gold": shift}
            for step in range(1, steps + 1)
        ]

    # The second was refused by a gate.
    refreshes = [{"after_step": 3, "accepted": True}, {"after_step": 5, "accepted": False}]
    return {
        "judge": {"kind": kind},
        "arms": {
            name: {"ppo": rows(number), "refreshes": refreshes if number else []} for number, name in enumerate(arms)
        },
    }


def drawn(found: dict):
    """The picture of a run with these figures."""
    return ElementTree.fromstring(draw_picture(completed(RunResults, found)))


def lines_of(root) -> list[list[tuple[float, float]]]:
    return [
        [tuple(map(float, point.split(","))) for point in line.get("points").split()]
        for line in root.iter(f"{SVG}polyline")
    ]


@pytest.mark.parametrize(("kind", "panels"), [("gold", 3), ("reward_model", 2)])
def test_there_is_a_line_for_each_arm_in_each_panel(kind, panels):
    root = drawn(results(kind))
    lines = lines_of(root)
    assert len(lines) == 2 * panels
    assert all(len(points) == 6 for points in lines)
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert any(text.startswith("gold reward") for text in texts) == (kind == "gold")
    assert {"vanilla", "frft"} <= set(texts)
    dotted = [line for line in root.iter(f"{SVG}line") if line.get("stroke-dasharray") == "2 3"]
    # The legend says what they mean.
    assert len(dotted) == panels + 1
    assert "a reward model was refreshed: later scores are those of another" in texts


def test_without_a_refresh_the_legend_speaks_of_none():
    texts = [text.text for text in drawn(results(arms=["vanilla"])).iter(f"{SVG}text")]
    assert "vanilla" in texts
    assert not any("refreshed" in text for text in texts)


def test_points_lie_where_their_numbers_are():
    lines = lines_of(drawn(results()))
    assert len({y for _, y in lines[0]}) == len({y for _, y in lines[1]}) == 1
    assert lines[1][0][1] < lines[0][0][1], "the arm with the higher gold reward is higher up"
    steps = [x for x, _ in lines[0]]
    assert steps == sorted(steps)
    kl = [y for _, y in lines[-1]]
    share = [(kl[0] - y) / (kl[0] - kl[-1]) for y in kl]
    assert share == pytest.approx([(step**2 - 1) / 35 for step in range(1, 7)], abs=0.002)


def test_many_steps_are_put_together():
    found = results(steps=100)
    points = lines_of(drawn(found))[0]
    assert len(points) == 20  # means of 5


def test_one_step_is_a_point_and_names_do_no_harm():
    found = results(arms=["vanilla", "<script>&"], steps=1)
    root = drawn(found)
    assert all(len(points) == 1 for points in lines_of(root))
    assert "<script>&" in [text.text for text in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_has_no_height_is_not_drawn(bad):
    found = results(kind="reward_model")
    found["arms"]["vanilla"]["ppo"][2]["kl_sft_k1"] = bad
    for row in found["arms"]["frft"]["ppo"]:
        row["score"] = bad
    scores, kl = [lines_of(drawn(found))[at : at + 2] for at in (0, 2)]
    assert [len(line) for line in scores] == [6, 0]
    assert [len(line) for line in kl] == [5, 6]


def test_more_arms_than_colours_can_be_told_apart():
    root = drawn(results(arms=[f"a{number}" for number in range(20)]))
    strokes = {(line.get("stroke"), line.get("stroke-dasharray")) for line in root.iter(f"{SVG}polyline")}
    assert len(strokes) == 20


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (-1.36, 1.82, ["-1.0", "-0.5", "0.0", "0.5", "1.0", "1.5"]),
        (0.1, 0.35, ["0.10", "0.15", "0.20", "0.25", "0.30", "0.35"]),
        (1, 20, ["5", "10", "15", "20"]),
        (0, 8, ["0", "2", "4", "6", "8"]),
        (3.2, 3.6, ["3.2", "3.3", "3.4", "3.5", "3.6"]),
        (-0.0004, 0.0003, ["-0.0004", "-0.0003", "-0.0002", "-0.0001", "0.0000", "0.0001", "0.0002", "0.0003"]),
        (3e5, 1e6, ["300000", "400000", "500000", "600000", "700000", "800000", "900000", "1000000"]),
    ],
)
def test_axes_have_round_values(low, high, labels):
    found = round_values(low, high)
    assert [label for _, label in found] == labels
    assert [float(label) for label in labels] == pytest.approx([value for value, _ in found])


@pytest.mark.parametrize(("low", "high"), [(1, 2), (0.5, 1.5), (1, 7), (1, 300)])
def test_steps_are_whole(low, high):
    labels = [label for _, label in round_values(low, high, finest=1)]
    assert labels
    assert all(label.isdigit() for label in labels)
