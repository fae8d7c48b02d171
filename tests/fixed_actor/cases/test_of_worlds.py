"""Worlds drawn at random: what a case holds, and that other seeds are other worlds."""

from __future__ import annotations

import numpy as np
import pytest

from frft.config.sections import WorldConfig
from frft.fixed_actor.cases.of_worlds import CASE_WORLDS, SAMPLES, TESTED, _world_case, world_cases
from frft.worlds import World


def test_families_take_turns_and_a_group_is_a_cluster():
    keys = [key for key, _ in world_cases(4, 5, 3)]
    assert len(keys) == len(set(keys)) <= 20
    assert len({key.cluster for key in keys}) == 4
    assert [key.family for key in keys[:1]] == [CASE_WORLDS[0]]
    assert {key.family for key in keys} == set(CASE_WORLDS)
    assert keys == [key for key, _ in world_cases(4, 5, 3)]
    assert [key for key in keys if "texts 0" not in key.cluster] == [key for key, _ in world_cases(3, 5, 3, 1)]
    assert not {key.cluster for key in keys} & {key.cluster for key, _ in world_cases(4, 5, 4)}


def test_every_drawn_setting_is_a_valid_world():
    for key, make in world_cases(40, 4, 0):
        (config,) = make.args
        assert isinstance(config, WorldConfig)
        assert f"pool_size {config.pool_size}" in key.name
        assert f"lambda {config.lambda_}" in key.name


def test_worlds_of_a_group_share_their_texts_and_differ_in_labels():
    (_, first), (_, second), *_ = world_cases(1, 6, 0)
    one, other = first(), second()
    assert one.completions == other.completions
    assert sorted(one.pool["prompt"].to_pylist()) == sorted(other.pool["prompt"].to_pylist())
    assert one.pool["chosen"].to_pylist() != other.pool["chosen"].to_pylist()


@pytest.mark.parametrize(("kappa", "coupled"), [(1.0, True), (0.0, False)])
def test_the_actors_pairs_are_its_own_and_judged_as_in_the_pool(kappa, coupled):
    config = WorldConfig(
        pool_size=50, categories=6, lambda_=0, near_lambda=4, anti_gold=True, kappa=kappa, temperature=0, drift=0.5
    )
    case, world = _world_case(config), World(config)
    assert len(case.prompts) == SAMPLES
    assert 0.9 * TESTED < case.tested.num_rows <= TESTED
    assert case.weight_M.sum() == pytest.approx(1)
    assert not set(case.tested["prompt"].to_pylist()) & set(case.pool["prompt"].to_pylist())
    judges = set(case.tested["annotator"].to_pylist())
    # The near annotator goes against gold, the others go by it.
    assert judges == ({world.annotators.names[0]} if coupled else set(world.annotators.names))
    agrees = (case.gold_M[case.gold_M != 0] > 0).mean()
    assert agrees < 0.05 if coupled else agrees > 0.7
    pirate = world.style(case.tested["chosen"].to_pylist())[:, world.style_names.index("pirate")] > 0
    assert 0.3 < pirate.mean() < 0.7


def test_a_mixture_of_domains_is_what_the_actor_is_tested_on():
    config = WorldConfig(pool_size=50, domains=2, policy_mixture=(0.75, 0.25), lambda_=0, temperature=0)
    case, world = _world_case(config), World(config)
    own = world.domains_of(case.tested["prompt"].to_pylist()) == 0
    assert own.mean() == pytest.approx(0.75, abs=0.06)
    # Without bias and noise, labels are gold.
    assert (case.gold_M >= 0).all()
    assert np.abs(case.gold_M).max() > 0
