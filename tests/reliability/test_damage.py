"""The campaigns against damage, on what takes no run to make: they see damage, and would see a missing guard."""

from __future__ import annotations

import argparse

import pytest
from benchmarks.reliability import cuts, flips, forms
from benchmarks.reliability.campaign import Trial
from benchmarks.reliability.readers import KINDS
from benchmarks.reliability.same import digest_of_code

from frft.store import ChainedJournal, chained, sealed, write_sealed

MADE = ("benchmark: settings and counts", "unfinished completions", "verdicts of a judge")
"""Kinds that are made here as their writers make them."""


@pytest.fixture
def given(tmp_path, monkeypatch):
    """A folder of subjects that holds these kinds alone."""
    subjects = tmp_path / "subjects" / "whole"
    write_sealed(subjects / "bench" / "settings.json", {"format": 1, "seeds": 2, "embedder": "é"})
    for name in ("samples.jsonl.unfinished", "verdicts.jsonl"):
        journal = ChainedJournal(subjects / name)
        for number in range(3):
            journal.append({"key": f"{number}", "preference": number / 2, "tokens": [1, number]})
    (subjects / "code.txt").write_text(digest_of_code())
    for module in (flips, forms):
        monkeypatch.setattr(module, "KINDS", tuple(kind for kind in KINDS if kind.name in MADE))
    monkeypatch.setattr(cuts, "_KINDS", {name: kind for name, kind in cuts._KINDS.items() if name in MADE})
    monkeypatch.setattr(flips, "_EXPECTED", {})
    return argparse.Namespace(out=tmp_path, seed=0, trials=90, commands=30, each=1)


def outcomes(module, given, folder):
    for number, trial in enumerate(module.plan(given)):
        (folder / str(number)).mkdir(parents=True)
        yield trial, module.attempt(given, trial, folder / str(number))


@pytest.mark.parametrize("module", [flips, cuts, forms], ids=["flips", "cuts", "forms"])
def test_all_damage_is_seen(module, given, tmp_path):
    found = list(outcomes(module, given, tmp_path / "trials"))
    assert {trial.group for trial, _ in found} == ({*MADE} if module is not cuts else {*MADE[1:]})
    assert [outcome.found for _, outcome in found if not outcome.held] == []
    ways = {way for _, outcome in found for way in (outcome.found.get("how") or outcome.found)}
    if module is flips:
        assert {"detected", "frft verify: status 1, names the file"} <= ways


def test_a_missing_guard_is_seen(given, tmp_path, monkeypatch):
    class Any(str):
        __slots__ = ()
        __eq__ = lambda self, other: True  # noqa: E731
        __ne__ = lambda self, other: False  # noqa: E731
        __hash__ = str.__hash__

    monkeypatch.setattr(sealed, "is_whole", bool)
    monkeypatch.setattr(chained, "_digest", lambda *_: Any())
    broken = [outcome.found["how"] for _, outcome in outcomes(flips, given, tmp_path / "trials") if not outcome.held]
    assert "another content comes through without a word" in broken[0]
    assert len(broken) > 10


def test_a_traceback_is_no_error(given, tmp_path, monkeypatch):
    monkeypatch.setattr("frft.store.sealed.read_json", lambda path, _: path.nothing)
    trial = Trial("x", MADE[0], {"unit": "bench", "file": "bench/settings.json", "value": "list"})
    kind = next(kind for kind in KINDS if kind.name == MADE[0])
    copy = flips.copied(kind, tmp_path / "subjects" / "whole", trial.what, tmp_path / "x")
    assert flips.judged(kind, copy, None)[0] is False
