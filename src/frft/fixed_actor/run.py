"""Run the benchmark: a line in `results.jsonl` for every actor, seed and arm, as soon as it is known.

    for every seed: divide the prompts; train on all pairs of the pool (the base)
        for every actor: rank the pool by every strategy; train each arm; test it on the actor's own pairs

A repeated command goes on where it was stopped. More seeds, strategies, sizes and starts can be asked for later; what
else would change what a line means is refused.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from frft import __version__
from frft.config.sections import FixedActorConfig, SelectionConfig
from frft.errors import ArtifactError, OutputError, UsageError
from frft.fixed_actor.actors import Actor, ActorPairs, PoolDivision, divide
from frft.fixed_actor.arms import (
    ALL,
    CONSTANT_BY_OPPONENT,
    GUESSES,
    NO_THRESHOLD,
    ORACLE,
    HeadArm,
    arms_of,
    check_names,
    selected_test_size,
)
from frft.fixed_actor.labels import LABELS, ActorLabels, check_label_count
from frft.fixed_actor.models_of_all import ModelsOfAll
from frft.fixed_actor.sides import accuracies, constant_margins, correct
from frft.fixed_actor.trainers import CutPairs, RewardModelTrainer, TrainingBudget, make_head_trainer
from frft.models import seed_for
from frft.progress import SILENT, Progress, Task
from frft.results.fixed_actor import HeadLine
from frft.reward import pairs_identity
from frft.selection import VectorCache, select
from frft.statistics.numbers import Floats
from frft.store import RESULTS_FORMAT, ChainedJournal, digest_of, format_of, locked, read_sealed, write_sealed
from frft.strategies import SOURCES, strategy_origin

RESULTS = "results.jsonl"
SETTINGS = "settings.json"
LATER = {"seeds", "strategies", "sizes", "starts", "labels", "label_picks", "label_accuracies", "label_strategies"}
"""Fields that say which lines there are, not what they mean."""
OWN_STRATEGIES = "own_strategies"
"""Key of `settings.json` that holds, for each strategy of another installed package, what its behaviour depends on."""
_NEW_FOLDER = "Restore it from a copy, or name a new folder."


def run_fixed_actor(
    pairs: pa.Table,
    actors: Sequence[Actor],
    config: FixedActorConfig,
    vectors: VectorCache,
    out: Path,
    progress: Progress = SILENT,
) -> None:
    """Train and test every arm for every actor and seed, leaving out what `out` holds already.

    Args:
        pairs: preference pairs as a pool's table; those of the actors are found and left out.
        actors: one or more.
        config: the strategies, sizes, starts and seeds to compare, and how reward models are trained.
        vectors: sentence embeddings, for the selection and for frozen features.
        out: folder of the results.

    Raises:
        OutputError: the folder holds the results of other data or settings, or is in use.
        UsageError: a size exceeds the pool, or a strategy has the name of an arm that is no selection.
        DataError: an actor has too few pairs or samples.
    """
    check_names(config)
    with locked(out / ".lock"):
        data = {
            "pairs": pairs_identity(pairs, *SOURCES),
            "actors": {
                actor.name: digest_of([pairs_identity(actor.own), actor.prompts, actor.completions]) for actor in actors
            },
        }
        keep_settings(config, vectors, out, data)
        divisions = {seed: divide(pairs, actors, seed) for seed in range(config.seeds)}
        for seed, division in divisions.items():
            # A placebo, at the smallest size, selects its test pairs beside those it is trained on.
            largest = max(*config.sizes, min(config.sizes) + selected_test_size(min(config.sizes)))
            if largest > division.pool.num_rows:
                raise UsageError(
                    f"--sizes asks for {largest} pairs (those to test the placebo on included), but on half "
                    f"of the prompts, without the actors' pairs, there are {division.pool.num_rows} (seed {seed}). "
                    "Ask for fewer."
                )
            for name, share in division.shares.items():
                check_label_count(config, share.own.num_rows, f"actor {name}, in seed {seed},")
        trainer = make_head_trainer(config, [pairs, *(actor.own for actor in actors)], vectors, out, progress)
        done = {_key(row) for row in read_results(out)}
        wanted = [(seed, actor.name, arm) for seed in divisions for actor in actors for arm in arms_of(config)]
        with progress.task("Reward models", total=len([key for key in wanted if key not in done])) as task:
            for seed, division in divisions.items():
                _Seed(seed, division, config, trainer, vectors, out, done, task).run([actor.name for actor in actors])


def read_results(out: Path) -> list[HeadLine]:
    """All lines of `results.jsonl` in the folder `out`; none where there is no such file.

    Raises:
        OutputError: a line was written by another version.
        ArtifactError: a line is damaged.
    """
    path = out / RESULTS
    rows = ChainedJournal(path).rows
    try:
        return [HeadLine.of(row, path) for row in rows]
    except ArtifactError as error:
        raise OutputError(f"{error} Another version of frft wrote it, or it was edited. Name a new folder.") from None


@dataclass(frozen=True)
class _Tested:
    """A tested arm: margins of the N test pairs, the number of pairs it was trained on, what was cut of these, and the
    accuracy on a placebo's test selection (None for other arms)."""

    margins_N: Floats
    pairs: int
    cuts: CutPairs
    selected_accuracy: float | None


