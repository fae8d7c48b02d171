"""Alarms of a reward model: a case that makes each fire, and one that keeps it silent."""

from __future__ import annotations

import numpy as np

from frft.diagnosis.alarms.reward_model import collapsed, grew, little_signal, saturated
from frft.diagnosis.subject import Scored

RNG = np.random.default_rng(0)


def scored(scores, texts=None):
    scores = np.asarray(scores, float)
    prompts = [f"p{n // 2}" for n in range(len(scores))]
    return Scored(prompts, texts or [f"text {n}" for n in range(len(scores))], scores)


def test_collapsed_whatever_normalisation_hides():
    scores = RNG.normal(size=200)
    assert collapsed(scored(scores), gain=500.0).fired
    assert not collapsed(scored(scores), gain=5.0).fired


def test_saturated_at_either_end():
    scores = RNG.normal(size=200)
    assert not saturated(scored(scores)).fired
    assert saturated(scored(np.minimum(scores, -0.8))).fired
    assert saturated(scored(np.maximum(scores, 0.8))).fired


def test_a_text_that_is_written_often_does_not_saturate():
    scores = np.where(np.arange(200) < 150, 2.0, RNG.normal(size=200))
    texts = ["the same" if n < 150 else f"text {n}" for n in range(200)]
    same_prompt = Scored(["p"] * 200, texts, scores)
    assert not saturated(same_prompt).fired


def test_scale_grew():
    first = RNG.normal(size=300)
    now = first + RNG.normal(0, 0.5, size=300)
    assert grew(first, 2.5 * now).fired
    assert not grew(first, 1.1 * now).fired
    assert not grew(first, 0.3 * now).fired
    assert grew(np.zeros(5), first[:5]) is None


def test_the_interval_of_the_scale_covers():
    rng, covered = np.random.default_rng(5), 0
    for _ in range(500):
        x = rng.normal(size=60)
        low, high = grew(x, 1.3 * (0.8 * x + 0.6 * rng.normal(size=60))).interval
        covered += low <= 1.3 <= high
    assert 0.92 < covered / 500 < 0.98


def test_too_little_signal_within_a_prompt():
    prompt_means = np.repeat(RNG.normal(size=100), 2)
    alike, apart = (scored(prompt_means + RNG.normal(0, spread, 200)).spread() for spread in (0.1, 0.5))
    assert little_signal(alike, alike.total).fired
    assert not little_signal(apart, apart.total).fired
