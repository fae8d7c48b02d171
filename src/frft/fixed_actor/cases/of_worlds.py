"""Cases in worlds whose dials are drawn at random: what is drawn is written down in each case's name.

One world in two has domains. Texts are drawn for a *group* of worlds and judged in several ways, each a case; since
they share texts, a group is one cluster. The actor is the source near the policy: its samples are demonstrations, and
its labelled pairs two completions of its own to each evaluation prompt, judged by whoever judges it in the pool.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from frft.config.sections import WorldConfig
from frft.fixed_actor.cases.case import CaseKey, FixedActorCase, PlannedCase
from frft.models import seed_for
from frft.worlds import World

CASE_WORLDS = ("worlds with domains", "worlds of sources")
"""The two families, which take turns."""
SAMPLES = 300
"""Samples of the actor."""
TESTED = 800
"""Evaluation prompts with two completions of the actor; the few pairs of equal completions are left out."""


def world_cases(groups: int, settings: int, seed: int, first: int = 0) -> Iterator[PlannedCase]:
    """A case for every group of worlds and way of judging; other seeds give other texts and other dials.

    Args:
        groups: number of groups of worlds, each with texts of its own.
        settings: ways of judging drawn for each; fewer where one is drawn twice.
        seed: seed of all draws.
        first: number of the first group; each is drawn by itself.
    """
    for group in range(first, first + groups):
        family = CASE_WORLDS[group % 2]
        rng = np.random.default_rng([seed, group])
        world_seed = seed_for(seed, "case worlds", group)
        written = _drawn_sources(rng) if group % 2 else _drawn_domains(rng)
        drawn = [
            written | (_judged_sources(rng, written["sources"]) if group % 2 else _judged_domains(rng))
            for _ in range(settings)
        ]
        # One setting that was drawn twice is one case.
        for dials in (each for n, each in enumerate(drawn) if each not in drawn[:n]):
            name = ", ".join(f"{dial.rstrip('_')} {_shown(value)}" for dial, value in dials.items())
            key = CaseKey(family, name, f"{family}, seed {seed}, texts {group}", seed)
            yield key, partial(_world_case, WorldConfig(seed=world_seed, **dials))


def _drawn_domains(rng: np.random.Generator) -> dict[str, Any]:
    domains, sources = int(rng.choice([2, 2, 3])), int(rng.choice([1, 3, 6]))
    pool, policy = float(rng.choice([0.2, 0.35, 0.5, 0.65])), float(rng.choice([1.0, 1.0, 1.0, 0.75]))
    return {
        "pool_size": int(rng.choice([800, 1500, 2500])),
        "domains": domains,
        "sources": sources,
        "annotators": sources,
        "pool_mixture": _mixture(pool, domains),
        "policy_mixture": _mixture(policy, domains),
    }


def _mixture(own: float, domains: int) -> tuple[float, ...]:
    """This weight of the first domain, and the rest to equal parts of the others."""
    return (own, *[round((1 - own) / (domains - 1), 3)] * (domains - 1))


def _judged_domains(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "conflict": float(rng.choice([0.0, 0.5, 1.0, 1.0])),
        "domain_taste": float(rng.choice([0.3, 0.6, 0.9])),
        "temperature": float(rng.choice([0.3, 1.0])),
        "lambda_": float(rng.choice([0.0, 0.0, 1.0])),
    }


def _drawn_sources(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "pool_size": int(rng.choice([800, 1500, 2500])),
        "categories": int(rng.choice([6, 12])),
        "sources": int(rng.choice([2, 4, 6])),
        "drift": float(rng.choice([0.0, 0.0, 0.5])),
    }


def _judged_sources(rng: np.random.Generator, sources: int) -> dict[str, Any]:
    lambda_, near = float(rng.choice([0.0, 1.0, 2.0, 4.0])), float(rng.choice([-1.0, -1.0, 0.0, 4.0]))
    near_lambda = None if near < 0 else near
    return {
        "annotators": sources,
        "lambda_": lambda_,
        "near_lambda": near_lambda,
        "kappa": float(rng.choice([0.0, 0.5, 1.0, 1.0])),
        "temperature": float(rng.choice([0.3, 1.0])),
        "anti_gold": bool(rng.random() < 0.25) and (lambda_ if near_lambda is None else near_lambda) > 0,
    }


def _world_case(config: WorldConfig) -> FixedActorCase:
    world = World(config)
    written = world.demonstrations(0, SAMPLES)
    tested = _actor_pairs(world)
    prompts = tested["prompt"].to_pylist()
    chosen, rejected = (world.gold(prompts, tested[side].to_pylist()) for side in ("chosen", "rejected"))
    return FixedActorCase(
        world.pairs(0, config.pool_size),
        written["prompt"].to_pylist(),
        written["completion"].to_pylist(),
        tested,
        np.full(tested.num_rows, 1 / tested.num_rows),
        chosen - rejected,
    )


def _actor_pairs(world: World) -> pa.Table:
    """Two completions of the actor to each evaluation prompt, labelled as the world labels pairs of its source."""
    config, prompts = world.config, world.prompts(0, TESTED, "evaluation")
    rng = np.random.default_rng([config.seed, 0])
    sides = []
    for side in (0, 1):
        own, foreign = (world.write(prompts, source, side) for source in (config.near_policy, config.sources))
        drifted = rng.random(TESTED) < config.drift
        sides.append([other if away else text for text, other, away in zip(own, foreign, drifted, strict=True)])
    followed = np.full(TESTED, config.near_policy)
    if config.annotators_follow == "domain":
        followed = world.domains_of(prompts)
    anyone = rng.integers(config.annotators, size=TESTED)
    judges = np.where(rng.random(TESTED) < config.kappa, followed % config.annotators, anyone)
    tables = []
    for judge in sorted(set(judges.tolist())):
        rows = [n for n in np.flatnonzero(judges == judge).tolist() if sides[0][n] != sides[1][n]]
        asked, first, second = ([column[n] for n in rows] for column in (prompts, *sides))
        tables.append(world.labelled_pairs(asked, first, second, judge, judge))
    return pa.concat_tables(tables)


def _shown(value: Any) -> str:
    return "/".join(f"{each:g}" for each in value) if isinstance(value, tuple) else str(value)
