"""The actors, and how their pairs, samples and prompts are kept apart from the pool.

    data = pairs of no actor (the pool) + pairs that hold a completion of an actor (its own)
    prompts = training half + test half, drawn anew for every seed, the same for all actors of a seed
    train on: the pool's pairs, select by: the actor's samples (both on training prompts)
    test on: the actor's own pairs on test prompts; oracle: its own pairs on training prompts

No pair of any of the actors is in the pool of another, so the reward model of all pairs is one for all of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from frft.errors import DataError, UsageError, printable
from frft.fixed_actor.sides import ActorSides
from frft.strategies import SOURCES

if TYPE_CHECKING:
    import pyarrow as pa

FEWEST_PAIRS = 200
"""Fewest pairs that hold a completion of a source for it to be drawn as an actor. About half of them are on test
prompts; an accuracy over 100 pairs has a standard error of up to sqrt(.5 * .5 / 100), 5 percentage points."""
LARGEST_SHARE = 0.1
"""Largest share of all pairs, 0 to 1, that hold a completion of a source for it to be drawn as an actor: these pairs
are lost to the pool."""


@dataclass(frozen=True)
class Actor:
    """A fixed policy, given by its samples and by labelled pairs of it.

    Attributes:
        name: the name of the source, or of the file of `--samples`.
        own: labelled pairs that hold a completion of the actor.
        prompts: the prompt of each sample.
        completions: the actor's completion to each of `prompts`.
    """

    name: str
    own: pa.Table
    prompts: list[str]
    completions: list[str]


@dataclass(frozen=True)
class ActorPairs:
    """What one seed gives to one actor.

    Attributes:
        prompts: prompts of its samples, all of them training prompts.
        completions: the actor's completion to each.
        own: its labelled pairs on training prompts, which the oracle is trained on.
        own_sides: whether the actor is chosen or rejected in each of `own`.
        test: its labelled pairs on test prompts.
        test_sides: whether the actor is chosen or rejected in each of `test`.
    """

    prompts: list[str]
    completions: list[str]
    own: pa.Table
    own_sides: ActorSides
    test: pa.Table
    test_sides: ActorSides


@dataclass(frozen=True)
class PoolDivision:
    """One seed's division of the data: the pool on training prompts, and what each actor gets, by its name."""

    pool: pa.Table
    shares: dict[str, ActorPairs]


def draw_actors(pairs: pa.Table, count: int, opponents: int, seed: int = 0) -> list[str]:
    """Names of `count` sources, drawn at random from those that can be tested as actors.

    These have at least FEWEST_PAIRS pairs, at most LARGEST_SHARE of all, and enough opponents: against a single one, a
    reward model can learn who wrote what instead of what is better.

    Args:
        pairs: preference pairs with the columns `chosen_source` and `rejected_source`.
        count: actors wanted.
        opponents: fewest different sources that an actor must stand against.
        seed: seed of the random draw.

    Raises:
        DataError: the pairs do not name their sources, or too few sources qualify.
        UsageError: `count` is not positive.
    """
    if count < 1:
        raise UsageError(f"--actors {count}: ask for at least 1.")
    counts, against = _source_counts(pairs), _opponents(pairs)
    # In a small data set the share alone would leave no source.
    most = max(FEWEST_PAIRS, LARGEST_SHARE * pairs.num_rows)
    sized = sorted(name for name, n in counts.items() if FEWEST_PAIRS <= n <= most)
    fitting = [name for name in sized if len(against[name]) >= opponents]
    if len(fitting) < count:
        raise DataError(
            f"{len(sized)} of {len(counts)} sources have from {FEWEST_PAIRS} pairs to {LARGEST_SHARE:.0%} of all, and "
            f"{len(fitting)} of these have at least {opponents} opponents; {count} actors are wanted. Ask for fewer "
            "--actors or --opponents, or name the --actor."
        )
    return [fitting[n] for n in np.random.default_rng(seed).permutation(len(fitting))[:count]]


def named_actors(pairs: pa.Table, names: Sequence[str]) -> list[Actor]:
    """Sources as actors: each with the pairs that hold a completion of it, and with those completions as its samples.

    Raises:
        DataError: the pairs do not name their sources.
        UsageError: there is no source of that name, or a name is given twice.
    """
    counts = _source_counts(pairs)
    # A column of numbers is named by numbers written out: whoever asks for a source has only text.
    sources_2N = [
        np.array([None if source is None else str(source) for source in pairs[name].to_pylist()], dtype=object)
        for name in SOURCES
    ]
    actors = []
    for name in names:
        if name not in counts or names.count(name) > 1:
            known = ", ".join(printable(source) for source, _ in counts.most_common(10))
            problem = "is given twice" if name in counts else f"is no source; the most frequent are: {known}"
            raise UsageError(f"--actor {printable(name)}: {problem}.")
        chosen_N, rejected_N = (column == name for column in sources_2N)
        written: dict[tuple[str, str], None] = {}
        for side, own_N in (("chosen", chosen_N), ("rejected", rejected_N)):
            rows = pairs.select(["prompt", side]).take(np.flatnonzero(own_N)).to_pydict()
            written.update(dict.fromkeys(zip(rows["prompt"], rows[side], strict=True)))
        prompts, completions = (list(texts) for texts in zip(*sorted(written), strict=True))
        actors.append(Actor(name, pairs.take(np.flatnonzero(chosen_N | rejected_N)), prompts, completions))
    return actors


