"""Annotators: u_a(x, y) = r*(x, y) + lambda * bias_a(x, y), and labels by Bradley-Terry.

An annotator's bias is its taste: a direction in the space of styles, and the directions of up to six annotators are
orthogonal, so that all of them together like and dislike each style about equally. What the taste has in common with
the gold reward (a style takes words, and words cost) is subtracted, and the rest is scaled: between the two completions
of the pool's pairs, the differences of bias and of gold reward are uncorrelated, and the difference of biases has the
variance of two independent draws of variance 1. The mean bias over the pool's completions is 0. Where a world has
domains, r* stands for the gold reward of the prompt's domain, and all this holds within each domain.

Against the gold reward, where `anti_gold` asks for it, the bias is -r* itself, scaled in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from frft.config.sections import WorldConfig
from frft.statistics.numbers import Floats
from frft.worlds.draws import RowNumbers, stream, uniforms
from frft.worlds.lexicon import STYLES


@dataclass(frozen=True)
class Annotators:
    """The A annotators of a world of D domains, whose utilities are linear in gold reward and style counts.

    Attributes:
        names: their names.
        tastes: direction of each one's bias in the space of styles; zeros for an anti-gold one: float64 (D, A, styles).
        on_gold: coefficient of the gold reward in the utility: float64 (D, A).
        on_style: coefficients of the style counts: float64 (D, A, styles).
        constant: the term of the utility that makes the bias's mean 0: float64 (D, A).
    """

    names: tuple[str, ...]
    tastes: Floats
    on_gold: Floats
    on_style: Floats
    constant: Floats

    def utilities(self, gold: Floats, style: RowNumbers, annotator: RowNumbers, domain: RowNumbers) -> Floats:
        """u_a of N completions by their gold rewards (N,), style counts (N, styles or more), annotators and domains."""
        taste = (style[:, : self.on_style.shape[2]] * self.on_style[domain, annotator]).sum(axis=1)
        return np.asarray(self.on_gold[domain, annotator] * gold + taste + self.constant[domain, annotator])


def calibrated(config: WorldConfig, gold_D2N: Sequence[Floats], style_D2NF: Sequence[RowNumbers]) -> Annotators:
    """The annotators of a world, from gold rewards (2, N) and style counts (2, N, styles) of pairs of each domain."""
    names = tuple(f"annotator-{number}" for number in range(config.annotators))
    parts = [_coefficients(config, *of_domain) for of_domain in zip(gold_D2N, style_D2NF, strict=True)]
    return Annotators(names, *(np.stack(each) for each in zip(*parts, strict=True)))


def _coefficients(config: WorldConfig, gold_2N: Floats, style_2NF: RowNumbers) -> tuple[Floats, ...]:
    """Tastes, and coefficients of gold, style counts and 1 in the utilities, from pairs of one domain."""
    kinds = len(STYLES)
    style_2NF = style_2NF[:, :, :kinds]
    gold_step_N, style_step_NF = gold_2N[0] - gold_2N[1], style_2NF[0] - style_2NF[1]
    tastes = orthogonal_directions(config.seed, "tastes", config.annotators, kinds) / scale_of(style_step_NF)
    if config.anti_gold:
        tastes[config.near_annotator] = 0.0
    step_NA = style_step_NF @ tastes.T
    # Regression through 0, because which completion of a pair comes first is arbitrary: its residual, taste - slope *
    # gold, differs between completions without correlation to the gold reward.
    slope = gold_step_N @ step_NA / (gold_step_N @ gold_step_N)
    # An anti-gold annotator has no taste; with slope 1 its bias is -gold.
    slope[tastes.any(axis=1) == 0] = 1.0
    spread = scale_of(step_NA - gold_step_N[:, None] * slope)
    weight = np.array([config.weight(annotator) for annotator in range(config.annotators)]) / spread
    mean = tastes @ style_2NF.reshape(-1, kinds).mean(axis=0) - slope * gold_2N.mean()
    # u = gold + weight * (taste . style - slope * gold) - weight * mean, sorted by gold and style.
    return tastes, 1 - weight * slope, weight[:, None] * tastes, -weight * mean


def follower(followed: RowNumbers, config: WorldConfig, u_N2: Floats) -> RowNumbers:
    """The annotator who judges each of N pairs: with probability kappa the one that follows the pair's source (or
    domain, as `annotators_follow` says), else one drawn at random from all: int64 (N,), from uniform numbers (N, 2)."""
    anyone = np.asarray(u_N2[:, 1] * config.annotators).astype(np.int64)
    return np.where(u_N2[:, 0] < config.kappa, followed % config.annotators, anyone)


def prefers_first(difference_N: Floats, temperature: float, u_N: Floats) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Labels by Bradley-Terry, P(first) = sigmoid((u(first) - u(second)) / temperature): bool (N,).

    At temperature 0 the completion with the higher utility; of two equal ones, either with probability 1/2.
    """
    chance_N = expit(difference_N / temperature) if temperature > 0 else (np.sign(difference_N) + 1) / 2
    return np.asarray(u_N < chance_N)


def scale_of(step: Floats) -> Floats:
    """The standard deviation of a quantity that differs by `step` between two independent draws, by column."""
    # E (a - b)^2 = 2 Var(a) for independent a and b of one distribution.
    return np.asarray(np.sqrt((step**2).mean(axis=0) / 2))


def orthogonal_directions(seed: int, name: str, number: int, kinds: int) -> Floats:
    """`number` unit vectors, in every group of `kinds` of them orthogonal to one another: float64 (number, kinds)."""
    groups = -(-number // kinds)
    u = uniforms(stream(seed, name), np.arange(groups * kinds), 2 * kinds)
    # Box and Muller: two uniform numbers give a normal one. 1 - u, because u may be 0 and never 1.
    normal = np.sqrt(-2 * np.log(1 - u[:, :kinds])) * np.cos(2 * np.pi * u[:, kinds:])
    # Q R is unique only once the signs of R's diagonal are fixed, which LAPACK leaves open. With positive ones, Q of a
    # normal matrix is uniform over the orthogonal matrices (Mezzadri, math-ph/0609050).
    blocks = [basis * np.sign(np.diag(r)) for basis, r in map(np.linalg.qr, np.split(normal, groups))]
    return np.concatenate([basis.T for basis in blocks])[:number]
