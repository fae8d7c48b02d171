"""One case: a pool, unlabelled samples of an actor, and labelled pairs of it, by which the outcome is known.

evidence   of the pool and the samples, as `frft advise` measures it
outcome    accuracy on the actor's pairs of a linear reward model fitted to the quarter of the pool with the highest
           density ratios, less that of those fitted to random quarters
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from frft.advice import gather_evidence
from frft.fixed_actor.linear import LinearReward, LinearTrainer
from frft.fixed_actor.own_prompts.rankings import PoolRankings
from frft.fixed_actor.sides import correct
from frft.fixed_actor.texts import Features, PairTexts
from frft.models import seed_for
from frft.progress import SILENT, Progress
from frft.results.fixed_actor import CaseLine, CaseOutcome
from frft.selection import VectorCache
from frft.statistics.numbers import Floats

if TYPE_CHECKING:
    import pyarrow as pa

KEPT_SHARE = 0.25
"""Share of the pool that is selected."""
RANDOM_SELECTIONS = 4
"""Random selections; the outcome compares with the mean of their accuracies, so that it is less a matter of luck."""
SELECTED_BY = "density"


@dataclass(frozen=True)
class CaseKey:
    """Which case it is.

    Attributes:
        family: the kind of data.
        name: the actor and its pool.
        cluster: what cases have in common that are no proof of each other.
        seed: seed of the division of the data, or of the texts of a world.
        fold: number of the part that is tested, from 0.
    """

    family: str
    name: str
    cluster: str
    seed: int
    fold: int = 0


@dataclass(frozen=True)
class FixedActorCase:
    """The data of a case with M labelled pairs of the actor.

    Attributes:
        pool: pairs to select from.
        prompts: prompts of the actor's samples.
        completions: its completion to each.
        tested: the actor's labelled pairs, on prompts that the pool does not hold.
        weight_M: weight of each of them in the accuracy; the sum is 1.
        gold_M: gold reward of the chosen completion less that of the rejected one; None: nobody knows it.
    """

    pool: pa.Table
    prompts: list[str]
    completions: list[str]
    tested: pa.Table
    weight_M: Floats
    gold_M: Floats | None = None


PlannedCase = tuple[CaseKey, Callable[[], FixedActorCase]]
"""A case and how its data are made, when they are needed."""


def measure_case(key: CaseKey, case: FixedActorCase, vectors: VectorCache, progress: Progress = SILENT) -> CaseLine:
    """The evidence and the outcome of a case."""
    started = time.monotonic()
    seed = seed_for(key.seed, key.fold, key.name)
    evidence = gather_evidence(case.pool, case.prompts, case.completions, vectors, seed, progress)
    texts = PairTexts([case.pool, case.tested])
    trainer = LinearTrainer(texts, Features(texts, vectors, progress))
    kept = max(1, round(KEPT_SHARE * case.pool.num_rows))

    def outcome(strategy: str, draw: int) -> CaseOutcome:
        # The shares of domains serve controls that are no part of a case.
        rankings = PoolRankings(
            case.pool, [""] * case.pool.num_rows, {}, (case.prompts, case.completions), vectors, seed_for(seed, draw)
        )
        model, _ = trainer.train(case.pool.take(rankings.rows(strategy)[:kept]), None, 0, seed_for(seed, draw))
        return tested(model)

    def tested(model: LinearReward) -> CaseOutcome:
        margin_M = trainer.margins(model, case.tested)
        if case.gold_M is None:
            return CaseOutcome(accuracy=float(case.weight_M @ correct(margin_M)), gold_agreement=None)
        clear_M = case.gold_M != 0
        agrees_M = correct(margin_M * np.sign(case.gold_M))
        share = case.weight_M[clear_M] @ agrees_M[clear_M] / case.weight_M[clear_M].sum()
        return CaseOutcome(accuracy=float(case.weight_M @ correct(margin_M)), gold_agreement=float(share))

    selected = outcome(SELECTED_BY, 0)
    return CaseLine(
        family=key.family,
        name=key.name,
        cluster=key.cluster,
        seed=key.seed,
        fold=key.fold,
        evidence=evidence.as_dict(),
        kept=kept,
        tested=case.tested.num_rows,
        selected=selected,
        at_random=[outcome("random", draw) for draw in range(RANDOM_SELECTIONS)],
        seconds=round(time.monotonic() - started, 3),
    )
