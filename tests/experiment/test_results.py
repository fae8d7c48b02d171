"""What the words under the table say follows from the figures."""

from __future__ import annotations

import pytest

from frft.experiment.results import findings
from frft.store import peak_memory


def results(**intervals) -> dict:
    arms = {
        name: {
            "evaluation": {
                "win_rate": interval and {"rate": sum(interval) / 2, "interval": interval},
                "written_truncated": {"sequences": 20, "prompts_truncated": 0, "completions_truncated": 0},
            },
            "refreshes": [],
        }
        for name, interval in {"vanilla": None, **intervals}.items()
    }
    models = {
        name: {"held_out": {"accuracy": 0.6, "interval": [0.51, 0.69], "n": 90}} for name in ("judge", "base_reward")
    }
    prompts = {"given": 25, "distinct": 22, "used": 20, "trained_on": 0}
    return {**models, "data": {"evaluation_prompts": prompts}, "arms": arms}


@pytest.mark.parametrize(
    ("intervals", "verdict"),
    [
        ({"a": (0.4, 0.6), "b": (0.45, 0.7)}, "no arm can be told from vanilla. With 2 comparisons"),
        ({"a": (0.51, 0.6), "b": (0.45, 0.7)}, "a is better than vanilla. With 2"),
        (
            {"a": (0.51, 0.6), "b": (0.3, 0.49), "c": (0.2, 0.4)},
            "a is better than vanilla and b, c are worse than vanilla.",
        ),
    ],
)
def test_the_verdict_follows_the_intervals(intervals, verdict):
    lines = findings(results(**intervals))
    assert verdict in lines[0]
    assert lines[1].startswith("The judge agrees with the labels of 60.0 % [51.0, 69.0] of 90 held-out pairs")


@pytest.mark.parametrize(
    ("model", "warning"),
    [("judge", "these win rates say nothing about quality"), ("base_reward", "little signal to realign")],
)
def test_a_model_that_is_not_above_chance_is_called_so(model, warning):
    found = results(a=(0.51, 0.6))
    assert not any(warning in line for line in findings(found))
    found[model]["held_out"]["interval"] = [0.49, 0.6]
    assert any(warning in line for line in findings(found))


def test_cut_and_known_prompts_are_named():
    found = results(a=(0.4, 0.6))
    assert not any("prompts" in line for line in findings(found))
    found["data"]["evaluation_prompts"]["trained_on"] = 3
    found["arms"]["vanilla"]["evaluation"]["written_truncated"]["prompts_truncated"] = 7
    assert any(line.startswith("3 of the 20 evaluation prompts were also trained on") for line in findings(found))
    assert any(line.startswith("Of 7 of the 20 evaluation prompts") for line in findings(found))


def test_a_selection_that_came_up_short_is_named():
    found = results(a=(0.4, 0.6))
    counts = {"taken": 31, "wanted": 70}
    found["arms"]["a"]["refreshes"] = [{"selection": {"counts": counts, "strategy": "part1"}}]
    assert any("Arm a, refresh 1: only 31 of the 70" in line for line in findings(found))


def test_peak_memory_is_in_bytes():
    before = peak_memory()
    block = bytearray(64 * 2**20)
    block[::4096] = b"x" * len(block[::4096])
    assert 2**20 < before <= peak_memory() < 2**40
