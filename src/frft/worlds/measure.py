"""What a world turned out to be, measured in its pairs before any network is trained.

The averaging effect is shown with the most favourable reward model there is, a Bradley-Terry fit on the gold reward
and the style counts themselves: one fit on all sources' pairs, and one for each source on its own. What the first
loses on a source's held-out pairs is what averaging costs there, and what no more data can repair. Where a world has
domains, the same for each of them; there the features are r* (what all domains value) and the style counts, since the
gold reward of a domain would tell the fit which domain it is in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

from frft.errors import UsageError
from frft.statistics.numbers import Floats
from frft.worlds.domains import domain_shares
from frft.worlds.drafts import Drafts
from frft.worlds.draws import RowNumbers
from frft.worlds.lexicon import STYLES
from frft.worlds.text import token_lengths
from frft.worlds.world import World

PAIRS = 20_000
"""Pairs that are measured: the pool's first, or, where it has fewer, those that it would have next."""
FEWEST = 30
"""Pairs below which there are no figures of a source or an annotator."""
RIDGE = 1e-4
"""Weight of the squared coefficients in a fit: keeps them finite where labels have no noise."""


@dataclass(frozen=True)
class SourceFigures:
    """One source. Figures of fits are about its held-out pairs: those whose first completion it wrote.

    Attributes:
        source: its name.
        completions: completions of it that were measured.
        gold: mean gold reward.
        gold_sd: standard deviation of the gold reward.
        tokens: median length.
        loss_pooled: log loss in nats of the fit on all sources' pairs.
        loss_own: log loss in nats of the fit on this source's own pairs.
        gold_pooled: share of its pairs that the pooled fit orders as the gold reward does.
        gold_own: share of its pairs that the fit on its own pairs orders as the gold reward does.
    """

    source: str
    completions: int
    gold: float
    gold_sd: float
    tokens: float
    loss_pooled: float
    loss_own: float
    gold_pooled: float
    gold_own: float


@dataclass(frozen=True)
class DomainFigures:
    """One domain of the pool. Figures of fits are about held-out pairs on its prompts.

    Accuracy is the share of pairs that a fit orders as the labels do; agreement with gold, as the domain's gold reward
    does, over pairs that differ by it. The four fits, in the order of each tuple: on all domains' pairs, blind to the
    domain; on all domains' pairs, given the domain (each feature once for all domains, and once more for each of them);
    on this domain's own pairs; on the pairs of all others, None where the pool holds no other domain.

    Attributes:
        domain: its name.
        pairs: pairs of it that were measured.
        gold: mean gold reward.
        gold_sd: standard deviation of the gold reward.
        accuracy: accuracy of the four fits.
        gold_agreement: agreement of the four fits with gold.
    """

    domain: str
    pairs: int
    gold: float
    gold_sd: float
    accuracy: tuple[float, float, float, float | None]
    gold_agreement: tuple[float, float, float, float | None]


@dataclass(frozen=True)
class AnnotatorFigures:
    """One annotator, over the pairs that it judges; at least FEWEST.

    Attributes:
        annotator: its name.
        pairs: pairs that it judges.
        weight: lambda, the weight of its bias in its utility.
        bias_sd: root mean square of the differences of its bias within pairs, over the square root of 2.
        bias_gold: correlation of the differences of its bias with those of the gold reward; None without a bias.
        utility_agrees: share of pairs that its utility orders as the gold reward does.
        labels_agree: share of pairs that its labels order as the gold reward does.
    """

    annotator: str
    pairs: int
    weight: float
    bias_sd: float
    bias_gold: float | None
    utility_agrees: float
    labels_agree: float


@dataclass(frozen=True)
class Measurements:
    """What was measured in the first pairs of a world.

    Attributes:
        pairs: how many were measured.
        distinct_prompts: different prompts among them.
        vocabulary: tokens, as written, that all texts of the world are made of.
        prompt_tokens: median and 95th percentile of the prompts' length.
        completion_tokens: median and 95th percentile of the completions' length.
        gold_mean: mean gold reward of the completions.
        gold_sd: standard deviation of the completions' gold reward.
        gold_ties: share of pairs with equal gold rewards, left out of every agreement.
        chosen_longer: share of pairs whose chosen completion has more tokens, among those where one has.
        annotators_follow: source or domain: by which the annotator of a pair is found.
        coupling_bits: mutual information of that and the annotator.
        style_predicts: share of held-out pairs whose annotator a linear discriminant names from the style counts of
            both completions.
        most_frequent: share of held-out pairs that the most frequent annotator judges, as a baseline for
            `style_predicts`.
        sources: figures of each source.
        domains: figures of each domain that the pool holds; empty where the world has one domain.
        annotators: figures of each annotator who judges at least FEWEST of the pairs.
        unmeasured: annotators who judge fewer than FEWEST of the pairs, and are left out of `annotators`.
    """

    pairs: int
    distinct_prompts: int
    vocabulary: int
    prompt_tokens: tuple[float, float]
    completion_tokens: tuple[float, float]
    gold_mean: float
    gold_sd: float
    gold_ties: float
    chosen_longer: float
    annotators_follow: str
    coupling_bits: float
    style_predicts: float
    most_frequent: float
    sources: tuple[SourceFigures, ...]
    domains: tuple[DomainFigures, ...]
    annotators: tuple[AnnotatorFigures, ...]
    unmeasured: int

    def as_dict(self) -> dict[str, Any]:
        """The measurements as JSON-able values."""
        return asdict(self)


