"""The dials of a world: which are impossible together."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from frft.config.sections import WorldConfig


@pytest.mark.parametrize(
    ("dials", "message"),
    [
        ({"near_policy": 6}, r"near_policy \(6\) must be below sources \(6\)"),
        ({"sources": 1, "annotators": 1, "pairs_within_source": False}, "at least two sources"),
        ({"sources": 3}, r"annotators \(6\) are more than sources \(3\)"),
        ({"anti_gold": True, "lambda_": 0.0}, "anti_gold means nothing"),
        ({"anti_gold": True, "near_lambda": 0.0}, "anti_gold means nothing"),
        ({"anti_gold": True, "gold_annotator": 0}, "anti_gold means nothing"),
        ({"gold_annotator": 6}, r"gold_annotator \(6\) must be below annotators \(6\)"),
        ({"gold_annotator": 0, "near_lambda": 2.0}, "leave out one of the two"),
        ({"conflict": 0.5}, "conflict means nothing with one domain; set domains to 2"),
        ({"domain_taste": 1.0}, "domain_taste means nothing"),
        ({"pool_mixture": [1.0]}, "pool_mixture means nothing"),
        ({"policy_mixture": [1.0]}, "policy_mixture means nothing"),
        ({"annotators_follow": "domain"}, "annotators_follow means nothing"),
        ({"domains": 2, "categories": 7}, r"cannot be dealt out to 2 domains.*categories to 6 or 8 or 10 or 12"),
        ({"domains": 4, "categories": 8}, "categories to 12"),
        ({"domains": 5}, "less than or equal to 4"),
        ({"domains": 2, "pool_mixture": [1.0]}, "pool_mixture has 1 weights and there are 2 domains"),
        ({"domains": 2, "policy_mixture": [0.0, 0.0]}, "policy_mixture .* not all 0"),
        ({"domains": 2, "pool_mixture": [2.0, -1.0]}, "pool_mixture .* numbers >= 0"),
        ({"domains": 2, "pool_mixture": [1, 0], "policy_mixture": [1, 1]}, "prompts of domain 1 and pool_mixture"),
        ({"domains": 2, "pool_mixture": [0, 1]}, "prompts of domain 0 and pool_mixture holds none"),
        ({"domains": 2, "annotators_follow": "domain"}, r"annotators \(6\) are more than domains \(2\)"),
        ({"kappa": 1.1}, "less than or equal to 1"),
        ({"temperature": -1.0}, "greater than or equal to 0"),
        ({"drift": float("nan")}, "finite"),
        ({"sources": 42}, "less than or equal to 41"),
        ({"lamda": 1.0}, "Extra inputs"),
    ],
)
def test_impossible_dials_are_refused(dials, message):
    with pytest.raises(ValidationError, match=message):
        WorldConfig.model_validate(dials)


def test_who_judges_near_the_policy():
    config = WorldConfig(sources=5, annotators=3, near_policy=4, near_lambda=0.5)
    assert config.near_annotator == 1
    assert [config.weight(annotator) for annotator in range(3)] == [1.0, 0.5, 1.0]
    assert WorldConfig(sources=3, kappa=0.9).annotators == 6


def test_the_near_annotator_may_follow_a_domain():
    config = WorldConfig(
        domains=2, pool_mixture=[1, 3], policy_mixture=[2, 6], annotators=2, annotators_follow="domain"
    )
    assert config.near_annotator == 1
    by_default = WorldConfig(domains=2, annotators=2, annotators_follow="domain", near_policy=1)
    assert by_default.near_annotator == 0
    assert WorldConfig.model_validate(config.model_dump(mode="json")) == config


def test_every_dial_has_a_description():
    assert all(field.description for field in WorldConfig.model_fields.values())