class _Seed:
    """The arms of one seed; its reward models of all pairs are trained when they are first needed."""

    def __init__(
        self,
        seed: int,
        division: PoolDivision,
        config: FixedActorConfig,
        trainer: RewardModelTrainer,
        vectors: VectorCache,
        out: Path,
        done: set[tuple[int, str, HeadArm]],
        task: Task,
    ) -> None:
        self._seed, self._division, self._config, self._trainer = seed, division, config, trainer
        self._vectors, self._done, self._task = vectors, done, task
        self._budget = TrainingBudget.of(config)
        self._of_all = ModelsOfAll(division.pool, trainer, self._budget, out / "models" / f"seed-{seed}", seed)
        self._results = ChainedJournal(out / RESULTS)

    def run(self, actors: Sequence[str]) -> None:
        for name in actors:
            share = self._division.shares[name]
            ranked: dict[str, pa.Table] = {}
            labels = self._labels(name, share)
            for arm in arms_of(self._config):
                if (self._seed, name, arm) in self._done:
                    continue
                started = time.monotonic()
                tested = self._guess(arm, share) if arm in GUESSES else self._trained(arm, name, share, ranked, labels)
                line = HeadLine(
                    seed=self._seed,
                    actor=name,
                    **asdict(arm),
                    pairs=tested.pairs,
                    test_pairs=len(tested.margins_N),
                    opponents=share.test_sides.opponent_count,
                    **vars(accuracies(tested.margins_N, share.test_sides)),
                    # -log sigmoid(m) = log(1 + exp(-m)).
                    log_loss=float(np.logaddexp(0.0, -tested.margins_N).mean()),
                    selected_accuracy=tested.selected_accuracy,
                    cut=tested.cuts,
                    seconds=round(time.monotonic() - started, 3),
                )
                self._results.append(line.as_dict())
                self._task.advance(1, f"seed {self._seed}, {name}")

    def _guess(self, arm: HeadArm, share: ActorPairs) -> _Tested:
        by_opponent = arm.strategy == CONSTANT_BY_OPPONENT
        margins_N = constant_margins(share.own_sides, share.test_sides, by_opponent=by_opponent)
        return _Tested(margins_N, share.own.num_rows, {}, None)

    def _labels(self, name: str, share: ActorPairs) -> ActorLabels:
        seed = seed_for(self._seed, name, LABELS)
        own = share.own.take(np.random.default_rng([seed, 2]).permutation(share.own.num_rows))
        most = max(self._config.labels, default=0)
        pool = self._division.pool
        return ActorLabels(own, pool, self._trainer, lambda: self._of_all.get("scratch")[0], seed, most)

    def _trained(
        self, arm: HeadArm, name: str, share: ActorPairs, ranked: dict[str, pa.Table], labels: ActorLabels
    ) -> _Tested:
        selected_accuracy = None
        if arm.strategy == ALL and arm.label_arm is None:
            pairs, (model, cuts) = self._division.pool, self._of_all.get(arm.start)
        else:
            pairs, selected_test = self._pairs(arm, name, share, ranked)
            if arm.label_arm is not None:
                pairs = pa.concat_tables([pairs, labels.pairs(arm.label_arm)])
            start = self._of_all.get("scratch")[0] if arm.start == "continue" else None
            model, cuts = self._trainer.train(pairs, start, self._steps(arm), seed_for(self._seed, name))
            if selected_test is not None:
                selected_accuracy = float(correct(self._trainer.margins(model, selected_test)).mean())
        return _Tested(self._trainer.margins(model, share.test), pairs.num_rows, cuts, selected_accuracy)

    def _steps(self, arm: HeadArm) -> int:
        return self._budget.continue_steps if arm.start == "continue" else self._budget.steps

    def _pairs(
        self, arm: HeadArm, name: str, share: ActorPairs, ranked: dict[str, pa.Table]
    ) -> tuple[pa.Table, pa.Table | None]:
        """Pairs to train on; for a placebo, also those of its own selection to test on."""
        if arm.strategy == ORACLE:
            return share.own, None
        if arm.strategy in (ALL, LABELS):
            return self._division.pool[: None if arm.strategy == ALL else 0], None
        seed = seed_for(self._seed, name, arm.strategy)
        config = SelectionConfig.model_validate(
            {
                "strategy": arm.strategy,
                "threshold": NO_THRESHOLD,
                "match": self._config.match or "prompt",
                "size": arm.size if arm.placebo else max(self._config.sizes),
                "test_size": selected_test_size(arm.size) if arm.placebo and arm.size else 0,
                "shuffle_labels": arm.placebo,
            }
        )
        pool = self._division.pool
        if arm.placebo or arm.strategy not in ranked:
            selection = select(pool, share.prompts, share.completions, config, self._vectors, seed)
            if arm.placebo:
                return selection.pairs(pool, "train"), selection.pairs(pool, "test")
            # Best first, so a smaller selection is the beginning of the largest.
            ranked[arm.strategy] = selection.pairs(pool, "train")
        return ranked[arm.strategy][: arm.size], None


