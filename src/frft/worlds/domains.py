"""Domains: kinds of prompts, each with topics of its own, and with a scoring policy that is the gold reward there.

Domain d of D has its share of the categories, so that texts of two domains differ in what they are about. Its gold
reward is

    r_d = (sqrt(1 - s) r* / sd(r*) + sqrt(s) taste_d) / sd_d

with r* the reward of `frft.worlds.gold`, which all domains value alike, and s the dial `domain_taste`. A taste is a
direction in the space of styles, without what it has in common with r*. Between the two completions of the pool's
pairs, r* and tastes are uncorrelated, tastes have variance 1, and those of two domains have the correlation

    1 - conflict D / (D - 1),    for two domains 1 - 2 conflict

The last division gives r_d a standard deviation of 1 over a domain's completions. With equal weights in the pool and
Gaussian features, the best scorer that is linear in the features and blind to the domain has the direction of the mean
of all r_d, and so the correlation sqrt(1 - s conflict) with each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from frft.config.sections import WorldConfig
from frft.statistics.numbers import Floats
from frft.worlds.annotators import orthogonal_directions, scale_of
from frft.worlds.draws import RowNumbers
from frft.worlds.lexicon import STYLES
from frft.worlds.requests import SHARES, Requests, refuse, requests_for


@dataclass(frozen=True)
class DomainRewards:
    """The gold rewards of the D domains, which are linear in r* and style counts.

    Attributes:
        on_base: coefficient of r*: float64 (D,).
        on_style: coefficients of the style counts: float64 (D, styles).
        constant: the term that makes the mean of a taste 0: float64 (D,).
    """

    on_base: Floats
    on_style: Floats
    constant: Floats

    def rewards(self, base: Floats, style: RowNumbers, domain: RowNumbers) -> Floats:
        """Gold rewards of N completions by r* (N,), style counts (N, styles or more) and domains (N,)."""
        taste = (style[:, : self.on_style.shape[1]] * self.on_style[domain]).sum(axis=1)
        return np.asarray(self.on_base[domain] * base + taste + self.constant[domain])


class DomainRequests:
    """The requests of all domains, by purpose.

    Args:
        config: the dials of a world.

    Attributes:
        names: names of the domains.
    """

    def __init__(self, config: WorldConfig) -> None:
        self.names = tuple(f"domain-{number}" for number in range(config.domains))
        self._each = config.categories // config.domains
        self._of: dict[str, tuple[Requests, RowNumbers]] = {}
        for purpose in SHARES:
            parts = [
                requests_for(purpose, config.seed, self._each, number * self._each) for number in range(config.domains)
            ]
            columns = ([getattr(part, name) for part in parts] for name in ("asked", "forbidden", "short"))
            self._of[purpose] = Requests(*map(np.concatenate, columns)), np.array([len(part) for part in parts])

    def pick(self, purpose: str, rows: RowNumbers, domain: RowNumbers) -> Requests:
        """The requests of these rows (N,), of the domain (N,) of each; they come again after all of a domain's."""
        every, size_D = self._of[purpose]
        start_D = np.cumsum(size_D) - size_D
        return every.take(start_D[domain] + rows % size_D[domain])

    def domains_of(self, prompts: Sequence[str], requests: Requests) -> RowNumbers:
        """The domain of each of N prompts, by what it asks for: int64 (N,); 0 where there is one domain.

        Raises:
            RewardError: a prompt asks for items of two domains, or of none.
        """
        if len(self.names) == 1:
            return np.zeros(len(requests), np.int64)
        first = requests.asked[:, 0] // self._each
        other = (requests.asked >= 0) & (requests.asked // self._each != first[:, None])
        refuse(prompts, other.any(axis=1), "asks for items of two domains")
        refuse(prompts, first >= len(self.names), "asks for items that no domain of this world is about")
        return np.asarray(first)


def domain_shares(config: WorldConfig, purpose: str) -> Floats:
    """Probability of each domain among the prompts of a purpose (a key of SHARES): float64 (D,)."""
    if purpose == "pool":
        weights = np.array(config.pool_mixture or [1] * config.domains, np.float64)
    else:
        weights = np.array(config.policy_mixture or [1] + [0] * (config.domains - 1), np.float64)
    return np.asarray(weights / weights.sum())


def domains_drawn(shares: Floats, u_N: Floats) -> RowNumbers:
    """A domain for each of N rows, with these probabilities, from uniform numbers in [0, 1): int64 (N,)."""
    # The last end is left out: rounding may put it below 1, and no row may fall behind it.
    return np.asarray(np.searchsorted(np.cumsum(shares)[:-1], u_N, side="right")).astype(np.int64)


def domain_directions(domains: int, conflict: float, basis: Floats) -> Floats:
    """Unit vectors whose cosines are 1 - conflict D / (D - 1), one for each domain: float64 (D, F).

    Args:
        domains: D, at least 2.
        conflict: 0 to 1.
        basis: orthonormal rows, at least D: float64 (D or more, F).
    """
    own = basis[:domains]
    # The corners of a regular simplex, of cosine -1/(D - 1), and the direction that is orthogonal to all of them.
    corners = np.sqrt(domains / (domains - 1)) * (own - own.mean(axis=0))
    common = own.sum(axis=0) / np.sqrt(domains)
    return np.asarray(np.sqrt(conflict) * corners + np.sqrt(1 - conflict) * common)


def domain_rewards(config: WorldConfig, base_D2N: Floats, style_D2NF: RowNumbers) -> DomainRewards:
    """The gold rewards of a world's domains, from r* (D, 2, N) and style counts (D, 2, N, styles or more) of as many
    pairs of each."""
    kinds, taste = len(STYLES), config.domain_taste
    style_D2NF = style_D2NF[..., :kinds]
    base_step = (base_D2N[:, 0] - base_D2N[:, 1]).ravel()
    style_step = (style_D2NF[:, 0] - style_D2NF[:, 1]).reshape(-1, kinds).astype(np.float64)
    # Regression through 0, as for the biases of annotators: which completion of a pair comes first is arbitrary.
    slope_F = base_step @ style_step / (base_step @ base_step)
    rest = style_step - base_step[:, None] * slope_F
    values, vectors = np.linalg.eigh(rest.T @ rest / (2 * len(rest)))
    # With the symmetric root, coordinates remain as near to the single styles as uncorrelated ones can be.
    whitening = vectors / np.sqrt(values) @ vectors.T
    directions = domain_directions(
        config.domains, config.conflict, orthogonal_directions(config.seed, "domain tastes", kinds, kinds)
    )
    on_style = np.sqrt(taste) * directions @ whitening
    on_base = np.sqrt(1 - taste) / scale_of(base_step) - on_style @ slope_F
    # A taste is on_style . style - (on_style . slope) r*, and has the mean 0 over all completions.
    mean = on_style @ style_D2NF.reshape(-1, kinds).mean(axis=0) - on_style @ slope_F * base_D2N.mean()
    raw_D = on_base[:, None, None] * base_D2N + np.einsum("df,dpnf->dpn", on_style, style_D2NF)
    spread = raw_D.std(axis=(1, 2))
    return DomainRewards(on_base / spread, on_style / spread[:, None], -mean / spread)