def measure_world(world: World, pairs: int = PAIRS) -> Measurements:
    """Measure the first `pairs` pairs of a world; where its pool has fewer, the pairs that it would have next, too.

    Raises:
        UsageError: a source wrote the first completion of fewer than FEWEST of the pairs, or fewer are on the prompts
            of a domain of the pool.
    """
    drafts = world.drafts(np.arange(pairs))
    pooled = np.flatnonzero(domain_shares(world.config, "pool"))
    _check_enough("source", drafts.sources[0], range(world.config.sources), world.sources.names)
    _check_enough("domain", drafts.domain, pooled, world.domains)
    keeps, gold_step = world.judge(drafts), drafts.gold[0] - drafts.gold[1]
    prompt_tokens = token_lengths(drafts.prompts)
    lengths = np.stack([token_lengths(texts) for texts in drafts.completions])
    longer = lengths[0] != lengths[1]
    # Rows are independent draws, so every second one is as good a split as a random one.
    held_out = drafts.rows % 2 == 1
    told, most_frequent = _told_by_style(drafts.style.sum(axis=0)[:, : len(STYLES)], drafts.annotator, held_out)
    annotators = tuple(_annotator_figures(world, drafts, keeps))
    return Measurements(
        pairs=pairs,
        distinct_prompts=len(drafts.prompts.unique()),
        vocabulary=len(world.vocabulary),
        prompt_tokens=_spread(prompt_tokens),
        completion_tokens=_spread(lengths),
        gold_mean=float(drafts.gold.mean()),
        gold_sd=float(drafts.gold.std()),
        gold_ties=float(np.mean(gold_step == 0)),
        chosen_longer=_share((lengths[0] > lengths[1]) == keeps, longer),
        annotators_follow=world.config.annotators_follow,
        coupling_bits=mutual_information(
            drafts.domain if world.config.annotators_follow == "domain" else drafts.sources[0], drafts.annotator
        ),
        style_predicts=told,
        most_frequent=most_frequent,
        sources=tuple(_source_figures(world, drafts, lengths, keeps, held_out)),
        domains=tuple(_domain_figures(world, drafts, keeps, held_out)) if len(world.domains) > 1 else (),
        annotators=annotators,
        unmeasured=world.config.annotators - len(annotators),
    )


def mutual_information(one: RowNumbers, other: RowNumbers) -> float:
    """Mutual information of two discrete variables in bits, from their joint frequencies."""
    joint = np.zeros((one.max() + 1, other.max() + 1))
    np.add.at(joint, (one, other), 1 / len(one))
    # I = sum p(a, b) log2(p(a, b) / (p(a) p(b))), where p log p is 0 at p = 0.
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    there = joint > 0
    return float((joint[there] * np.log2(joint[there] / independent[there])).sum())


def fit_bradley_terry(step_NF: Floats, first_preferred_N: npt.NDArray[np.bool_]) -> Floats:
    """Weights of F features by maximum likelihood, from feature differences (first - second) and labels: (F,)."""
    sign = np.where(first_preferred_N, 1.0, -1.0)

    def loss(weights: Floats) -> tuple[float, Floats]:
        margin = sign * (step_NF @ weights)
        value = np.logaddexp(0, -margin).mean() + RIDGE * (weights @ weights)
        # d/dm log(1 + exp(-m)) = -sigmoid(-m).
        slope = -(sign * expit(-margin)) @ step_NF / len(sign) + 2 * RIDGE * weights
        return float(value), np.asarray(slope)

    return np.asarray(minimize(loss, np.zeros(step_NF.shape[1]), jac=True, method="L-BFGS-B").x)


def _source_figures(
    world: World, drafts: Drafts, lengths: RowNumbers, keeps: npt.NDArray[np.bool_], held_out: npt.NDArray[np.bool_]
) -> Iterator[SourceFigures]:
    gold_step, step_NF = drafts.gold[0] - drafts.gold[1], _feature_steps(drafts)
    pooled = fit_bradley_terry(step_NF[~held_out], keeps[~held_out])
    for number in range(world.config.sources):
        wrote, its_pairs = drafts.sources == number, drafts.sources[0] == number
        train, test = its_pairs & ~held_out, its_pairs & held_out
        own = fit_bradley_terry(step_NF[train], keeps[train])
        losses, agreements = [], []
        for weights in (pooled, own):
            margin = step_NF @ weights
            # -log sigmoid(margin of the chosen one); its sign turns where the second one is chosen.
            losses.append(float(np.logaddexp(0, np.where(keeps, -margin, margin))[test].mean()))
            agreements.append(_share((margin > 0) == (gold_step > 0), test & (gold_step != 0)))
        gold = drafts.gold[wrote]
        yield SourceFigures(
            world.sources.names[number],
            int(wrote.sum()),
            float(gold.mean()),
            float(gold.std()),
            float(np.median(lengths[wrote])),
            *losses,
            *agreements,
        )


