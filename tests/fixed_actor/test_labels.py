"""Labels of the actor's own pairs: which pairs, with which errors, what is trained on them, and what the tables say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from frft.config.sections import FixedActorConfig, OwnPromptsConfig
from frft.errors import UsageError
from frft.fixed_actor import (
    named_actors,
    read_own_prompts_table,
    read_table,
    run_fixed_actor,
    run_own_prompts,
)
from frft.fixed_actor.arms import HeadArm
from frft.fixed_actor.labels import LABELS, ActorLabels, LabelArm
from frft.fixed_actor.linear import LinearTrainer
from frft.fixed_actor.own_prompts.division import DomainActor, divide_conversations
from frft.fixed_actor.own_prompts.run import SelectionArm, read_own_prompts
from frft.fixed_actor.run import read_results
from frft.fixed_actor.texts import Features, PairTexts

LABELLED = FixedActorConfig(
    seeds=1,
    strategies=["density"],
    sizes=[30],
    train="linear",
    labels=[5, 20],
    label_picks=["d_optimal"],
    label_accuracies=[1.0, 0.6],
    label_strategies=["density"],
)
OWN = OwnPromptsConfig(shares=[20], folds=3, first_seed=7)


@pytest.fixture(scope="module")
def of_domains(pairs_of_domains, minilm_vectors, tmp_path_factory):
    out = tmp_path_factory.mktemp("domains")
    run_own_prompts(pairs_of_domains, ["cooking", "computers"], LABELLED, OWN, minilm_vectors, out)
    return out


def test_arms_with_labels_are_trained_on_what_they_say(of_domains, pairs_of_domains):
    lines = [line for line in read_own_prompts(of_domains) if line.labels is not None]
    found = {(line.start, line.strategy, line.pick, line.label_accuracy, line.labels) for line in lines}
    assert found == {
        (start, strategy, pick, accuracy, count)
        for start, strategy in (("scratch", LABELS), ("scratch", "all"), ("scratch", "density"), ("continue", LABELS))
        for pick in ("random", "d_optimal")
        for accuracy in (1.0, 0.6)
        for count in (5, 20)
    }
    without = {
        (line.fold, line.actor, line.strategy): line
        for line in read_own_prompts(of_domains)
        if line.labels is None and line.start == "scratch" and not line.placebo
    }
    for line in lines:
        before = 0 if line.strategy == LABELS else without[line.fold, line.actor, line.strategy].pairs
        assert line.pairs == before + line.labels
        if line.strategy == LABELS:
            assert line.own_share == 1
    assert pairs_of_domains.table.num_rows == 168


def test_what_labels_gain(of_domains):
    table = read_own_prompts_table(of_domains)
    found = {line.arm: line for line in table.actors["mean of cooking, computers"]}
    alone = SelectionArm("scratch", LABELS, labels=20, pick="random", label_accuracy=1.0)
    everything = found[SelectionArm("scratch", "all")].accuracy.mean
    assert found[alone].accuracy.mean > 0.95
    assert found[alone].gained.mean == pytest.approx(found[alone].accuracy.mean - everything)
    continued = replace(alone, start="continue")
    assert found[continued].gained.mean == pytest.approx(found[continued].accuracy.mean - everything)
    added = SelectionArm("scratch", "density", 20, labels=5, pick="d_optimal", label_accuracy=0.6)
    less = found[added].accuracy.mean - found[SelectionArm("scratch", "density", 20)].accuracy.mean
    assert found[added].gained.mean == pytest.approx(less)
    less = found[added].accuracy.mean - found[replace(added, pick="random")].accuracy.mean
    assert found[added].over_random_labels.mean == pytest.approx(less)
    assert found[alone].over_random_labels is None
    assert found[added].over_random is None
    # The pool teaches all that there is to know; 20 labels of which 8 are wrong do not.
    assert everything > 0.95
    assert found[replace(alone, label_accuracy=0.6)].gained.high < 0
    page = table.markdown()
    row = next(line for line in page.splitlines() if line.startswith("| scratch | – | random | 100 % | 20 |"))
    assert f"| {found[alone].gained.mean * 100 / 20 * 100:+.1f} | – |" in row
    assert "| scratch | density | d_optimal | 60 % | 5 |" in page


def test_a_source_is_labelled_on_training_prompts(sourced_pairs, minilm_vectors, tmp_path):
    config = LABELLED.model_copy(update={"label_picks": ["random"], "label_accuracies": [1.0], "strategies": ["part1"]})
    config = config.model_copy(update={"label_strategies": ["part1"], "labels": [40]})
    actors = named_actors(sourced_pairs, ["warm"])
    run_fixed_actor(sourced_pairs, actors, config, minilm_vectors, tmp_path)
    rows = {HeadArm.of(row): row for row in read_results(tmp_path)}
    labels = HeadArm("scratch", LABELS, labels=40, pick="random", label_accuracy=1.0)
    pairs = {arm.strategy: row.pairs for arm, row in rows.items() if arm.labels and arm.start == "scratch"}
    assert pairs == {LABELS: 40, "all": 100, "part1": 70}
    found = {line.arm: line for line in read_table(tmp_path).lines}
    assert found[labels].gained.mean == pytest.approx(
        found[labels].balanced.mean - found[HeadArm("scratch", "all")].balanced.mean
    )
    assert "| scratch | all | random | 100 % | 40 |" in read_table(tmp_path).markdown()
    # 60 pairs of the actor are on training prompts.
    with pytest.raises(UsageError, match="--labels 61: actor warm, in seed 0, has 60 pairs"):
        run_fixed_actor(sourced_pairs, actors, config.model_copy(update={"labels": [61]}), minilm_vectors, tmp_path)


@pytest.fixture(scope="module")
def labels(pairs_of_domains, minilm_vectors):
    fold = divide_conversations(pairs_of_domains, 3, 7)[0]
    texts = PairTexts([pairs_of_domains.table])
    trainer = LinearTrainer(texts, Features(texts, minilm_vectors))
    rows = DomainActor("cooking").labelled_rows(pairs_of_domains, fold.sampled, np.random.default_rng(0))
    own, pool = pairs_of_domains.table.take(rows), pairs_of_domains.table.take(fold.pool)
    model = trainer.train(pool, None, 0, 0)[0]
    return ActorLabels(own, pool, trainer, lambda: model, 1, 20), own, pool, trainer, model


def test_numbers_of_labels_and_errors_are_nested(labels):
    found, own, *_ = labels
    arm = LabelArm("scratch", LABELS, 20, "random", 1.0)
    assert found.pairs(arm).equals(own.slice(0, 20))
    assert found.rows(replace(arm, labels=5)).tolist() == list(range(5))
    exchanged = {}
    for accuracy in (1.0, 0.9, 0.6, 0.51):
        pairs = found.pairs(replace(arm, label_accuracy=accuracy))
        sides = zip(*(pairs[name].to_pylist() for name in ("chosen", "rejected")), strict=True)
        before = list(zip(*(own.slice(0, 20)[name].to_pylist() for name in ("chosen", "rejected")), strict=True))
        exchanged[accuracy] = {n for n, each in enumerate(sides) if each != before[n]}
        assert all(sorted(each) == sorted(before[n]) for n, each in enumerate(zip(
            *(pairs[name].to_pylist() for name in ("chosen", "rejected")), strict=True)))  # fmt: skip
    assert exchanged[1.0] == set()
    assert exchanged[0.9] <= exchanged[0.6] <= exchanged[0.51]
    assert 4 <= len(exchanged[0.51]) <= 16


def test_a_rule_chooses_by_what_the_model_of_all_pairs_knows(labels):
    found, own, pool, trainer, model = labels
    first = int(found.rows(LabelArm("scratch", LABELS, 3, "disagreement", 1.0))[0])
    # By brute force: the pair whose margin varies most, given the pool, if weights vary so that a typical one has 1.
    own_ND, pool_MD = trainer.differences(own), trainer.differences(pool)
    scale = np.sqrt((own_ND**2).sum(axis=1).mean())
    p_M = 1 / (1 + np.exp(-pool_MD @ model.weights_F))
    x_MD = pool_MD / scale
    precision_DD = np.eye(own_ND.shape[1]) + (x_MD * (p_M * (1 - p_M))[:, None]).T @ x_MD
    variance_N = np.einsum("nd,nd->n", own_ND, np.linalg.solve(precision_DD, own_ND.T).T)
    assert first == int(variance_N.argmax())


def test_mixtures_are_labelled_in_their_proportions(pairs_of_domains):
    fold = divide_conversations(pairs_of_domains, 3, 7)[0]
    rows = DomainActor("cooking", 75).labelled_rows(pairs_of_domains, fold.sampled, np.random.default_rng(0))
    assert set(rows.tolist()) <= set(fold.sampled.tolist())
    own = [pairs_of_domains.domains[row] == "cooking" for row in rows]
    assert 30 < len(own) < 40
    for count in (8, 16, len(own)):
        assert sum(own[:count]) / count == pytest.approx(0.75, abs=0.13)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"label_accuracies": [0.5]}, "above 0.5"),
        ({"labels": []}, "would have no effect: give labels"),
        ({"train": "head"}, "read linear features; train is head"),
        ({"label_picks": ["representative"]}, "not compared here"),
        ({"label_strategies": ["part1"]}, "name them in strategies, too"),
        ({"labels": [0]}, "greater than 0"),
    ],
)
def test_settings_that_contradict_each_other(changed, complaint):
    with pytest.raises(ValidationError, match=complaint):
        FixedActorConfig.model_validate({**LABELLED.model_dump(exclude_unset=True), **changed})


def test_too_many_labels_are_refused_before_anything_is_trained(pairs_of_domains, minilm_vectors, tmp_path):
    config = LABELLED.model_copy(update={"labels": [40]})
    with pytest.raises(UsageError, match=r"--labels 40: actor cooking, in fold \d of seed 7, has 2\d pairs"):
        run_own_prompts(pairs_of_domains, ["cooking"], config, OWN, minilm_vectors, tmp_path)
    assert not list(tmp_path.iterdir())
