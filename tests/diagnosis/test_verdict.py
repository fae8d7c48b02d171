"""When a reward is called healthy, and when nobody can say."""

from __future__ import annotations

import pytest

from frft.diagnosis.links import Link
from frft.diagnosis.verdict import verdict_of
from frft.reward.alarm import Alarm

FIRED, SILENT = (Alarm("stuck", fired, "", 1.0, None, 0.5, "It stands.", "Move it.", ">") for fired in (True, False))


def link(state, name="one"):
    return Link(name, state, "", None, None, "What it means.", f"What to do about {name}.")


@pytest.mark.parametrize(
    ("states", "alarms", "verdict", "grounds"),
    [
        (["holds", "holds"], [SILENT], "healthy", []),
        (["holds", "holds"], [FIRED], "broken", ["alarm: stuck"]),
        (["holds", "broken"], [SILENT], "broken", ["broken link: one"]),
        (["not measured", "broken"], [FIRED], "broken", ["alarm: stuck", "broken link: one"]),
        # A link of which nothing is known, or nothing sure, is no evidence of health.
        (["unclear", "unclear"], [SILENT], "undecided", ["unclear: one", "unclear: one"]),
        (["holds", "unclear"], [SILENT], "undecided", ["unclear: one"]),
        (["holds", "not measured"], [SILENT], "undecided", ["not measured: one"]),
        ([], [SILENT], "undecided", []),
    ],
)
def test_the_verdict_and_its_grounds(states, alarms, verdict, grounds):
    found, why = verdict_of([link(state) for state in states], alarms)
    assert (found, [ground.found for ground in why]) == (verdict, grounds)


def test_a_ground_says_what_to_do():
    _, (alarm, broken) = verdict_of([link("broken", "two")], [FIRED])
    assert (alarm.advice, broken.advice) == ("It stands. Move it.", "What to do about two.")
