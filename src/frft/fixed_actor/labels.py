"""Labels of the actor's own pairs: what they add to the pool, and to what was learned from it.

    alone, from scratch      K labels and nothing else
    alone, continued         K labels, starting from the reward model of all pairs of the pool
    with all                 all pairs of the pool and K labels, from scratch
    with a selection         the pairs that a strategy keeps and K labels, from scratch

The pairs labelled are of those that the actor has beside the ones it is tested on, drawn at random or chosen by a rule
of `frft label pick`; of two numbers of labels the larger holds the smaller. A label is exchanged with probability
1 - accuracy, independently of all else; what is exchanged at one accuracy is also exchanged at every lower one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from frft.config.sections import FixedActorConfig, PickConfig, PickName, Start
from frft.errors import UsageError
from frft.fixed_actor.cells import estimate_cell
from frft.fixed_actor.linear import LinearReward, LinearTrainer
from frft.labels.choosing import CandidateEvidence, choose_pairs
from frft.selection import with_exchanged_labels
from frft.statistics import Estimate
from frft.statistics.numbers import Indices

if TYPE_CHECKING:
    import pyarrow as pa

LABELS = "labels"
"""Name of the arms that are trained on labels alone."""
LABEL_COLUMNS = ("start", "added to", "by", "right", "labels", "accuracy", "gained", "per 100", "less random labels")
"""Columns of a table of arms with labels."""
LABELS_IN_WORDS = (
    "Labels of the actor's own pairs: alone (–), on top of the reward model of all pairs (continue), or together with "
    "what they are added to. Right: probability that a label is right. Gained: less the same without labels; of labels "
    "alone, less all pairs. Per 100: the same for each hundred labels."
)
"""What stands above such a table."""


@dataclass(frozen=True)
class LabelArm:
    """Labels of one reward model.

    Attributes:
        start: `scratch` for a fresh model, `continue` for the one trained on all pairs.
        strategy: what the labels are added to: a strategy's selection, `all`, or nothing (`labels`).
        labels: number of labels.
        pick: rule by which their pairs are chosen.
        label_accuracy: probability that a label is right.
    """

    start: Start
    strategy: str
    labels: int
    pick: PickName
    label_accuracy: float


def label_cells(
    arm: LabelArm, accuracy: Estimate, gained: Estimate | None, over_random: Estimate | None
) -> Iterator[str]:
    """A row of LABEL_COLUMNS.

    Args:
        arm: the arm.
        accuracy: its accuracy, 0 to 1.
        gained: its accuracy less that without the labels.
        over_random: its accuracy less that with as many labels of random pairs.
    """
    yield from (arm.start, "–" if arm.strategy == LABELS else arm.strategy, arm.pick)
    yield from (f"{100 * arm.label_accuracy:g} %", f"{arm.labels:,}")
    yield from (estimate_cell(accuracy), estimate_cell(gained, "+"))
    yield "–" if gained is None else f"{100 * gained.mean / arm.labels * 100:+.1f}"
    yield estimate_cell(over_random, "+")


def label_arms(config: FixedActorConfig, all_pairs: str) -> Iterator[LabelArm]:
    """All arms of a configuration with labels.

    Args:
        config: the configuration.
        all_pairs: name of the arm without a selection.

    Raises:
        UsageError: a strategy is named as these arms are.
    """
    if LABELS in {*config.strategies, *config.label_strategies}:
        raise UsageError(f"A strategy is named {LABELS}, as an arm of this benchmark is. Rename the strategy.")
    for start in config.starts:
        added_to = [all_pairs, *dict.fromkeys(config.label_strategies)] if start == "scratch" else []
        for strategy in (LABELS, *added_to):
            for pick in dict.fromkeys(config.label_picks):
                for accuracy in sorted(set(config.label_accuracies), reverse=True):
                    for count in sorted(set(config.labels)):
                        yield LabelArm(start, strategy, count, pick, accuracy)


def check_label_count(config: FixedActorConfig, available: int, where: str) -> None:
    """Refuse more labels than an actor has pairs to label.

    Raises:
        UsageError: there are fewer pairs.
    """
    if config.labels and max(config.labels) > available:
        raise UsageError(
            f"--labels {max(config.labels)}: {where} has {available} pairs that can be labelled beside those that are "
            "tested. Ask for fewer."
        )


class ActorLabels:
    """The labelled pairs of one actor and one division of the data.

    Args:
        own: its pairs that can be labelled, with their true labels, in random order.
        pool: the pairs that the reward model of all pairs was trained on.
        trainer: the trainer; rules other than random read the features of a linear one.
        of_all: the reward model of all pairs; not read by random.
        seed: seed of the labels' errors.
        most: largest number of labels.
    """

    def __init__(self, own: pa.Table, pool: pa.Table, trainer: Any, of_all: Any, seed: int, most: int) -> None:
        self._own, self._pool, self._trainer, self._of_all = own, pool, trainer, of_all
        self._seed, self._most = seed, most
        self._chosen: dict[PickName, Indices] = {}
        # One draw for all accuracies and rules, so that they differ in nothing else.
        self._draw_N = np.random.default_rng([seed, 3]).random(own.num_rows)

    def rows(self, arm: LabelArm) -> Indices:
        """Which of the actor's pairs are labelled in an arm, (K,)."""
        return self._order(arm.pick)[: arm.labels]

    def pairs(self, arm: LabelArm) -> pa.Table:
        """The pairs of an arm with the labels that it got, (K, ...)."""
        rows_K = self.rows(arm)
        return with_exchanged_labels(self._own.take(rows_K), self._draw_N[rows_K] < 1 - arm.label_accuracy)

    def _order(self, pick: PickName) -> Indices:
        if pick == "random":
            return np.arange(self._own.num_rows)
        if pick not in self._chosen:
            model, trainer = self._of_all(), self._trainer
            assert isinstance(trainer, LinearTrainer), "the configuration was checked"
            assert isinstance(model, LinearReward)
            own_ND, pool_MD = (trainer.differences(pairs) for pairs in (self._own, self._pool))
            evidence = CandidateEvidence(
                margins_KN=(own_ND @ model.weights_F)[None],
                differences_ND=own_ND,
                labelled_MD=pool_MD,
                labelled_margins_M=pool_MD @ model.weights_F,
            )
            prompts = self._own["prompt"].to_pylist()
            self._chosen[pick] = choose_pairs(PickConfig(pick=pick), evidence, prompts, self._most)
        return self._chosen[pick]