def keep_settings(config: FixedActorConfig, vectors: VectorCache, out: Path, data: Mapping[str, Any]) -> None:
    """Write the settings that decide what a line means, or compare them with those of the folder.

    Args:
        config: the strategies, sizes, starts and seeds to compare, and how reward models are trained.
        vectors: sentence embeddings.
        out: the folder.
        data: what identifies the data and their division, by name.

    Raises:
        OutputError: the folder holds results of other settings, data or versions.
        ArtifactError: the settings in the folder are damaged.
    """
    settings = {
        "format": RESULTS_FORMAT,
        **config.model_dump(mode="json", exclude=LATER),
        **asdict(TrainingBudget.of(config)),
        "frft": __version__,
        "embedder": vectors.embedder.digest,
        **data,
    }
    own = {name: origin for name in config.strategies if (origin := strategy_origin(name)) is not None}
    path = out / SETTINGS
    if not path.exists():
        if (out / RESULTS).exists():
            raise OutputError(
                f"{out} holds {RESULTS}, but no {SETTINGS} to say what the results were made with. Name a new folder."
            )
        write_sealed(path, settings | ({OWN_STRATEGIES: own} if own else {}))
        return
    found = read_sealed(path, _NEW_FOLDER)
    # Format 0 had the same fields.
    number = format_of(found, path)
    different = [name for name in settings if found.get(name) != settings[name] and (number or name != "format")]
    before = found.get(OWN_STRATEGIES, {})
    different += [f"strategy {name}" for name in own if name in before and before[name] != own[name]]
    if different:
        raise OutputError(
            f"{out} holds results that were made with another {', '.join(different)}. Only "
            f"{', '.join(sorted(LATER))} can be asked for later. Name a new folder."
        )
    if own.keys() - before.keys():
        write_sealed(path, found | {OWN_STRATEGIES: before | own})


def _key(line: HeadLine) -> tuple[int, str, HeadArm]:
    return line.seed, line.actor, HeadArm.of(line)
