"""The dials of a preference world; see docs/worlds.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from frft.config.sections.base import Section

FEWEST_CATEGORIES = 3
"""Categories of a domain: with fewer there are not enough requests for four purposes."""
_FIRST_ALONE = (1.0,)
"""What no `policy_mixture` means: weights behind the first are 0."""


class WorldConfig(Section):
    """A preference world: who writes, who judges, and where the policy starts."""

    seed: int = Field(default=0, ge=0)
    """Random seed of the whole world."""
    pool_size: int = Field(default=20_000, gt=0)
    """Preference pairs in the pool."""
    demonstrations: int = Field(default=10_000, gt=0)
    """Prompts with a completion, to train the SFT model on."""
    train_prompts: int = Field(default=2_000, gt=0)
    """Prompts that `frft world make` writes for reinforcement learning elsewhere; a run has those of its pool."""
    evaluation_prompts: int = Field(default=500, gt=0)
    """Prompts for evaluation."""
    held_out_pairs: int = Field(default=1_000, gt=0)
    """Held-out pairs to test reward models on, and as many for gates; at least as many as `evaluation_prompts`. With
    1000, the 95 % interval of an accuracy is at most 6.2 points wide."""
    categories: int = Field(default=12, ge=3, le=12)
    """Categories of items that requests are about; with fewer, smaller models learn what is asked for."""
    domains: int = Field(default=1, ge=1, le=4)
    """Kinds of prompts, each about `categories / domains` categories of its own and with a gold reward of its own; 1:
    all prompts are of one kind."""
    conflict: float = Field(default=1.0, ge=0, le=1)
    """How far the tastes of domains conflict. 0: they are equal. 1: opposed between two domains, and as far apart as
    three or four directions can be, which is a correlation of -1/(domains - 1)."""
    domain_taste: float = Field(default=0.5, gt=0, le=1)
    """Share of the variance of a domain's gold reward that is its taste in styles; the rest is valued in all domains
    alike (coverage, length, staying on topic)."""
    pool_mixture: tuple[float, ...] | None = None
    """Weight of each domain in the pool, one number >= 0 each, whose sum counts as 1; null: all weigh the same."""
    policy_mixture: tuple[float, ...] | None = None
    """Weight of each domain in the policy's prompts: demonstrations, reinforcement learning, evaluation and held-out
    pairs; null: all are of the first domain."""
    sources: int = Field(default=6, ge=1, le=41)
    """Number of generators of completions, each with its own style and quality."""
    annotators: int = Field(default=6, ge=1, le=41)
    """Number of annotators."""
    annotators_follow: Literal["source", "domain"] = "source"
    """What of a pair decides who judges it, where `kappa` couples them: the source that wrote its completions, or the
    domain of its prompt. Source or domain number s is followed by annotator number s modulo `annotators`."""
    lambda_: float = Field(default=1.0, ge=0)
    """Weight of an annotator's bias beside the gold reward; both have a standard deviation of about 1."""
    kappa: float = Field(default=1.0, ge=0, le=1)
    """Coupling: the probability that a pair is judged by the annotator who follows its source or domain, not any."""
    temperature: float = Field(default=1.0, ge=0)
    """Annotator noise: labels are drawn by Bradley-Terry from differences of utility over it; 0 is none."""
    pairs_within_source: bool = True
    """Whether both completions of a pair come from one source; =false: from two."""
    near_policy: int = Field(default=0, ge=0)
    """The source that writes the demonstrations, from 0: where the policy starts."""
    near_lambda: float | None = Field(default=None, ge=0)
    """Lambda of the annotator near the policy, where it is not that of the others; 0 makes it a gold one. That is the
    one who follows the source `near_policy`, or the domain that weighs most in `policy_mixture`."""
    gold_annotator: int | None = Field(default=None, ge=0)
    """Number of an annotator, from 0, who judges by the gold reward whatever lambda is, such as one far from the
    policy; none: nobody but by `near_lambda` or `lambda_`."""
    anti_gold: bool = False
    """Whether the bias of that annotator is against the gold reward; above lambda 1 its labels are, too."""
    drift: float = Field(default=0.0, ge=0, le=1)
    """Share of the demonstrations in a style that no source has."""

    @property
    def near_annotator(self) -> int:
        """The annotator that follows the source which writes the demonstrations, or the policy's main domain."""
        if self.annotators_follow == "source":
            return self.near_policy % self.annotators
        weights = self.policy_mixture or _FIRST_ALONE
        return weights.index(max(weights)) % self.annotators

    def weight(self, annotator: int) -> float:
        """The weight of an annotator's bias."""
        if annotator == self.gold_annotator:
            return 0.0
        near = annotator == self.near_annotator and self.near_lambda is not None
        return self.near_lambda if near and self.near_lambda is not None else self.lambda_

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.near_policy >= self.sources:
            raise ValueError(
                f"near_policy ({self.near_policy}) must be below sources ({self.sources}): they count from 0"
            )
        if self.sources == 1 and not self.pairs_within_source:
            raise ValueError("pairs_within_source: false needs at least two sources")
        if problem := next(self._problems_of_domains(), None):
            raise ValueError(problem)
        what, followed = ("sources", self.sources) if self.annotators_follow == "source" else ("domains", self.domains)
        if self.kappa == 1 and self.annotators > followed:
            raise ValueError(
                f"annotators ({self.annotators}) are more than {what} ({followed}), and with kappa 1 the rest of "
                "them would judge nothing; lower annotators or kappa"
            )
        if self.gold_annotator is not None and self.gold_annotator >= self.annotators:
            raise ValueError(
                f"gold_annotator ({self.gold_annotator}) must be below annotators ({self.annotators}): they count "
                "from 0"
            )
        if self.gold_annotator == self.near_annotator and self.near_lambda is not None:
            raise ValueError(
                f"gold_annotator: {self.gold_annotator} is the annotator near the policy, whose lambda near_lambda "
                "sets; leave out one of the two"
            )
        if self.anti_gold and self.weight(self.near_annotator) == 0:
            raise ValueError("anti_gold means nothing to an annotator without bias; raise lambda_ or near_lambda")
        return self

    def _problems_of_domains(self) -> Iterator[str]:
        if self.domains == 1:
            idle = ("conflict", "domain_taste", "pool_mixture", "policy_mixture", "annotators_follow")
            for name in idle:
                if getattr(self, name) != type(self).model_fields[name].default:
                    yield f"{name} means nothing with one domain; set domains to 2 or more, or leave {name} out"
            return
        if self.categories % self.domains or self.categories // self.domains < FEWEST_CATEGORIES:
            possible = [n for n in range(3, 13) if n % self.domains == 0 and n // self.domains >= FEWEST_CATEGORIES]
            yield (
                f"categories ({self.categories}) cannot be dealt out to {self.domains} domains, at least "
                f"{FEWEST_CATEGORIES} each and as many to all; set categories to {' or '.join(map(str, possible))}"
            )
        for name in ("pool_mixture", "policy_mixture"):
            weights: tuple[float, ...] | None = getattr(self, name)
            if weights is None:
                continue
            if len(weights) != self.domains:
                yield f"{name} has {len(weights)} weights and there are {self.domains} domains; give one for each"
            elif min(weights) < 0 or not sum(weights):
                yield f"{name} ({list(weights)}) must hold numbers >= 0 that are not all 0"
        policy_and_pool = zip(self.policy_mixture or _FIRST_ALONE, self.pool_mixture or (), strict=False)
        for domain, (policy, pool) in enumerate(policy_and_pool):
            if policy and not pool:
                yield (
                    f"policy_mixture has prompts of domain {domain} and pool_mixture holds none, and in a run the "
                    "policy's prompts come from the pool; raise the weight of that domain in pool_mixture"
                )
