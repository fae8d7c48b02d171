"""Cases of real preference data: actors that write on a domain of their own, and sources of a pool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pyarrow as pa

from frft.fixed_actor.actors import Actor, PoolDivision, divide
from frft.fixed_actor.cases.case import CaseKey, FixedActorCase, PlannedCase
from frft.fixed_actor.own_prompts.division import DividedFold, DomainActor, PairsOfDomains, divide_conversations
from frft.models import seed_for


def domain_cases(
    family: str,
    pairs: PairsOfDomains,
    domains: Sequence[str],
    seeds: Sequence[int],
    *,
    folds: int = 4,
    weights: Sequence[float] = (100.0,),
) -> Iterator[PlannedCase]:
    """A case for every domain, weight, seed and fold. One actor is one cluster, whatever the pool it is put into.

    Args:
        family: the kind of data.
        pairs: preference pairs of two or more domains, all of which are the pool.
        domains: those to take as an actor's.
        seeds: a division of the conversations for each.
        folds: number of parts that conversations are divided into, each of which is tested once a seed.
        weights: per cent of what the actor writes that is of its domain; an actor for each.

    Raises:
        UsageError: there is no such domain.
        DataError: a domain is too small.
    """
    for name in domains:
        pairs.check_actor(name, folds)
    together = "+".join(sorted(set(pairs.domains)))
    for seed in seeds:
        for number, fold in enumerate(divide_conversations(pairs, folds, seed)):
            for actor in (DomainActor(name, weight) for name in domains for weight in sorted(set(weights))):
                key = CaseKey(family, f"{actor.label} in {together}", actor.domain, seed, number)
                yield key, partial(_domain_case, pairs, actor, fold, seed_for(seed, number, actor.label))


def _domain_case(pairs: PairsOfDomains, actor: DomainActor, fold: DividedFold, seed: int) -> FixedActorCase:
    prompts, completions = actor.samples(pairs, fold.sampled, np.random.default_rng([seed, 0]))
    shares = actor.shares(Counter(pairs.domains))
    rows = np.array([row for row in fold.tested.tolist() if shares[pairs.domains[row]]])
    domains = [pairs.domains[row] for row in rows.tolist()]
    counts = Counter(domains)
    # Accuracy as the actor's mixture has the domains, not as the data have them.
    weight_M = np.array([shares[name] / counts[name] for name in domains])
    return FixedActorCase(
        pairs.table.take(fold.pool), prompts, completions, pairs.table.take(rows), weight_M / weight_M.sum()
    )


def source_cases(family: str, pairs: pa.Table, actors: Sequence[Actor], seeds: Sequence[int]) -> Iterator[PlannedCase]:
    """A case for every source and seed, each source one cluster. Accuracies are balanced (`frft.fixed_actor.sides`).

    Raises:
        DataError: an actor has too few pairs or samples.
    """
    for seed in seeds:
        division = divide(pairs, actors, seed)
        for actor in actors:
            yield CaseKey(family, actor.name, actor.name, seed), partial(_source_case, division, actor.name)


def _source_case(division: PoolDivision, name: str) -> FixedActorCase:
    share = division.shares[name]
    # Half the weight on pairs in which the actor is chosen; those of two of its completions are on both sides.
    of_M = [sign * share.test_sides.side_N >= 0 for sign in (1, -1)]
    weight_M = np.sum([each / (2 * each.sum()) for each in of_M], axis=0)
    return FixedActorCase(division.pool, share.prompts, share.completions, share.test, weight_M)
