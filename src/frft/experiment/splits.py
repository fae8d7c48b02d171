"""Split the preference pairs by purpose, so that no conversation is both trained on and evaluated on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from frft.config.sections import DataConfig
from frft.conversation import opening
from frft.errors import DataError
from frft.models import seed_for

if TYPE_CHECKING:
    import pyarrow as pa

    from frft.worlds import World


@dataclass(frozen=True)
class Splits:
    """The preference pairs by purpose. Of judge, evaluation, gate and pool, no two share a conversation.

    Attributes:
        judge: pairs that train the judge and nothing else; empty in a world, where the gold reward judges, unless looks
            need a trained one.
        evaluation: held-out pairs: the prompts on which policies are compared, and the test pairs of reward models.
        gate: held-out pairs by which gates accept or refuse a refreshed reward model. Not those of `evaluation`, whose
            accuracy would be too high for a model that was chosen by it. Empty unless an arm has a gate.
        pool: the pool D: the base reward model is trained on it, and refreshes select from it.
        sft: the part of `pool` (in a world, demonstrations) whose chosen completions SFT trains on.
        prompts: distinct prompts of `pool`, on which the policy is trained and sampled; in a world of several domains,
            the first of each domain, as many as have the weights of the policy's mixture.
        by_domain: held-out pairs of each domain of a world, as many as `evaluation` has, by the domain's name; empty
            where there are no domains to tell apart.
    """

    judge: pa.Table
    evaluation: pa.Table
    gate: pa.Table
    pool: pa.Table
    sft: pa.Table
    prompts: list[str]
    by_domain: Mapping[str, pa.Table] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """Number of rows by purpose, for a results file; `gate` only where there is one."""
        tables = {"judge": self.judge, "evaluation": self.evaluation, "pool": self.pool, "sft": self.sft}
        tables |= {"gate": self.gate} if self.gate.num_rows else {}
        return {name: table.num_rows for name, table in tables.items()} | {"prompts": len(self.prompts)}


def split(table: pa.Table, config: DataConfig, seed: int, *, gate: bool = False) -> Splits:
    """Split whole conversations at random, by the configured fractions.

    Prompts with the same first turn are one conversation and stay together: the later turns of a dialogue repeat the
    earlier ones, so that a test pair would be known from training.

    Args:
        table: all preference pairs.
        config: gives the fractions.
        seed: the run's seed.
        gate: whether an arm has a gate; it gets half of the conversations for evaluation.

    Raises:
        DataError: a purpose is left without rows.
    """
    openings = [opening(prompt) for prompt in table["prompt"].to_pylist()]
    conversations = sorted(set(openings))
    order = np.random.default_rng(seed_for(seed, "splits")).permutation(len(conversations))
    judge_end = round(config.judge_fraction * len(order))
    evaluation_end = judge_end + round(config.evaluation_fraction * len(order))
    gate_begin = (judge_end + evaluation_end + 1) // 2 if gate else evaluation_end
    sft_end = evaluation_end + round(config.sft_fraction * (len(order) - evaluation_end))
    place = {conversations[conversation]: position for position, conversation in enumerate(order)}
    position_N = np.array([place[text] for text in openings])

    def rows(begin: int, end: int) -> pa.Table:
        return table.take(np.flatnonzero((begin <= position_N) & (position_N < end)))

    pool = rows(evaluation_end, len(order))
    splits = Splits(
        judge=rows(0, judge_end),
        evaluation=rows(judge_end, gate_begin),
        gate=rows(gate_begin, evaluation_end),
        pool=pool,
        sft=rows(evaluation_end, sft_end),
        prompts=list(dict.fromkeys(pool["prompt"].to_pylist())),
    )
    for name, count in (splits.counts() | ({"gate": splits.gate.num_rows} if gate else {})).items():
        if not count:
            raise DataError(
                f"{len(table)} pairs of {len(order)} conversations leave none for the purpose {name!r}. Give more "
                "data, or change data.judge_fraction, data.evaluation_fraction or data.sft_fraction."
            )
    return splits


def world_splits(world: World, judge_pairs: int = 0, *, gate: bool = False) -> Splits:
    """Generate the rows of a world; each purpose has requests of its own.

    The SFT model learns from demonstrations, which are not in the pool: they start the policy near one source.

    Args:
        world: the world.
        judge_pairs: number of pairs for a trained judge; 0: none. They and a gate's take the requests that the world
            keeps for training prompts; a run does not need those, since its policy is trained on prompts of the pool.
        gate: whether an arm has a gate.
    """
    config = world.config
    demonstrations = world.demonstrations(0, config.demonstrations)
    pool = world.pairs(0, config.pool_size)

    def held_out(begin: int, end: int, purpose: str, domain: int | None = None) -> pa.Table:
        # Several prompts word the same request: the column gives the clusters of intervals.
        table = world.pairs(begin, end, purpose, domain)
        return table.append_column("request", [world.request_ids(table["prompt"].to_pylist())])

    count = max(config.held_out_pairs, config.evaluation_prompts)
    evaluation = held_out(0, count, "evaluation")
    names = world.domains if len(world.domains) > 1 else ()
    return Splits(
        judge=world.pairs(0, judge_pairs, "train") if judge_pairs else pool.slice(0, 0),
        evaluation=evaluation,
        gate=held_out(judge_pairs, judge_pairs + config.held_out_pairs, "train") if gate else evaluation.slice(0, 0),
        pool=pool,
        sft=demonstrations.rename_columns({"completion": "chosen"}),
        prompts=_policy_prompts(world, list(dict.fromkeys(pool["prompt"].to_pylist()))),
        by_domain={name: held_out(0, count, "evaluation", number) for number, name in enumerate(names)},
    )


def _policy_prompts(world: World, distinct: list[str]) -> list[str]:
    """The most of N distinct prompts, in their order, that have the weights of the policy's mixture of domains."""
    share_D = world.policy_shares
    domain_N = world.domains_of(distinct)
    count_D = np.bincount(domain_N, minlength=len(share_D))
    wanted = share_D > 0
    # Rounding to 9 digits first: 0.7 of 10 must be 7, whatever the last bit says.
    take_D = np.floor(np.round(share_D * (count_D[wanted] / share_D[wanted]).min(), 9)).astype(np.int64)
    if not take_D[wanted].all():
        short = world.domains[int(np.flatnonzero(wanted & (take_D == 0))[0])]
        raise DataError(
            f"A pool of {world.config.pool_size} pairs has too few prompts to give the policy any of {short} by the "
            "weights of policy_mixture. Raise data.world.pool_size, or the weight of that domain."
        )
    rank_N = np.empty(len(distinct), np.int64)
    for domain, count in enumerate(count_D):
        rank_N[domain_N == domain] = np.arange(count)
    return [prompt for prompt, keep in zip(distinct, rank_N < take_D[domain_N], strict=True) if keep]
