"""The benchmark of domains as a whole: what is learned, what is written, and how it goes on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from frft.config.sections import FixedActorConfig, OwnPromptsConfig
from frft.errors import ArtifactError, DataError, OutputError, UsageError
from frft.fixed_actor import read_own_prompts_table, run_own_prompts
from frft.fixed_actor.own_prompts.division import DomainActor
from frft.fixed_actor.own_prompts.run import (
    CONTROLS,
    HELD_OUT,
    SelectionArm,
    arms_on_own_prompts,
    outcomes,
    read_held_out,
    read_own_prompts,
    shares_right,
)
from frft.fixed_actor.run import RESULTS

SMALL = FixedActorConfig(seeds=1, strategies=["part1", "density"], train="linear")
OWN = OwnPromptsConfig(shares=[20], folds=3, first_seed=7)
ACTORS = ["cooking", "computers"]


def run(pairs, vectors, out, actors=ACTORS, config=SMALL, own=OWN):
    run_own_prompts(pairs, actors, config, own, vectors, out)
    return [replace(line, seconds=0.0) for line in read_own_prompts(out)]


@pytest.fixture(scope="module")
def finished(pairs_of_domains, minilm_vectors, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished")
    return out, run(pairs_of_domains, minilm_vectors, out)


def test_there_is_a_line_for_every_fold_actor_and_arm(finished, pairs_of_domains):
    out, lines = finished
    arms = list(arms_on_own_prompts(SMALL, OWN))
    assert Counter((line.fold, line.actor) for line in lines) == {
        (fold, actor): len(arms) for fold in range(3) for actor in ACTORS
    }
    assert {line.seed for line in lines} == {7}
    held_out = read_held_out(out)
    assert sum(len(each.domains) for each in held_out.values()) == pairs_of_domains.table.num_rows
    for line in lines:
        pool = pairs_of_domains.table.num_rows // 3
        assert len(line.right) == len(held_out[7, line.fold].domains)
        assert abs(line.pairs - (pool if line.share is None else 0.2 * pool)) <= 4
        assert (line.selected_accuracy is not None) is line.placebo
        assert abs(line.samples - 56) <= 4


def test_where_domains_are_opposed_the_own_domain_teaches_what_random_pairs_cannot(finished):
    out, lines = finished
    table = {line.arm: line for line in read_own_prompts_table(out).actors["mean of cooking, computers"]}
    own, density, part1, random = (
        table[SelectionArm("scratch", name, 20)] for name in ("own domain", "density", "part1", "random")
    )
    assert own.accuracy.mean > 0.95
    assert own.own_share == 1
    assert density.over_random.low > 0
    assert own.over_random.low > 0
    assert part1.own_share > random.own_share + 0.2
    # Labels by coin: nothing can be learned.
    placebo = table[SelectionArm("scratch", "own domain", 20, placebo=True)]
    assert abs(placebo.accuracy.mean - 0.5) < 0.25
    # A model that its domain taught is wrong elsewhere: the half of the outcomes that the actor is not tested on.
    held_out = read_held_out(out)
    elsewhere = [
        shares_right(line.right)[np.array(held_out[7, line.fold].domains) != line.actor].mean()
        for line in lines
        if SelectionArm.of(line) == own.arm
    ]
    assert max(elsewhere) < 0.3


def test_a_run_that_was_stopped_goes_on_to_the_same_lines(pairs_of_domains, minilm_vectors, finished, tmp_path):
    out, lines = finished
    for name in ("settings.json", "held-out.jsonl"):
        (tmp_path / name).write_bytes((out / name).read_bytes())
    kept = (out / RESULTS).read_bytes().splitlines(keepends=True)
    (tmp_path / RESULTS).write_bytes(b"".join(kept[:20]) + kept[20][:30])  # cut off
    assert run(pairs_of_domains, minilm_vectors, tmp_path) == lines


@pytest.mark.parametrize("name", [RESULTS, HELD_OUT])
def test_an_edited_line_is_named(finished, tmp_path, name):
    out, _ = finished
    for each in (RESULTS, HELD_OUT):
        (tmp_path / each).write_bytes((out / each).read_bytes())
    first, second, *others = (tmp_path / name).read_bytes().splitlines(keepends=True)
    edited = second.replace(b'"seed": 7', b'"seed": 8')
    assert edited != second
    (tmp_path / name).write_bytes(b"".join([first, edited, *others]))
    with pytest.raises(ArtifactError, match=f"{name}, line 2: damaged"):
        read_own_prompts_table(tmp_path)


def test_more_can_be_asked_for_later_and_other_settings_are_refused(
    pairs_of_domains, minilm_vectors, finished, tmp_path
):
    first = SMALL.model_copy(update={"strategies": [], "starts": ["scratch"]})
    before = run(pairs_of_domains, minilm_vectors, tmp_path, ACTORS[:1], first)
    mixed = OWN.model_copy(update={"weights": [100, 50], "shares": [20, 40]})
    after = run(pairs_of_domains, minilm_vectors, tmp_path, ACTORS[:1], first, mixed)
    assert after[: len(before)] == before
    mixture = [line for line in after if DomainActor(line.actor, line.weight) == DomainActor("cooking", 50)]
    kept = [line.own_share for line in mixture if line.strategy == "own domain"]
    # Of 11 pairs, 5 or 6; a placebo has one of 12 set aside.
    assert kept == pytest.approx([0.5] * len(kept), abs=0.1)
    with pytest.raises(OutputError, match="made with another folds"):
        run(pairs_of_domains, minilm_vectors, tmp_path, own=OWN.model_copy(update={"folds": 4}))
    with pytest.raises(OutputError, match="made with another domains"):
        run(replace(pairs_of_domains, domains=pairs_of_domains.domains[::-1]), minilm_vectors, tmp_path)


def test_arms():
    config = FixedActorConfig(strategies=["part4"], starts=["continue"])
    own = OwnPromptsConfig(shares=[50, 5])
    assert list(arms_on_own_prompts(config, own)) == [
        SelectionArm("scratch", "all"),
        SelectionArm("continue", "all"),
        *(
            SelectionArm("continue", strategy, share)
            for strategy in ("random", "part4", *CONTROLS[1:])
            for share in (5, 50)
        ),
    ]
    placebos = [arm for arm in arms_on_own_prompts(FixedActorConfig(), OwnPromptsConfig()) if arm.placebo]
    assert {arm.share for arm in placebos} == {25}


def test_outcomes_are_kept_as_they_are():
    assert outcomes(np.array([0.5, -2.0, 0.0])) == "10t"
    assert shares_right("10t").tolist() == [1, 0, 0.5]


def test_a_domain_is_named_once_and_large_enough(pairs_of_domains, minilm_vectors, tmp_path):
    with pytest.raises(UsageError, match="names a domain twice"):
        run(pairs_of_domains, minilm_vectors, tmp_path / "a", ["cooking", "cooking"])
    with pytest.raises(DataError, match="too few for --folds 9"):
        run(pairs_of_domains, minilm_vectors, tmp_path / "b", own=OWN.model_copy(update={"folds": 9}))


OWN_STRATEGY = """
from frft.strategies import Strategy
STRATEGY = Strategy(name="own domain", description="", rank=lambda pool: range(len(pool)))
"""


def test_a_strategy_that_is_called_like_an_arm_is_refused(install_package):
    install_package("my_own", OWN_STRATEGY, "[frft.strategies]\nown domain = my_own:STRATEGY\n")
    with pytest.raises(UsageError, match="A strategy is named own domain, as an arm of this benchmark is"):
        list(arms_on_own_prompts(FixedActorConfig(strategies=["own domain"]), OWN))
