"""Rules: each chooses by what it says, and neither a model's scale nor the order of two sides matters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frft.config.sections import PickConfig
from frft.errors import SelectionError, SettingsError
from frft.labels import CandidateEvidence, choose_pairs
from frft.labels.choosing import even_limit
from frft.labels.picking import most_pairs

N, D = 40, 5
PROMPTS = [f"p{row % 20}" for row in range(N)]


def evidence(seed=0, models=1, past=0, scale=1.0, features=1.0):
    """Of a random linear reward model; `scale` of the first model's scores, `features` of the last layer's."""
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(N + past, D)) * [3, 2, 1, 0.5, 0.1], rng.normal(size=(models, D))
    margins = w @ x.T
    margins[0] *= scale
    return CandidateEvidence(
        margins_KN=margins[:, :N],
        differences_ND=features * x[:N],
        labelled_MD=features * x[N:],
        labelled_margins_M=margins[0, N:],
        vectors_ND=x[:N],
        texts_SD=rng.normal(size=(30, D)),
    )


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_disagreement_of_several_models_is_about_order_not_scale(scale):
    found = evidence(models=3, scale=scale)
    chosen = choose_pairs(PickConfig(pick="disagreement"), found, PROMPTS, 10)
    margins = evidence(models=3).margins_KN
    normalised = margins / np.sqrt((margins**2).mean(axis=1, keepdims=True))
    spread = normalised.var(axis=0)
    best = [max((row, row + 20), key=lambda row: spread[row]) for row in range(20)]
    assert chosen.tolist() == sorted(best, key=lambda row: -spread[row])[:10]


@pytest.mark.parametrize("rule", ["disagreement", "d_optimal"])
@pytest.mark.parametrize("past", [0, 25])
def test_one_models_uncertainty_does_not_change_with_the_size_of_its_features(rule, past):
    rule = PickConfig(pick=rule)
    chosen, same = (choose_pairs(rule, evidence(past=past, features=size), PROMPTS, 12).tolist() for size in (1.0, 1e3))
    assert chosen == same


def test_one_models_uncertainty_is_that_of_its_last_layer():
    found = evidence(past=25)
    chosen = choose_pairs(PickConfig(pick="disagreement", prior_precision=0.3), found, list(range(N)), N)
    length = np.sqrt((found.differences_ND**2).sum(axis=1).mean())
    x, past, margins = found.differences_ND / length, found.labelled_MD / length, found.labelled_margins_M
    p = 1 / (1 + np.exp(-margins))
    hessian = 0.3 * np.eye(D) + sum(q * (1 - q) * np.outer(d, d) for q, d in zip(p, past, strict=True))
    variance = np.array([d @ np.linalg.inv(hessian) @ d for d in x])
    assert variance[chosen].tolist() == pytest.approx(sorted(variance, reverse=True))


def test_what_is_labelled_already_is_not_needed_again():
    found = evidence()
    rule = PickConfig(pick="d_optimal", prior_precision=0.01)
    first = choose_pairs(rule, found, PROMPTS, 5)
    many = CandidateEvidence(
        margins_KN=found.margins_KN,
        differences_ND=found.differences_ND,
        labelled_MD=np.repeat(found.differences_ND[first[:1]], 200, axis=0),
        labelled_margins_M=np.repeat(found.margins_KN[0, first[:1]], 200),
    )
    assert first[0] not in choose_pairs(rule, many, PROMPTS, 5)


@pytest.mark.parametrize("quantile", [0.0, 0.3, 1.0])
def test_a_gap_near_a_quantile(quantile):
    found = evidence()
    gaps = np.abs(found.margins_KN[0])
    chosen = choose_pairs(PickConfig(pick="gap", quantile=quantile), found, list(range(N)), 7)
    rank = np.argsort(np.argsort(gaps))[chosen]
    # Seven neighbours in rank around the quantile.
    assert rank.max() - rank.min() == 6
    assert rank.min() <= quantile * (N - 1) <= rank.max()


def test_representative_pairs_lie_near_the_texts():
    found = evidence()
    chosen = choose_pairs(PickConfig(pick="representative"), found, list(range(N)), 8)

    def nearness(rows):
        a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (found.vectors_ND[rows], found.texts_SD))
        return (b @ a.T).max(axis=1).mean()

    rng = np.random.default_rng(0)
    assert nearness(chosen) > max(nearness(rng.choice(N, 8, replace=False)) for _ in range(200))


@pytest.mark.parametrize("rule", ["disagreement", "gap", "d_optimal", "representative"])
def test_exchanged_sides_change_nothing(rule):
    found, rule = evidence(past=9), PickConfig(pick=rule)
    sign = np.random.default_rng(1).choice([-1.0, 1.0], N)
    turned = CandidateEvidence(
        margins_KN=found.margins_KN * sign,
        differences_ND=found.differences_ND * sign[:, None],
        labelled_MD=-found.labelled_MD,
        labelled_margins_M=-found.labelled_margins_M,
        vectors_ND=found.vectors_ND,
        texts_SD=found.texts_SD,
    )
    assert choose_pairs(rule, found, PROMPTS, 15).tolist() == choose_pairs(rule, turned, PROMPTS, 15).tolist()


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12), st.integers(0, 12))
def test_the_limit_of_a_prompt_is_the_smallest_that_does(prompts, size):
    if size > len(prompts):
        with pytest.raises(SelectionError, match=f"{size} pairs cannot be chosen of {len(prompts)}"):
            even_limit(prompts, size)
        return
    limit = even_limit(prompts, size)
    assert most_pairs(prompts, limit) >= size
    assert limit == 1 or most_pairs(prompts, limit - 1) < size


@pytest.mark.parametrize(
    ("rule", "changes", "said"),
    [
        ("gap", {"margins_KN": None}, "reads margins_KN of the candidate pairs, which is missing"),
        ("d_optimal", {"differences_ND": None}, "reads differences_ND"),
        ("representative", {"texts_SD": None}, "reads texts_SD"),
        ("gap", {"margins_KN": np.ones((2, N))}, "reads one reward model's scores; got those of 2"),
        ("disagreement", {"margins_KN": np.vstack([np.ones(N), np.zeros(N)])}, "Reward model 2 of 2 has collapsed"),
        ("disagreement", {"differences_ND": np.zeros((N, D))}, "reward model has collapsed"),
    ],
)
def test_what_cannot_be_chosen_by_is_refused(rule, changes, said):
    found = CandidateEvidence(**{**vars(evidence()), **changes})
    with pytest.raises(SelectionError, match=said):
        choose_pairs(PickConfig(pick=rule), found, PROMPTS, 5)


@pytest.mark.parametrize(
    "settings", [{"pick": "gap", "prior_precision": 2}, {"pick": "d_optimal", "quantile": 0.1}, {"max_candidates": 9}]
)
def test_a_setting_that_a_rule_does_not_read_is_refused(settings):
    with pytest.raises(SettingsError, match="leave it out"):
        PickConfig(**settings)