def _domain_figures(
    world: World, drafts: Drafts, keeps: npt.NDArray[np.bool_], held_out: npt.NDArray[np.bool_]
) -> Iterator[DomainFigures]:
    gold_step, step_NF = drafts.gold[0] - drafts.gold[1], _feature_steps(drafts)
    there = np.unique(drafts.domain)
    given_NF = np.column_stack([step_NF, *(step_NF * (drafts.domain == domain)[:, None] for domain in there)])
    blind, given = (fit_bradley_terry(each[~held_out], keeps[~held_out]) for each in (step_NF, given_NF))
    for domain in there:
        inside = drafts.domain == domain
        test, train, others = inside & held_out, inside & ~held_out, ~inside & ~held_out
        margins = [step_NF @ blind, given_NF @ given, step_NF @ fit_bradley_terry(step_NF[train], keeps[train])]
        margins += [step_NF @ fit_bradley_terry(step_NF[others], keeps[others])] if others.any() else []
        accuracy = [_share((margin > 0) == keeps, test) for margin in margins]
        agreement = [_share((margin > 0) == (gold_step > 0), test & (gold_step != 0)) for margin in margins]
        gold = drafts.gold[:, inside]
        yield DomainFigures(
            world.domains[domain],
            int(inside.sum()),
            float(gold.mean()),
            float(gold.std()),
            (accuracy[0], accuracy[1], accuracy[2], accuracy[3] if others.any() else None),
            (agreement[0], agreement[1], agreement[2], agreement[3] if others.any() else None),
        )


def _feature_steps(drafts: Drafts) -> Floats:
    """Differences within N pairs of what fits see, r* (with one domain the gold reward) and style counts: (N, F)."""
    style_step = (drafts.style[0] - drafts.style[1])[:, : len(STYLES)]
    return np.column_stack([drafts.base[0] - drafts.base[1], style_step]).astype(np.float64)


def _check_enough(what: str, index_N: RowNumbers, numbers: Iterable[int], names: Sequence[str]) -> None:
    count = {number: int((index_N == number).sum()) for number in numbers}
    fewest = min(count, key=lambda number: count[number])
    if count[fewest] < FEWEST:
        raise UsageError(
            f"Of {len(index_N)} pairs only {count[fewest]} are of {what} {names[fewest]}; "
            f"at least {FEWEST} of each are needed. Measure more pairs."
        )


def _annotator_figures(world: World, drafts: Drafts, keeps: npt.NDArray[np.bool_]) -> Iterator[AnnotatorFigures]:
    utility_step, gold_step = world.utility_steps(drafts), drafts.gold[0] - drafts.gold[1]
    for number, name in enumerate(world.annotators.names):
        judged, weight = drafts.annotator == number, world.config.weight(number)
        if judged.sum() < FEWEST:
            continue
        # u = r* + lambda bias; without a lambda no bias can be told.
        bias_step = (utility_step - gold_step)[judged] / weight if weight else np.zeros(judged.sum())
        differs = judged & (gold_step != 0)
        yield AnnotatorFigures(
            name,
            int(judged.sum()),
            weight,
            float(np.sqrt((bias_step**2).mean() / 2)),
            float(np.corrcoef(bias_step, gold_step[judged])[0, 1]) if weight else None,
            _share((utility_step > 0) == (gold_step > 0), differs),
            _share(keeps == (gold_step > 0), differs),
        )


def _told_by_style(style_NF: RowNumbers, annotator: RowNumbers, held_out: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Accuracy on held-out pairs of a linear discriminant for the annotator, and of the most frequent annotator."""
    known, label = style_NF[~held_out].astype(np.float64), annotator[~held_out]
    present, place = np.unique(label, return_inverse=True)
    count_A = np.bincount(place)
    mean_AF = np.stack([known[place == number].mean(axis=0) for number in range(len(present))])
    spread = known - mean_AF[place]
    # x' W^-1 m - m' W^-1 m / 2 + log prior (Hastie, Tibshirani & Friedman, eq. 4.10). The ridge is for a style that
    # never varies, which would make W singular.
    within = spread.T @ spread / len(known) + 1e-6 * np.eye(known.shape[1])
    weights = np.linalg.solve(within, mean_AF.T)
    score_NA = style_NF[held_out] @ weights - (mean_AF.T * weights).sum(axis=0) / 2 + np.log(count_A / len(known))
    told = present[score_NA.argmax(axis=1)]
    return float(np.mean(told == annotator[held_out])), float(np.mean(present[count_A.argmax()] == annotator[held_out]))


def _share(right: npt.NDArray[np.bool_], among: npt.NDArray[np.bool_]) -> float:
    return float(right[among].mean())


def _spread(values: RowNumbers) -> tuple[float, float]:
    median, p95 = np.percentile(values, [50, 95])
    return float(median), float(p95)
