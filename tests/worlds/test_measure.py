"""Measurements, against closed forms and scikit-learn's fits; and what they must say about known worlds."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score

from frft.config.sections import WorldConfig
from frft.errors import UsageError
from frft.worlds import World, measure_world
from frft.worlds.measure import RIDGE, fit_bradley_terry, mutual_information

PAIRS = 6000


def measured(pairs=PAIRS, **dials):
    return measure_world(World(WorldConfig(**dials)), pairs)


def test_mutual_information():
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 4, (2, 500))
    assert mutual_information(one, other) == pytest.approx(mutual_info_score(one, other) / np.log(2))
    assert mutual_information(one, 3 - one) == pytest.approx(-sum(p * np.log2(p) for p in np.bincount(one) / len(one)))


def test_the_bradley_terry_fit_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    step = rng.normal(size=(3000, 4))
    labels = rng.random(3000) < 1 / (1 + np.exp(-step @ [1.0, -0.5, 0.0, 2.0]))
    ours = fit_bradley_terry(step, labels)
    theirs = LogisticRegression(fit_intercept=False, C=1 / (2 * RIDGE * len(step)), tol=1e-9).fit(step, labels)
    assert np.allclose(ours, theirs.coef_[0], atol=1e-3)
    assert np.allclose(ours, [1.0, -0.5, 0.0, 2.0], atol=0.25)


def test_the_fit_is_finite_without_noise():
    step = np.array([[1.0], [2.0], [-1.0]])
    assert 1 < fit_bradley_terry(step, step[:, 0] > 0)[0] < 100


def test_style_tells_the_annotator_as_well_as_scikit_learn_can_tell():
    world = World(WorldConfig(kappa=0.7))
    found = measure_world(world, PAIRS)
    drafts = world.drafts(np.arange(PAIRS))
    style, held_out = drafts.style.sum(axis=0)[:, :6], drafts.rows % 2 == 1
    theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(style[~held_out], drafts.annotator[~held_out])
    assert found.style_predicts == pytest.approx(theirs.score(style[held_out], drafts.annotator[held_out]), abs=0.01)


def test_figures_are_those_of_the_pairs():
    world = World()
    found = measure_world(world, 1000)
    table = world.pairs(0, 1000)
    chosen, rejected = (world.gold(table["prompt"], table[side]) for side in ("chosen", "rejected"))
    both = np.concatenate([chosen, rejected])
    assert (found.gold_mean, found.gold_sd) == (pytest.approx(both.mean()), pytest.approx(both.std()))
    assert found.gold_ties == np.mean(chosen == rejected)
    assert found.pairs == sum(each.pairs for each in found.annotators) == 1000
    assert sum(each.completions for each in found.sources) == 2000
    assert found.distinct_prompts == len(set(table["prompt"].to_pylist()))
    agree = sum(each.labels_agree * np.mean((chosen != rejected)[np.array(table["annotator"]) == each.annotator])
                * each.pairs for each in found.annotators) / 1000  # fmt: skip
    assert agree == pytest.approx(np.mean(chosen > rejected))
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["pairs"] == 1000


def test_averaging_costs_where_annotators_are_coupled_and_only_there():
    def costs(found):
        return [each.loss_pooled - each.loss_own for each in found.sources]

    coupled, crossed, unbiased = measured(), measured(kappa=0.0), measured(lambda_=0.0)
    assert min(costs(coupled)) > 0.03
    assert max(np.abs(costs(crossed))) < 0.03
    assert max(np.abs(costs(unbiased))) < 0.03
    assert coupled.coupling_bits == pytest.approx(np.log2(6), abs=0.01)
    assert crossed.coupling_bits < 0.02
    assert coupled.style_predicts > 0.7
    assert crossed.style_predicts < crossed.most_frequent + 0.05


def test_who_is_closer_to_gold_is_seen():
    gold = measured(lambda_=2.0, near_lambda=0.0).sources[0]
    assert gold.gold_own > gold.gold_pooled + 0.05
    alike = measured(lambda_=2.0).sources[0]
    assert alike.gold_own < alike.gold_pooled - 0.05
    against = measured(lambda_=2.0, anti_gold=True).sources[0]
    assert against.gold_own < 0.1


def test_too_few_pairs_are_an_error():
    with pytest.raises(UsageError, match="at least 30 of each"):
        measured(100)
    with pytest.raises(UsageError, match="Of 1 pairs only 0"):
        measured(1)


def test_annotators_who_judge_too_little_are_counted():
    found = measured(annotators=20, kappa=0.99)
    assert [each.annotator for each in found.annotators] == [f"annotator-{number}" for number in range(6)]
    assert found.unmeasured == 14
    assert min(each.pairs for each in found.annotators) > 800


def test_the_most_sources_can_be_measured():
    found = measure_world(World(WorldConfig(sources=41, annotators=41)))
    assert (len(found.sources), len(found.annotators), found.unmeasured) == (41, 41, 0)
