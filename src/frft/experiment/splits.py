"""Which rows serve which purpose. No conversation serves two purposes that must not know of each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from frft.config.sections import DataConfig
from frft.errors import DataError
from frft.models import seed_for

if TYPE_CHECKING:
    import pyarrow as pa

    from frft.worlds import World


@dataclass(frozen=True)
class Splits:
    """The rows of a pool by purpose; judge, evaluation, gate and pool share no conversation, and together are all rows.

    Attributes:
        judge: train the judge, and nothing else sees them; in a world, where gold judges, none unless looks need one.
        evaluation: held out from all training: prompts of the comparison, pairs to test reward models on.
        gate: held out as well, for gates, whose choice of a reward model must not be examined by what it was made by;
            none unless an arm has one.
        pool: D, what the reward model is trained on and refreshes select from.
        sft: the part of `pool` whose chosen completions the policy learns first.
        prompts: distinct prompts of `pool`, what the policy is trained and sampled on.
    """

    judge: pa.Table
    evaluation: pa.Table
    gate: pa.Table
    pool: pa.Table
    sft: pa.Table
    prompts: list[str]

    def counts(self) -> dict[str, int]:
        """Rows by purpose, for a results file; of a gate, where there is one."""
        tables = {"judge": self.judge, "evaluation": self.evaluation, "pool": self.pool, "sft": self.sft}
        tables |= {"gate": self.gate} if self.gate.num_rows else {}
        return {name: table.num_rows for name, table in tables.items()} | {"prompts": len(self.prompts)}


def split(table: pa.Table, config: DataConfig, seed: int, *, gate: bool = False) -> Splits:
    """Deal out whole conversations at random, by the configured shares; a gate gets half of those for evaluation.

    A conversation is what its first turn says: prompts that continue the same dialogue stay together, since their
    later turns give away what the earlier ones are about.

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
    """The rows of a world, which makes them for each purpose on requests of its own.

    The judge and a gate have the requests that it keeps for training prompts, which a run takes from the pool. The SFT
    model learns from demonstrations, which are no part of the pool: they start the policy near one source.
    """
    config = world.config
    demonstrations = world.demonstrations(0, config.demonstrations)
    pool = world.pairs(0, config.pool_size)
    held_out = [("evaluation", 0, max(config.held_out_pairs, config.evaluation_prompts))]
    held_out += [("train", judge_pairs, judge_pairs + config.held_out_pairs)] if gate else []
    tables = [world.pairs(begin, end, purpose) for purpose, begin, end in held_out]
    # They have fewer requests than wordings of them, which intervals must know.
    known = [each.append_column("request", [world.request_ids(each["prompt"].to_pylist())]) for each in tables]
    return Splits(
        judge=world.pairs(0, judge_pairs, "train") if judge_pairs else pool.slice(0, 0),
        evaluation=known[0],
        gate=known[1] if gate else known[0].slice(0, 0),
        pool=pool,
        sft=demonstrations.rename_columns({"completion": "chosen"}),
        prompts=list(dict.fromkeys(pool["prompt"].to_pylist())),
    )


def opening(prompt: str) -> str:
    """The first turn of a dialogue: all before the assistant first speaks. A plain prompt is its own opening."""
    return prompt.split("\n\nAssistant:", 1)[0].strip()