def written_actor(name: str, prompts: Sequence[str], completions: Sequence[str], labelled: pa.Table) -> Actor:
    """A policy given by its samples, and by labelled pairs that hold completions of it."""
    return Actor(name, labelled, list(prompts), list(completions))


def divide(pairs: pa.Table, actors: Sequence[Actor], seed: int) -> PoolDivision:
    """Divide the prompts of a seed: half of them to train on, the other half to test on.

    The pool gets the pairs on training prompts that no actor holds and in which no completion is an actor's sample.

    Raises:
        DataError: no pair is left for the pool, or an actor has no sample or pair on one of the halves, is never chosen
            or never rejected where it is tested, or has pairs that hold nothing it wrote.
    """
    everything = [pairs, *(actor.own for actor in actors)]
    prompts = sorted({prompt for table in everything for prompt in table["prompt"].to_pylist()})
    # Sorted before, so that the division depends on the prompts and the seed, and not on the order of rows.
    order = np.random.default_rng([seed, 0]).permutation(len(prompts))
    trained = {prompts[n] for n in order[: len(prompts) // 2]}
    texts = {pair for actor in actors for pair in zip(actor.prompts, actor.completions, strict=True)}
    held = {id_ for actor in actors for id_ in actor.own["id"].to_pylist()}
    columns = (pairs[name].to_pylist() for name in ("id", "prompt", "chosen", "rejected"))
    pool = pairs.take(
        _rows(
            prompt in trained and id_ not in held and (prompt, chosen) not in texts and (prompt, rejected) not in texts
            for id_, prompt, chosen, rejected in zip(*columns, strict=True)
        )
    )
    if not pool.num_rows:
        raise DataError(f"Without the pairs of the {len(actors)} actors none is left to train on. Name fewer actors.")
    return PoolDivision(pool, {actor.name: _share(actor, trained) for actor in actors})


def _share(actor: Actor, trained: set[str]) -> ActorPairs:
    sampled = _rows(prompt in trained for prompt in actor.prompts)
    is_trained = [prompt in trained for prompt in actor.own["prompt"].to_pylist()]
    own, test = (actor.own.take(_rows(each == wanted for each in is_trained)) for wanted in (True, False))
    counts = {"sample": len(sampled), "own pair": own.num_rows, "own test pair": test.num_rows}
    if missing := [what for what, count in counts.items() if not count]:
        raise DataError(
            f"The actor {printable(actor.name)} has no {' and no '.join(missing)} on its half of the prompts. It needs "
            "samples and labelled pairs on at least a few dozen prompts."
        )
    written = set(zip(actor.prompts, actor.completions, strict=True))
    own_sides, test_sides = (ActorSides.of(actor.name, pairs, written) for pairs in (own, test))
    # Balanced accuracy is a mean over both sides, and has no value where one is empty.
    for sign, what in ((1, "chosen"), (-1, "rejected")):
        if not (sign * test_sides.side_N >= 0).any():
            raise DataError(
                f"In none of its {test.num_rows} own test pairs is a completion of the actor {printable(actor.name)} "
                f"{what}, so that a constant guess is always right. Name another actor, or give more labelled pairs."
            )
    return ActorPairs(
        [actor.prompts[n] for n in sampled],
        [actor.completions[n] for n in sampled],
        own,
        own_sides,
        test,
        test_sides,
    )


def _rows(wanted: Any) -> Any:
    return np.flatnonzero(np.fromiter(wanted, dtype=bool))


def _source_counts(pairs: pa.Table) -> Counter[str]:
    """Pairs that hold a completion of each source."""
    if missing := [name for name in SOURCES if name not in pairs.column_names]:
        raise DataError(
            f"The pairs have no column {' and no column '.join(map(repr, missing))}, which would say who wrote what. "
            "Give the actor's completions by --samples, and labelled pairs of it by --test-pairs."
        )
    rows = zip(*(pairs[name].to_pylist() for name in SOURCES), strict=True)
    return Counter(str(source) for row in rows for source in dict.fromkeys(row) if source is not None)


def _opponents(pairs: pa.Table) -> defaultdict[str, set[str]]:
    """The different sources that each source stands against in some pair."""
    against: defaultdict[str, set[str]] = defaultdict(set)
    for chosen, rejected in zip(*(pairs[name].to_pylist() for name in SOURCES), strict=True):
        if chosen is not None and rejected is not None and chosen != rejected:
            against[str(chosen)].add(str(rejected))
            against[str(rejected)].add(str(chosen))
    return against
