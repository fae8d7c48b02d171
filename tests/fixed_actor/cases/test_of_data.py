"""Cases of real data: what is in the pool, what is tested, and by which weights."""

from __future__ import annotations

import numpy as np
import pytest

from frft.errors import UsageError
from frft.fixed_actor import named_actors
from frft.fixed_actor.cases.of_data import domain_cases, source_cases
from frft.fixed_actor.sides import ActorSides, accuracies


def test_a_domain_is_tested_on_conversations_that_nobody_saw(pairs_of_domains):
    planned = list(domain_cases("made up", pairs_of_domains, ["cooking"], [5], folds=4, weights=[100, 60]))
    assert len({key for key, _ in planned}) == len(planned) == 8
    assert {(key.family, key.cluster, key.seed) for key, _ in planned} == {("made up", "cooking", 5)}
    assert {key.name for key, _ in planned} == {"cooking in computers+cooking", "60 % cooking in computers+cooking"}
    for key, make in planned:
        case = make()
        kinds = case.tested["kind"].to_pylist()
        of_own = np.array([kind == "cooking" for kind in kinds])
        assert case.weight_M.sum() == pytest.approx(1)
        assert case.weight_M[of_own].sum() == pytest.approx(0.6 if "60" in key.name else 1.0)
        assert set(case.pool["kind"].to_pylist()) == {"cooking", "computers"}
        seen = {*case.pool["id"].to_pylist(), *case.prompts}
        assert not seen & {*case.tested["id"].to_pylist(), *case.tested["prompt"].to_pylist()}
    with pytest.raises(UsageError, match="no such domain"):
        next(domain_cases("x", pairs_of_domains, ["gardening"], [0]))


def test_sources_have_balanced_weights(sourced_pairs):
    actors = named_actors(sourced_pairs, ["warm", "dry"])
    planned = list(source_cases("made up", sourced_pairs, actors, [0, 1]))
    assert [(key.name, key.cluster, key.seed) for key, _ in planned] == [
        (name, name, seed) for seed in (0, 1) for name in ("warm", "dry")
    ]
    case = planned[0][1]()
    assert not {"warm", "dry"} & {*case.pool["chosen_source"].to_pylist(), *case.pool["rejected_source"].to_pylist()}
    margin_M = np.random.default_rng(0).normal(size=case.tested.num_rows)
    written = {(row["prompt"], row["chosen" if row["chosen_source"] == "warm" else "rejected"])
               for row in case.tested.to_pylist()}  # fmt: skip
    expected = accuracies(margin_M, ActorSides.of("warm", case.tested, written)).balanced_accuracy
    assert case.weight_M @ (margin_M > 0) == pytest.approx(expected)
