"""All together: a healthy subject, a sick one, and one of which little is known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from frft.diagnosis import Course, Scored, Selected, Subject, diagnose
from frft.statistics import OrderAccuracy

N = 120


def texts(shift, seed, hacked=False):
    """Two completions of each prompt. The proxy sees the judge's quality with noise, or, hacked, something else."""
    rng = np.random.default_rng(seed)
    quality = rng.normal(shift, 1, 2 * N)
    seen = rng.normal(2, 0.5, 2 * N) if hacked else quality + rng.normal(0, 0.5, 2 * N)
    prompts = [f"p{n}" for n in range(N)] * 2
    return Scored(prompts, [f"word {number} word" for number in range(2 * N)], seen, quality)


def course(judge):
    rng, steps = np.random.default_rng(3), np.linspace(0, 3, 40)
    return Course(steps + rng.normal(0, 0.05, 40), steps**2, judge(steps) + rng.normal(0, 0.05, 40), 1.0)


def accuracy(value, n=1000):
    return OrderAccuracy(value, (value - 0.03, value + 0.03), n, 0, 0)


@pytest.fixture
def healthy():
    kept = np.arange(400) < 100
    likeness = np.random.default_rng(4).random((2, 400))
    before = texts(0.0, 1)
    return Subject(
        "healthy",
        gain=2.0,
        bias=0.5,
        after=texts(0.8, 2),
        before=before,
        before_by_first=before.proxy_N * 1.01,
        held_out=accuracy(0.65),
        own_test=accuracy(0.66, 200),
        calibration_error=0.02,
        course=course(lambda steps: 0.5 * steps),
        selected=Selected(kept, 100, *likeness, {"source": ["ab"[n % 2] for n in range(400)]}, (0.4, 0.3)),
    )


def test_everything_is_measured_of_a_healthy_subject(healthy):
    found = diagnose(healthy, embed=lambda written: np.eye(len(written)))
    assert found.verdict == "healthy"
    assert [link.state for link in found.links] == ["holds", "holds"]
    assert [(alarm.name, alarm.fired) for alarm in found.alarms if alarm.fired] == []
    # Of all signatures only one was not to be looked for: a judge that rises shows no peak.
    assert len(found.alarms) == 11
    assert [line.split(":")[0] for line in found.unmeasured] == ["past the peak"]
    assert found.spread.within.mean == pytest.approx(4 * found.spread_raw.within.mean)
    assert found.symptoms[-1].name == "self-similarity"
    assert found.calibration_error == 0.02
    assert (found.held_out.accuracy, found.off_policy, found.on_policy.n) == (0.65, None, N)
    assert found.lost.mean == pytest.approx(found.on_policy.accuracy - 0.65)
    assert found.kl.mean == pytest.approx((np.linspace(0, 3, 40) ** 2)[-5:].mean())


def test_a_policy_that_hacks_its_reward_is_not_healthy():
    found = diagnose(
        Subject(
            "sick",
            gain=1.0,
            after=texts(-1.0, 2, hacked=True),
            before=texts(0.0, 1),
            held_out=accuracy(0.7),
            course=course(lambda steps: steps * (0.5 - 0.5 * steps)),
        )
    )
    assert found.verdict == "broken"
    assert {alarm.name for alarm in found.fired} == {"over-optimisation", "past the peak"}
    assert [link.state for link in found.links] == ["broken", "broken"]


def test_a_broken_link_alone_is_not_healthy():
    found = diagnose(Subject("blind", after=texts(0.0, 2, hacked=True), held_out=accuracy(0.7)))
    assert not found.fired
    assert found.links[0].state == "broken"
    assert found.verdict == "broken"


def test_what_is_not_there_is_said_and_not_guessed():
    found = diagnose(Subject("unknown", unmeasured=["the rest: it is gone"]))
    assert (found.alarms, found.symptoms, found.spread, found.movement, found.gao) == ([], [], None, None, None)
    assert {link.state for link in found.links} == {"not measured"}
    assert found.verdict == "undecided"
    assert found.unmeasured[0] == "the rest: it is gone"
    assert len(found.unmeasured) == 1 + 12
    assert any("self-similarity" in line for line in diagnose(Subject("x", after=texts(0.0, 1))).unmeasured)


def test_why_nothing_was_measured_is_said():
    """A judge there is; what it says is of no use."""
    now, was = texts(0.0, 2), texts(0.0, 1)
    others = replace(was, prompts=[f"q{prompt}" for prompt in was.prompts])
    assert "have no prompt in common" in diagnose(Subject("x", after=now, before=others)).links[1].verdict
    assert "nothing that the policy wrote at the start" in diagnose(Subject("x", after=now)).links[1].verdict
    alike = replace(now, judge_N=np.ones(2 * N))
    assert f"equal in all {N} pairs" in diagnose(Subject("x", after=alike)).links[0].verdict
    link = diagnose(Subject("x", after=alike, before=replace(was, judge_N=np.ones(2 * N)))).links[1]
    assert link.state == "not measured"
    assert f"Over {N} prompts, the change of the proxy or that of the judge is the same everywhere" in link.verdict
    once = Scored(["p"], ["text"], np.ones(1), np.ones(1))
    assert "No prompt has two completions" in diagnose(Subject("x", after=once)).links[0].verdict
    assert "have 1 judged prompts in common" in diagnose(Subject("x", after=once, before=once)).links[1].verdict


def test_penalties_are_no_ends_of_a_range():
    """Two thirds of what was written was cut, and has one score."""
    now = texts(0.0, 2)
    now = replace(now, proxy_N=np.where(np.arange(2 * N) % 3 == 0, now.proxy_N, -9.0))
    assert "reward model saturated" in [alarm.name for alarm in diagnose(Subject("x", after=now)).fired]
    found = diagnose(Subject("x", after=now, replaced=True))
    assert "reward model saturated" not in [alarm.name for alarm in found.alarms]
    assert any("replaced by missing_eos_penalty" in line for line in found.unmeasured)


def test_prompts_with_one_completion_are_counted():
    few = texts(0.0, 2)
    more = Scored([*few.prompts, "alone"], [*few.completions, "text"], np.append(few.proxy_N, 0.0))
    assert any(
        line.startswith("1 prompts with one completion") for line in diagnose(Subject("x", after=more)).unmeasured
    )


def test_held_out_accuracy_by_the_same_judge_goes_before_that_by_labels(healthy):
    other = diagnose(Subject("x", after=healthy.after, held_out=accuracy(0.6), off_policy=accuracy(0.8)))
    assert "80.0%" in other.links[0].verdict


def test_a_diagnosis_is_json_able(healthy):
    found = json.loads(json.dumps(diagnose(healthy).as_dict(), allow_nan=False))
    assert (found["verdict"], found["decided_by"]) == ("healthy", [])
    assert found["links"][0]["state"] == "holds"
