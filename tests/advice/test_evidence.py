"""Evidence in worlds, where it is known what must be found, with an embedder that sees style and nothing else."""

import json

import numpy as np
import pytest

from frft.advice.evidence import Evidence, MeasuredEvidence, gather_evidence
from frft.errors import SelectionError
from frft.selection.weights import effective_sample_size


@pytest.fixture(scope="session")
def found(make_world, style_vectors):
    """Evidence of worlds by name."""
    dials = {
        "gold": {"lambda_": 0},
        "crossed": {"kappa": 0},
        "symmetric": {},
        "anti-gold": {"anti_gold": True},
        "outside": {"drift": 1},
    }
    return {name: gather_evidence(*make_world(**each), style_vectors, 0) for name, each in dials.items()}


def clear(measured):
    return measured.mean > 2 * measured.error


def test_the_source_near_the_policy_is_what_is_near(found, make_world):
    table = make_world()[0].to_pydict()
    share = np.mean([source == "hedging" for source in table["chosen_source"]])
    assert found["symmetric"].near_pairs / 3000 == pytest.approx(share, abs=0.06)
    assert found["symmetric"].auc > 0.75
    who = found["symmetric"].annotator
    assert who.name == "annotator-0"
    assert who.near_share > 0.7
    assert who.pool_share == pytest.approx(share)


def test_labels_near_the_policy_have_a_rule_of_their_own_where_lambda_and_kappa_say_so(found):
    for name in ("symmetric", "anti-gold"):
        assert clear(found[name].locality), name
        assert clear(found[name].locality_accuracy), name
        assert found[name].correction > 1
    for name in ("gold", "crossed"):
        assert not clear(found[name].locality), name
    assert found["symmetric"].locality.mean > 0.05


def test_crossed_annotators_are_as_many_near_as_far(found):
    who = found["crossed"].annotator
    assert who.near_share == pytest.approx(1 / 6, abs=0.06)


def test_outside_all_sources_hardly_anything_is_near(found):
    assert found["outside"].auc > 0.9
    assert found["outside"].coverage < 0.2
    assert found["symmetric"].coverage > 0.9
    assert found["outside"].near_share < found["symmetric"].near_share


def test_a_policy_that_writes_as_the_pool_does(make_world, style_vectors):
    table, _, _ = make_world(lambda_=0, pool_size=1000)
    half, other = table.slice(0, 700), table.slice(700)
    same = gather_evidence(half, other["prompt"].to_pylist(), other["chosen"].to_pylist(), style_vectors, 0)
    assert same.auc == pytest.approx(0.5, abs=0.06)
    assert same.near_share > 0.8
    assert same.locality.mean == pytest.approx(0, abs=0.01)


def test_order_decides_nothing_and_samples_without_text_are_left_out(make_world, style_vectors):
    table, prompts, completions = make_world(pool_size=500)
    before = gather_evidence(table, prompts, completions, style_vectors, 0)
    rows = np.random.default_rng(0).permutation(500)
    turned = gather_evidence(table.take(rows), ["x", *prompts[::-1]], [" \n", *completions[::-1]], style_vectors, 0)
    assert turned == before
    assert before.samples == 400
    assert gather_evidence(table, prompts, completions, style_vectors, 1) != before


def test_the_annotator_is_not_needed_for_anything_else(make_world, style_vectors):
    table, prompts, completions = make_world(pool_size=500)
    with_one = gather_evidence(table, prompts, completions, style_vectors, 0)
    without = gather_evidence(table.drop_columns("annotator"), prompts, completions, style_vectors, 0)
    assert without.annotator is None
    assert {**with_one.as_dict(), "annotator": None} == without.as_dict()


def test_there_and_back(found):
    for each in found.values():
        assert Evidence.from_dict(json.loads(json.dumps(each.as_dict()))) == each


def test_agreement_has_at_least_the_error_of_as_many_draws(make_evidence):
    few = make_evidence(near_accuracy=MeasuredEvidence(1.0, 0.0), near_pairs=3).agreement
    assert few.mean == pytest.approx(0.4)
    assert few.error == pytest.approx(np.sqrt(0.6 * 0.4 / 3 + 0.01**2))
    spread = make_evidence(near_accuracy=MeasuredEvidence(0.5, 0.2)).agreement
    assert spread.error == pytest.approx(np.hypot(0.2, 0.01))
    assert make_evidence(far_accuracy=None, far_log_loss=None).agreement is None


def test_near_pairs_are_as_many_as_the_effective_sample_size():
    # Weight 1 for a quarter and next to none for the others.
    assert effective_sample_size(np.where(np.arange(400) < 100, 0.0, -40.0)) == pytest.approx(100)


def test_nothing_to_learn_from(make_world, style_vectors):
    table, prompts, completions = make_world(pool_size=50)
    with pytest.raises(SelectionError, match="There are no pairs"):
        gather_evidence(table.slice(0, 0), prompts, completions, style_vectors, 0)
    with pytest.raises(SelectionError, match="samples of the policy are on 0 different prompts"):
        gather_evidence(table, prompts[:3], [" "] * 3, style_vectors, 0)
