"""The algorithms that train the policy: the settings that they name are there, and an unknown one is refused."""

from __future__ import annotations

import pytest

from frft.config import load_config
from frft.config.algorithms import ALGORITHMS
from frft.config.sections import GroupConfig, PPOConfig
from frft.errors import ConfigError
from frft.experiment.trainers import _MADE_BY


@pytest.mark.parametrize("name", ALGORITHMS)
def test_settings_that_an_algorithm_has_no_use_for_are_settings(name):
    sections = {"ppo": PPOConfig, "group": GroupConfig}
    for section, unread in ALGORITHMS[name].unread.items():
        assert set(unread) <= set(sections[section].model_fields)
    assert set(ALGORITHMS[name].refused) <= set(PPOConfig.model_fields)


def test_every_algorithm_has_a_trainer():
    assert set(_MADE_BY) == set(ALGORITHMS)


def test_an_unknown_algorithm_is_refused_with_those_that_there_are():
    with pytest.raises(ConfigError, match=r"algorithm: must be one of ppo, rloo, grpo; got 'reinforce'"):
        load_config("hh-small", ["data.pairs=x", "algorithm=reinforce"])
