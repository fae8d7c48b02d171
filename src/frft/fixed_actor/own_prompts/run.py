"""Run the benchmark of actors on prompts of their own: a line in `results.jsonl` for every actor, fold and reward
model.

    for every seed and fold: divide the conversations; train on all pairs of the pool (the base)
        for every actor: rank the pool by every strategy; train each arm; test it on the pairs held out

A repeated command goes on where it was stopped. More seeds, strategies, shares, weights and starts can be asked for
later.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from frft.config.sections import FixedActorConfig, OwnPromptsConfig
from frft.errors import UsageError
from frft.fixed_actor.arms import ALL, REFERENCE, BenchArm, selected_test_size
from frft.fixed_actor.labels import LABELS, ActorLabels, check_label_count, label_arms
from frft.fixed_actor.models_of_all import ModelsOfAll
from frft.fixed_actor.own_prompts.division import (
    DividedFold,
    DomainActor,
    PairsOfDomains,
    divide_conversations,
)
from frft.fixed_actor.own_prompts.rankings import CLUSTERS, OWN_DOMAIN, PROMPT_DENSITY, PoolRankings
from frft.fixed_actor.run import RESULTS, keep_settings
from frft.fixed_actor.sides import correct
from frft.fixed_actor.trainers import CutPairs, RewardModelTrainer, TrainingBudget, make_head_trainer
from frft.models import seed_for
from frft.progress import SILENT, Progress, Task
from frft.results.fixed_actor import HeldOutPairs, OwnPromptsLine
from frft.reward import pairs_identity
from frft.selection import VectorCache
from frft.statistics.numbers import Floats, Indices
from frft.store import ChainedJournal, digest_of, locked

HELD_OUT = "held-out.jsonl"
CONTROLS = (REFERENCE, PROMPT_DENSITY, CLUSTERS, OWN_DOMAIN)
"""Always compared: as many random pairs, and what can be had without a text of the actor."""
PLACEBO_SHARE = 25
"""Per cent of the pool; the placebo is of the share that is nearest."""


@dataclass(frozen=True)
class SelectionArm(BenchArm):
    """One reward model of an actor and a fold.

    Attributes:
        share: per cent of the pool that is kept; None: all pairs.
    """

    share: float | None = None


def arms_on_own_prompts(config: FixedActorConfig, own: OwnPromptsConfig) -> Iterator[SelectionArm]:
    """All arms of a configuration, the reward model of all pairs first.

    Raises:
        UsageError: a strategy has the name of an arm that is none.
    """
    if taken := {ALL, CLUSTERS, OWN_DOMAIN}.intersection(config.strategies):
        raise UsageError(
            f"A strategy is named {', '.join(sorted(taken))}, as an arm of this benchmark is. Rename the strategy."
        )
    strategies = list(dict.fromkeys([REFERENCE, *config.strategies, *CONTROLS]))
    yield SelectionArm("scratch", ALL)
    for start in config.starts:
        if start == "continue":
            yield SelectionArm(start, ALL)
        for strategy in strategies:
            for share in sorted(set(own.shares)):
                yield SelectionArm(start, strategy, share)
    # From scratch alone, so that no accuracy of a placebo comes from a true label.
    share = min(own.shares, key=lambda each: (abs(each - PLACEBO_SHARE), each))
    if "scratch" in config.starts:
        for strategy in strategies:
            yield SelectionArm("scratch", strategy, share, placebo=True)
    for arm in label_arms(config, ALL):
        added = None if arm.strategy in (ALL, LABELS) else share
        yield SelectionArm(**asdict(arm), share=added)


def run_own_prompts(
    pairs: PairsOfDomains,
    domains: Sequence[str],
    config: FixedActorConfig,
    own: OwnPromptsConfig,
    vectors: VectorCache,
    out: Path,
    progress: Progress = SILENT,
) -> None:
    """Train and test every arm for every actor, seed and fold, leaving out what `out` holds already.

    Args:
        pairs: preference pairs of two or more domains.
        domains: those to take as an actor's, one after the other.
        config: the strategies, starts and seeds to compare, and how reward models are trained.
        own: the shares, folds and mixtures.
        vectors: sentence embeddings, for the selection and for frozen features.
        out: folder of the results.

    Raises:
        OutputError: the folder holds the results of other data or settings, or is in use.
        UsageError: there is no such domain, or a strategy has the name of an arm that is no selection.
        DataError: a domain is too small.
    """
    arms = list(arms_on_own_prompts(config, own))
    if len(set(domains)) < len(domains):
        raise UsageError("--actor-of names a domain twice. Name each once.")
    for name in domains:
        pairs.check_actor(name, own.folds)
    actors = [DomainActor(name, weight) for name in domains for weight in sorted(set(own.weights), reverse=True)]
    seeds = range(own.first_seed, own.first_seed + config.seeds)
    divided = {seed: divide_conversations(pairs, own.folds, seed) for seed in seeds}
    for seed, folds in divided.items():
        for number, fold in enumerate(folds):
            for actor in actors:
                count = len(actor.labelled_rows(pairs, fold.sampled, np.random.default_rng(0)))
                check_label_count(config, count, f"actor {actor.label}, in fold {number} of seed {seed},")
    with locked(out / ".lock"):
        data = {
            "folds": own.folds,
            "pairs": pairs_identity(pairs.table),
            "domains": digest_of(pairs.domains),
        }
        keep_settings(config, vectors, out, data)
        vectors.get(
            sorted({text.strip() for side in ("chosen", "rejected") for text in pairs.table[side].to_pylist()}),
            progress,
        )
        trainer = make_head_trainer(config, [pairs.table], vectors, out, progress)
        done = {_key(line) for line in read_own_prompts(out)}
        wanted = [
            (seed, fold, actor, arm) for seed in seeds for fold in range(own.folds) for actor in actors for arm in arms
        ]
        with progress.task("Reward models", total=len([key for key in wanted if key not in done])) as task:
            for seed, folds in divided.items():
                for number, fold in enumerate(folds):
                    _Fold(seed, number, fold, pairs, arms, config, trainer, vectors, out, done, task).run(actors)


def read_own_prompts(out: Path) -> list[OwnPromptsLine]:
    """All lines of `results.jsonl` in the folder `out`; none where there is no such file.

    Raises:
        ArtifactError: a line is damaged, or was written by another version.
    """
    path = out / RESULTS
    return [OwnPromptsLine.of(row, path) for row in ChainedJournal(path).rows]


def read_held_out(out: Path) -> dict[tuple[int, int], HeldOutPairs]:
    """What was tested in each seed and fold; raises as `read_own_prompts`."""
    path = out / HELD_OUT
    rows = [HeldOutPairs.of(row, path) for row in ChainedJournal(path).rows]
    return {(row.seed, row.fold): row for row in rows}


@dataclass(frozen=True)
class _Labels:
    """The pairs that an actor can have labelled, and which of them are of its domain."""

    pairs: ActorLabels
    own_N: npt.NDArray[np.bool_]


class _Fold:
    """The arms of one fold of a seed."""

    def __init__(
        self,
        seed: int,
        number: int,
        fold: DividedFold,
        pairs: PairsOfDomains,
        arms: Sequence[SelectionArm],
        config: FixedActorConfig,
        trainer: RewardModelTrainer,
        vectors: VectorCache,
        out: Path,
        done: set[tuple[int, int, DomainActor, SelectionArm]],
        task: Task,
    ) -> None:
        self._seed, self._number, self._fold, self._pairs, self._arms = seed, number, fold, pairs, arms
        self._trainer, self._vectors, self._out, self._done, self._task = trainer, vectors, out, done, task
        self._config, self._budget = config, TrainingBudget.of(config)
        self._pool, self._test = (pairs.table.take(rows) for rows in (fold.pool, fold.tested))
        self._pool_domains, self._test_domains = (
            [pairs.domains[row] for row in rows.tolist()] for rows in (fold.pool, fold.tested)
        )
        path = out / "models" / f"seed-{seed}-fold-{number}"
        self._of_all = ModelsOfAll(self._pool, trainer, self._budget, path, seed_for(seed, number))
        self._results = ChainedJournal(out / RESULTS)

    def run(self, actors: Sequence[DomainActor]) -> None:
        wanted = {
            actor: [arm for arm in self._arms if (self._seed, self._number, actor, arm) not in self._done]
            for actor in actors
        }
        if any(wanted.values()):
            self._keep_held_out()
        for actor, arms in wanted.items():
            if not arms:
                continue
            seed = seed_for(self._seed, self._number, actor.domain, f"{actor.weight:g}")
            samples = actor.samples(self._pairs, self._fold.sampled, np.random.default_rng([seed, 0]))
            shares = actor.shares(Counter(self._pairs.domains))
            rankings = PoolRankings(self._pool, self._pool_domains, shares, samples, self._vectors, seed)
            labels = self._labels(actor, seed)
            for arm in arms:
                line = self._line(actor, arm, rankings, labels, len(samples[0]), seed)
                self._results.append(line.as_dict())
                self._task.advance(1, f"seed {self._seed}, fold {self._number}, {actor.label}")

    def _labels(self, actor: DomainActor, seed: int) -> _Labels:
        rows = actor.labelled_rows(self._pairs, self._fold.sampled, np.random.default_rng([seed, 2]))
        table, most = self._pairs.table.take(rows), max(self._config.labels, default=0)
        found = ActorLabels(table, self._pool, self._trainer, lambda: self._of_all.get("scratch")[0], seed, most)
        return _Labels(found, np.array([self._pairs.domains[row] == actor.domain for row in rows]))

    def _keep_held_out(self) -> None:
        if (self._seed, self._number) not in read_held_out(self._out):
            row = HeldOutPairs(
                seed=self._seed,
                fold=self._number,
                domains=self._test_domains,
                conversations=self._pairs.conversation_N[self._fold.tested].tolist(),
            )
            ChainedJournal(self._out / HELD_OUT).append(row.as_dict())

    def _line(
        self,
        actor: DomainActor,
        arm: SelectionArm,
        rankings: PoolRankings,
        labels: _Labels,
        samples: int,
        seed: int,
    ) -> OwnPromptsLine:
        started = time.monotonic()
        selected_accuracy, own = None, np.array([name == actor.domain for name in self._pool_domains])
        own_labels = np.zeros(0, bool)
        if (label_arm := arm.label_arm) is not None:
            kept = self._kept(arm, rankings)
            own_labels = labels.own_N[labels.pairs.rows(label_arm)]
            trained = pa.concat_tables([self._pool.take(kept), labels.pairs.pairs(label_arm)])
            model, cuts = self._train(arm, trained, seed)
        elif arm.strategy == ALL:
            kept, (model, cuts) = np.arange(self._pool.num_rows), self._of_all.get(arm.start)
        else:
            kept = rankings.rows(arm.strategy, placebo=arm.placebo)
            size = self._size(arm)
            pool, selected_test = self._pool, None
            if arm.placebo:
                pool = rankings.shuffled(arm.strategy)
                # Of the best, some at random to test on, as `frft select` divides them.
                kept = np.random.default_rng([seed, 1]).permutation(kept[: size + selected_test_size(size)])
                selected_test = pool.take(kept[size:])
            kept = kept[:size]
            model, cuts = self._train(arm, pool.take(kept), seed)
            if selected_test is not None and selected_test.num_rows:
                selected_accuracy = float(correct(self._trainer.margins(model, selected_test)).mean())
        return OwnPromptsLine(
            seed=self._seed,
            fold=self._number,
            actor=actor.domain,
            weight=actor.weight,
            **asdict(arm),
            pairs=len(kept) + len(own_labels),
            samples=samples,
            own_share=float(np.concatenate([own[kept], own_labels]).mean()),
            right=outcomes(self._trainer.margins(model, self._test)),
            selected_accuracy=selected_accuracy,
            cut=cuts,
            seconds=round(time.monotonic() - started, 3),
        )

    def _size(self, arm: SelectionArm) -> int:
        return int(max(1, round((arm.share or 0) / 100 * self._pool.num_rows)))

    def _kept(self, arm: SelectionArm, rankings: PoolRankings) -> Indices:
        """Rows of the pool that labels are added to."""
        if arm.strategy == LABELS:
            return np.zeros(0, np.intp)
        return np.arange(self._pool.num_rows) if arm.strategy == ALL else rankings.rows(arm.strategy)[: self._size(arm)]

    def _train(self, arm: SelectionArm, pairs: pa.Table, seed: int) -> tuple[Any, CutPairs]:
        start = self._of_all.get("scratch")[0] if arm.start == "continue" else None
        steps = self._budget.continue_steps if arm.start == "continue" else self._budget.steps
        return self._trainer.train(pairs, start, steps, seed)


_SIGNS = {1.0: "1", 0.0: "0", 0.5: "t"}


def outcomes(margins_N: Floats) -> str:
    """One character for each of N pairs: 1 where the chosen completion scores higher, 0 where lower, t for ties."""
    return "".join(_SIGNS[each] for each in correct(margins_N).tolist())


def shares_right(text: str) -> Floats:
    """The inverse of `outcomes`: 1, 0, and one half for ties, float64 (N,)."""
    value = {sign: number for number, sign in _SIGNS.items()}
    return np.array([value[sign] for sign in text])


def _key(line: OwnPromptsLine) -> tuple[int, int, DomainActor, SelectionArm]:
    return line.seed, line.fold, DomainActor(line.actor, line.weight), SelectionArm.of(line)
