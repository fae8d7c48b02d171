"""The filter's settings: which contradict one another."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from frft.config import RunConfig
from frft.config.sections import RefreshConfig, SelectionConfig
from frft.errors import SettingsError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strategy": "source"}, "strategy: source needs the name of one"),
        ({"strategy": "source", "source": ""}, "at least 1 character"),
        ({"strategy": "source", "source": "a", "source_clusters": 4}, "source chooses among none; leave it out"),
        ({"strategy": "near_source", "source_clusters": 1}, "greater than 1"),
        ({"strategy": "column", "column": "domain"}, "strategy: column needs a column and what it says"),
        ({"strategy": "column", "value": "domain-0"}, "set column and value"),
        ({"strategy": "part1", "take": "sample"}, "take: sample draws by a density ratio, which part1 has none of"),
        ({"strategy": "all", "take": "sample"}, "which all has none of"),
        ({"strategy": "policy_ratio", "shuffle_embeddings": True}, "change nothing for policy_ratio"),
        ({"strategy": "random", "noise": 0.1}, "change nothing for random"),
        ({"noise": -0.1}, "greater than or equal to 0"),
        ({"noise": float("inf")}, "finite"),
        ({"shuffle_labels": 1.5}, "valid boolean"),
    ],
)
def test_settings_that_contradict_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        SelectionConfig.model_validate(settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"strategy": "source", "source": "a", "shuffle_labels": True},
        {"strategy": "column", "column": "domain", "value": "domain-0"},
        {"strategy": "density", "take": "sample", "noise": 0.5, "shuffle_embeddings": True},
        {"strategy": "policy_ratio", "take": "sample"},
        {"strategy": "near_source", "source_clusters": 4, "shuffle_labels": True},
        {"strategy": "none"},
    ],
)
def test_settings_that_go_together(settings):
    assert SelectionConfig.model_validate(settings).model_dump().items() >= settings.items()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"at_steps": [3], "every": 2}, "two schedules"),
        ({"when": "drift", "every": 2}, "leave out at_steps and every"),
        ({"when": "alarms", "at_steps": [3]}, "leave out at_steps and every"),
        ({"drift": 0.8}, "read with when: drift alone"),
        ({"gate": {}, "selection": {"strategy": "none"}}, "no reward model that a gate could examine"),
        ({"when": "drift", "drift": 0.4}, "greater than or equal to 0.5"),
        ({"every": 0}, "greater than 0"),
        ({"references": 2}, "read with reward_shaping: par alone"),
        ({"reward_shaping": "par", "alpha": 0, "ensemble": 2}, "not of an ensemble of 2"),
        ({"restart_policy": True, "kl_anchor": "previous"}, "leave kl_anchor: previous out"),
        ({"restart_policy": True, "reset_optimizer": True}, "leave reset_optimizer out"),
        ({"replay": 1}, "less than 1"),
        ({"replay": 0.5, "selection": {"strategy": "all"}}, "strategy: all leaves none"),
        ({"replay": 0.5, "selection": {"strategy": "none"}}, "strategy: none trains on none"),
    ],
)
def test_schedules_that_contradict_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        RefreshConfig.model_validate(settings)


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"alpha": 2}, [3, 7]),
        ({"alpha": 2, "every": 4}, [4, 8]),
        ({"alpha": 2, "at_steps": [0, 9]}, [0, 9]),
        ({"alpha": 2, "when": "drift", "drift": 0.6}, []),
        ({"alpha": 0, "every": 4}, []),
        ({"alpha": 1, "replay": 0.5, "labels": "gold", "selection": {"strategy": "all"}}, [5]),
    ],
)
def test_the_schedule(settings, steps):
    assert RefreshConfig.model_validate(settings).refresh_steps(10) == steps


@pytest.mark.parametrize(
    ("refresh", "arm", "size"),
    [
        ({}, {}, 200),
        ({"selection": {"size": 5}}, {}, 200),
        ({"selection": {"test_size": 7}}, {}, 7),
        ({"selection": {"test_size": 7}}, {"selection": {"strategy": "random"}}, 7),
        ({}, {"selection": {"test_size": 0}}, 0),
        ({"selection": {"test_size": 7}}, {"selection": {"test_size": None}}, 200),
    ],
)
def test_a_run_tests_every_refresh_unless_it_says_otherwise(refresh, arm, size):
    config = RunConfig.model_validate(
        {
            "data": {"pairs": ["x"]},
            "refresh": refresh,
            "arms": {"vanilla": {"alpha": 0}, "own": arm},
        }
    )
    assert config.arm("own").selection.test_size == size
    assert RunConfig.model_validate(config.model_dump()) == config


def test_elsewhere_there_is_no_test_split_unless_it_is_asked_for():
    assert SelectionConfig().places == SelectionConfig().size == 2000
    assert RefreshConfig.model_validate({"selection": {"size": 10}}).selection.places == 10
    assert SelectionConfig(size=10, test_size=3).places == 13


def test_rollouts_need_nearest_matching():
    assert RefreshConfig.model_validate({"samples": "rollouts", "selection": {"match": "nearest"}})
    with pytest.raises(SettingsError, match="match: nearest"):
        RefreshConfig(samples="rollouts", selection=SelectionConfig(strategy="part1"))
    for strategy in ("random", "density", "all"):
        assert RefreshConfig.model_validate({"samples": "rollouts", "selection": {"strategy": strategy}})
