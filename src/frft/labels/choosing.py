"""The rules by which pairs are chosen to be labelled, and what each of them reads of the candidates."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from frft.config.sections import PickConfig
from frft.errors import SelectionError
from frft.labels.candidates import LabelCandidate
from frft.labels.picking import (
    d_optimal_pairs,
    head_disagreement,
    highest_pairs,
    laplace_precision,
    laplace_variance,
    moderate_gap,
    most_pairs,
    representative_pairs,
)
from frft.statistics.numbers import Floats, Indices


@dataclass(frozen=True)
class CandidateEvidence:
    """What a rule reads of N candidate pairs. What a rule does not read may be missing (None).

    Attributes:
        margins_KN: score of the first completion of each pair less that of the second, by each of K reward models.
        differences_ND: features of the (one) model's last layer for the first completion less those for the second.
        labelled_MD, labelled_margins_M: the same differences and margins of the M pairs that are labelled by now.
        vectors_ND: an embedding of each pair.
        texts_SD: embeddings of S of the policy's texts.
        cut: numbers of the candidates' texts, two a pair, that were read only in part, by what was lost.
    """

    margins_KN: Floats | None = None
    differences_ND: Floats | None = None
    labelled_MD: Floats | None = None
    labelled_margins_M: Floats | None = None
    vectors_ND: Floats | None = None
    texts_SD: Floats | None = None
    cut: Mapping[str, int] = field(default_factory=dict)


Look: TypeAlias = Callable[[Sequence[LabelCandidate]], CandidateEvidence]
"""Finds what a rule reads of candidates; `frft.reward.picking.look_at_pairs` does."""


def choose_pairs(rule: PickConfig, evidence: CandidateEvidence, prompts: Sequence[Hashable], size: int) -> Indices:
    """The rows of `size` of N candidates by a rule other than random, the first chosen first.

    Of a prompt as few pairs are taken as the size allows: at most k, the smallest number with which there are `size`.

    Args:
        rule: the rule.
        evidence: what it reads of the candidates.
        prompts: prompt of each candidate, N.
        size: number of pairs to choose, at most N.

    Raises:
        SelectionError: evidence that the rule reads is missing or cannot be used, or there are fewer than `size` pairs.
    """
    per_prompt = even_limit(prompts, size)
    if rule.pick == "representative":
        vectors_ND, texts_SD = _needed(rule, evidence, "vectors_ND"), _needed(rule, evidence, "texts_SD")
        return representative_pairs(vectors_ND, texts_SD, prompts, size, per_prompt)
    margins_KN = _needed(rule, evidence, "margins_KN")
    if rule.pick == "disagreement" and len(margins_KN) > 1:
        return highest_pairs(head_disagreement(_of_one_scale(margins_KN)), prompts, size, per_prompt)
    if len(margins_KN) != 1:
        raise SelectionError(f"The rule {rule.pick} reads one reward model's scores; got those of {len(margins_KN)}.")
    if rule.pick == "gap":
        return highest_pairs(moderate_gap(margins_KN[0], rule.quantile), prompts, size, per_prompt)
    scale, precision_DD = _posterior(rule, evidence)
    differences_ND = _needed(rule, evidence, "differences_ND") / scale
    if rule.pick == "d_optimal":
        return d_optimal_pairs(precision_DD, differences_ND, margins_KN[0], prompts, size, per_prompt)
    assert rule.pick == "disagreement", f"{rule.pick} chooses no pairs by what is known of them"
    return highest_pairs(laplace_variance(precision_DD, differences_ND), prompts, size, per_prompt)


def even_limit(prompts: Sequence[Hashable], size: int) -> int:
    """The smallest number of pairs of a prompt with which `size` of N candidates can be chosen, at least 1.

    Args:
        prompts: prompt of each candidate, N.
        size: number of pairs to choose.

    Raises:
        SelectionError: size is above N.
    """
    if size > len(prompts):
        raise SelectionError(f"{size} pairs cannot be chosen of {len(prompts)} candidates. Ask for fewer.")
    limit = 1
    while most_pairs(prompts, limit) < size:
        limit += 1
    return limit


def _posterior(rule: PickConfig, evidence: CandidateEvidence) -> tuple[float, Floats]:
    """The root mean square length of the candidates' differences, and the precision of weights in units of it.

    Divided by that length, a typical difference has length 1, and so its margin the prior variance 1 / lambda, however
    large the features of a model are.
    """
    differences_ND = _needed(rule, evidence, "differences_ND")
    scale = float(np.sqrt((differences_ND**2).sum(axis=1).mean()))
    if not (np.isfinite(scale) and scale > 0):
        raise SelectionError(
            "The reward model has collapsed: its last layer reads the same of the two completions of every candidate "
            "pair, or its features are not finite. Train it again, or choose pairs by another rule."
        )
    width = differences_ND.shape[1]
    none: tuple[Floats, Floats] = (np.empty((0, width)), np.empty(0))
    labelled = (evidence.labelled_MD, evidence.labelled_margins_M)
    labelled_MD, margins_M = none if labelled[0] is None or labelled[1] is None else (labelled[0], labelled[1])
    return scale, laplace_precision(labelled_MD / scale, margins_M, rule.prior_precision)


def _of_one_scale(margins_KN: Floats) -> Floats:
    """Each model's margins divided by their root mean square: a reward model's scale means nothing."""
    size_K = np.sqrt((margins_KN**2).mean(axis=1))
    for number, size in enumerate(size_K.tolist()):
        if not (np.isfinite(size) and size > 0):
            raise SelectionError(
                f"Reward model {number + 1} of {len(size_K)} has collapsed: it gives the two completions of every "
                "candidate pair the same score, or scores that are not finite. Leave it out, or train it again."
            )
    scaled_KN: Floats = margins_KN / size_K[:, None]
    return scaled_KN


def _needed(rule: PickConfig, evidence: CandidateEvidence, name: str) -> Floats:
    value: Floats | None = getattr(evidence, name)
    if value is None:
        raise SelectionError(f"The rule {rule.pick} reads {name} of the candidate pairs, which is missing.")
    return value
