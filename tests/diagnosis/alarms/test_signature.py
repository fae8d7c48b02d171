"""What all failure signatures have in common, and that adding one is one object."""

from __future__ import annotations

import numpy as np

from frft.cli.diagnosis_output import print_details
from frft.diagnosis import Course, Scored, Selected, Subject, diagnose
from frft.diagnosis import diagnosis as diagnosis_file
from frft.diagnosis.alarms import FAILURE_SIGNATURES, Examined, FailureSignature
from frft.diagnosis.alarms.signature import above
from frft.statistics import order_accuracy
from frft.statistics.estimates import share
from frft.store import plain

RNG = np.random.default_rng(0)


def everything() -> Subject:
    """A subject in which every failure can be looked for: its judge falls from a peak on."""
    prompts, texts = [f"p{n // 2}" for n in range(80)], [f"text {n}" for n in range(80)]
    before, after = (Scored(prompts, texts, RNG.normal(size=80), RNG.normal(size=80)) for _ in range(2))
    kl = np.linspace(0.1, 16, 60)
    judge = 1.5 * np.sqrt(kl) - 0.5 * kl + RNG.normal(0, 0.01, 60)
    kept = np.arange(40) < 20
    nearer = RNG.uniform(size=40)
    accuracy = order_accuracy(np.where(np.arange(50) < 40, 1.0, -1.0), np.ones(50))
    return Subject(
        "all",
        gain=1.0,
        after=after,
        before=before,
        before_by_first=RNG.normal(size=80),
        held_out=accuracy,
        own_test=accuracy,
        course=Course(np.linspace(0, 1, 60), kl, judge, 1.0),
        selected=Selected(kept, 20, nearer, 1 - nearer, {"source": ["a", "b"] * 20}, (0.3, 0.2)),
    )


def test_every_signature_is_looked_for_by_its_name():
    found = diagnose(everything())
    assert [alarm.name for alarm in found.alarms] == [signature.name for signature in FAILURE_SIGNATURES]


def test_what_is_not_there_is_said_for_every_signature():
    found = diagnose(Subject("nothing"))
    assert not found.alarms
    assert [line.split(": ")[0] for line in found.unmeasured] == [
        signature.name.split(": ")[0] for signature in FAILURE_SIGNATURES
    ]
    assert all(signature.why_not(Examined(Subject("nothing"))) for signature in FAILURE_SIGNATURES)


def test_an_alarm_is_json_able():
    assert set(plain(diagnose(everything()).alarms[0])) == {
        "name", "fired", "measured", "figure", "interval", "threshold", "meaning", "advice", "side",
    }  # fmt: skip


def test_a_signature_is_added_as_one_object(monkeypatch, capsys):
    def look(found: Examined):
        texts = None if found.subject.after is None else found.subject.after.completions
        if texts is None:
            return None
        shouted = share(sum(text.isupper() for text in texts), len(texts))
        return above("policy shouts", "share of texts in capitals", shouted, 0.5, "It is loud.", "Ask it to be quiet.")

    signature = FailureSignature("policy shouts", look, lambda _: "there are no completions")
    monkeypatch.setattr(diagnosis_file, "FAILURE_SIGNATURES", (*FAILURE_SIGNATURES, signature))
    assert "policy shouts: there are no completions" in diagnose(Subject("nothing")).unmeasured
    quiet, loud = (
        diagnose(Subject("texts", after=Scored(["p"] * 40, [text] * 40, np.arange(40.0)))) for text in ("a", "A")
    )
    assert [found.alarms[-1].fired for found in (quiet, loud)] == [False, True]
    assert "policy shouts" not in {alarm.name for alarm in quiet.fired}
    assert loud.verdict == "broken"
    print_details(loud, loud.links)
    assert "policy shouts" in capsys.readouterr().out
