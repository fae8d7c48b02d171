"""Annotators: biases as they are documented, labels by Bradley-Terry."""

from __future__ import annotations

import numpy as np
import pytest

from frft.config.sections import WorldConfig
from frft.worlds import World
from frft.worlds.annotators import follower, prefers_first
from frft.worlds.world import CALIBRATION_PAIRS


def biases(domain=0, **dials):
    """Gold rewards (2, N) and every annotator's bias (A, 2, N) on the pairs that calibrate a world, in one domain."""
    world = World(WorldConfig(**dials))
    drafts = world.drafts(np.arange(CALIBRATION_PAIRS), domain=domain)
    found = []
    for number in range(world.config.annotators):
        who = np.full(CALIBRATION_PAIRS, number)
        sides = zip(drafts.gold, drafts.style, strict=True)
        utility = [world.annotators.utilities(*side, who, drafts.domain) for side in sides]
        found.append((np.stack(utility) - drafts.gold) / world.config.weight(number))
    return world, drafts.gold, np.stack(found)


@pytest.mark.parametrize(
    "dials",
    [
        {},
        {"lambda_": 3.0, "annotators": 9, "kappa": 0.2},
        {"pairs_within_source": False},
        {"domains": 2, "domain": 0},
        {"domains": 3, "domain": 2, "conflict": 0.3, "domain_taste": 0.9},
        {"domains": 2, "domain": 1, "annotators": 2, "annotators_follow": "domain"},
    ],
)
def test_a_bias_is_standardised_and_tells_nothing_about_gold(dials):
    _, gold, bias = biases(**dials)
    step, gold_step = bias[:, 0] - bias[:, 1], gold[0] - gold[1]
    assert np.allclose(bias.mean(axis=(1, 2)), 0, atol=1e-9)
    assert np.allclose((step**2).mean(axis=1), 2)
    assert np.allclose(step @ gold_step, 0, atol=1e-6)
    # Also over single completions, where the pairs do not decide it, nearly so: less where gold is a taste itself,
    # since sources differ in styles.
    most = 0.3 if "domain_taste" in dials else 0.15
    assert np.abs([np.corrcoef(each.ravel(), gold.ravel())[0, 1] for each in bias]).max() < most
    assert ((bias.std(axis=(1, 2)) > 0.9) & (bias.std(axis=(1, 2)) < 1.6)).all()


def test_gold_has_about_the_spread_of_a_bias():
    for seed in range(3):
        _, gold, _ = biases(seed=seed)
        assert 0.9 < gold.std() < 1.25


def test_tastes_conflict():
    world, _, bias = biases()
    step = bias[:, 0] - bias[:, 1]
    correlations = np.corrcoef(step) - np.eye(6)
    assert np.abs(correlations).max() < 0.25
    assert np.linalg.matrix_rank(world.annotators.tastes[0]) == 6


@pytest.mark.parametrize("dials", [{}, {"domains": 2, "domain": 0}, {"domains": 2, "domain": 1}])
def test_anti_gold_is_minus_the_gold_reward(dials):
    _, gold, bias = biases(anti_gold=True, near_policy=2, **dials)
    others = np.delete(bias, 2, axis=0)
    assert np.corrcoef(bias[2].ravel(), gold.ravel())[0, 1] == pytest.approx(-1)
    step = bias[2, 0] - bias[2, 1]
    assert (step**2).mean() == pytest.approx(2)
    assert np.allclose((others[:, 0] - others[:, 1]) @ (gold[0] - gold[1]), 0, atol=1e-6)


def test_an_annotator_without_weight_has_the_gold_reward_for_its_utility():
    for dials in ({"near_lambda": 0.0, "near_policy": 4}, {"gold_annotator": 4}):
        world = World(WorldConfig(**dials))
        table = world.pairs(0, 50)
        gold = world.gold(table["prompt"], table["chosen"])
        assert np.allclose(world.utility(table["prompt"], table["chosen"], 4), gold)
        assert not np.allclose(world.utility(table["prompt"], table["chosen"], 3), gold)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_labels_are_as_frequent_as_bradley_terry_says(temperature):
    number = 40_000
    u = np.random.default_rng(0).random(number)
    for difference in (-2.0, 0.0, 0.7):
        expected = 1 / (1 + np.exp(-difference / temperature))
        share = prefers_first(np.full(number, difference), temperature, u).mean()
        assert abs(share - expected) < 5 * np.sqrt(expected * (1 - expected) / number)


def test_without_noise_the_better_one_wins_and_ties_are_tossed():
    u = np.array([0.0, 0.999, 0.4, 0.6])
    assert prefers_first(np.array([-1e-9, 1e-9, 0.0, 0.0]), 0.0, u).tolist() == [False, True, True, False]


@pytest.mark.parametrize(("kappa", "share"), [(0.0, 1 / 6), (0.4, 0.4 + 0.6 / 6), (1.0, 1.0)])
def test_the_share_of_pairs_that_the_follower_judges(kappa, share):
    source = np.arange(30_000) % 6
    u = np.random.default_rng(1).random((30_000, 2))
    found = np.mean(follower(source, WorldConfig(kappa=kappa), u) == source)
    assert abs(found - share) <= 5 * np.sqrt(share * (1 - share) / 30_000)
