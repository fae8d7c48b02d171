"""One case: its evidence is that of `frft advise`, its outcome that of the benchmark's linear reward models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from frft.advice import Evidence, gather_evidence
from frft.fixed_actor.cases import read_cases
from frft.fixed_actor.cases.case import KEPT_SHARE, RANDOM_SELECTIONS, measure_case
from frft.models import seed_for


def test_opposed_domains_gain_and_the_evidence_is_that_of_advise(measured, planned, minilm_vectors):
    lines = read_cases(measured)
    assert [(line.cluster, line.fold) for line in lines] == [(key.cluster, key.fold) for key, _ in planned]
    key, make = planned[0]
    case, line = make(), lines[0]
    seed = seed_for(key.seed, key.fold, key.name)
    found = gather_evidence(case.pool, case.prompts, case.completions, minilm_vectors, seed)
    assert Evidence.from_dict(line.evidence) == found
    assert line.kept == round(KEPT_SHARE * case.pool.num_rows)
    assert (line.tested, len(line.at_random)) == (case.tested.num_rows, RANDOM_SELECTIONS)
    assert np.mean([each.gain for each in lines]) > 0.1
    assert line.gain == line.selected.accuracy - np.mean([each.accuracy for each in line.at_random])
    assert line.gold_gain is None


def test_gold_is_kept_apart_from_labels(planned, minilm_vectors):
    key, make = planned[0]
    case = make()
    # Gold is against every label, but for the first pair, which it calls equal.
    gold_M = np.where(np.arange(case.tested.num_rows), -1.0, 0.0)
    weight_M = np.where(gold_M, 1 / (len(gold_M) - 1), 0.0)
    line = measure_case(key, replace(case, gold_M=gold_M, weight_M=weight_M), minilm_vectors)
    assert line.gold_gain == pytest.approx(-line.gain)
    assert line.selected.gold_agreement == pytest.approx(1 - line.selected.accuracy)
