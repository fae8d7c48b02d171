"""The arms of the benchmark: which model a reward model starts from, and which and how many pairs it is trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Self

from frft.config.sections import FixedActorConfig, PickName, Start
from frft.errors import UsageError
from frft.fixed_actor.labels import LABELS, LabelArm, label_arms
from frft.results.fixed_actor import HeadLine, OwnPromptsLine

NO_THRESHOLD = -1.0
"""The size decides, so that all strategies keep equally many; no threshold suits every embedder."""
SELECTED_TEST = 0.1
"""Size of the test selection of a placebo, as a share of its training selection: the authors have 200 for 2,000."""
REFERENCE = "random"
"""The strategy that all others are compared with, at the same size and from the same start."""
ALL = "all"
"""All pairs of the pool on training prompts, without a selection."""
ORACLE = "oracle"
"""The actor's own labelled pairs on training prompts, which nobody has who asks for a selection."""
CONSTANT = "constant"
"""No reward model: the actor always wins or always loses, whichever is so in most of the oracle's pairs."""
CONSTANT_BY_OPPONENT = "constant by opponent"
"""No reward model: against each opponent, the actor always wins or always loses, whichever is so in most of the
oracle's pairs against that opponent."""


@dataclass(frozen=True)
class BenchArm:
    """What the arms of both benchmarks have in common: with the actor on the pool's prompts, or on prompts of its own.

    Attributes:
        start: `scratch` for a fresh model, `continue` for the one trained on all pairs.
        strategy: name of the selection's strategy, of a control, `all`, or `labels` (no selection).
        placebo: whether labels were shuffled before the selection.
        labels, pick, label_accuracy: as those of `LabelArm`; None: no labels.
    """

    start: Start
    strategy: str
    placebo: bool = field(default=False, kw_only=True)
    labels: int | None = field(default=None, kw_only=True)
    pick: PickName | None = field(default=None, kw_only=True)
    label_accuracy: float | None = field(default=None, kw_only=True)

    @property
    def label_arm(self) -> LabelArm | None:
        """The labels of this arm; None: it has none."""
        if self.labels is None or self.pick is None or self.label_accuracy is None:
            return None
        return LabelArm(self.start, self.strategy, self.labels, self.pick, self.label_accuracy)

    @property
    def without_labels(self) -> Self:
        """What its accuracy is compared with: the same without labels, or the reward model of all pairs."""
        if self.strategy == LABELS:
            return type(self)("scratch", ALL)
        return replace(self, labels=None, pick=None, label_accuracy=None)

    @classmethod
    def of(cls, line: HeadLine | OwnPromptsLine) -> Self:
        """The arm that a line of `results.jsonl` is about."""
        return cls(**{each.name: getattr(line, each.name) for each in fields(cls)})


@dataclass(frozen=True)
class HeadArm(BenchArm):
    """One reward model of an actor and a seed.

    Attributes:
        size: pairs that the selection keeps; None: all pairs, without a selection.
    """

    size: int | None = None


BASE = HeadArm("scratch", ALL)
"""The reward model of all pairs, which `continue` starts from; it is part of every benchmark."""
GUESSES = (HeadArm("scratch", CONSTANT), HeadArm("scratch", CONSTANT_BY_OPPONENT))
"""Guesses that read no text, which a reward model has to beat; they are part of every benchmark."""


def selected_test_size(size: int) -> int:
    """Pairs that a placebo of this size is tested on, from its own selection."""
    return max(1, round(SELECTED_TEST * size))


def check_names(config: FixedActorConfig) -> None:
    """Refuse a strategy with the name of an arm that is no selection: their lines in the results would look alike.

    Raises:
        UsageError: a strategy has such a name.
    """
    taken = {ALL, ORACLE, CONSTANT, CONSTANT_BY_OPPONENT}.intersection(config.strategies)
    if taken:
        raise UsageError(
            f"A strategy is named {', '.join(sorted(taken))}, as an arm of this benchmark is. Rename the strategy."
        )


def arms_of(config: FixedActorConfig) -> Iterator[HeadArm]:
    """All arms of a configuration, the base and the guesses first."""
    strategies = list(dict.fromkeys([REFERENCE, *config.strategies]))
    yield BASE
    yield from GUESSES
    for start in config.starts:
        if start == "continue":
            yield HeadArm(start, ALL)
        for strategy in strategies:
            for size in sorted(set(config.sizes)):
                yield HeadArm(start, strategy, size)
        yield HeadArm(start, ORACLE)
    # From scratch alone, so that no accuracy of a placebo comes from a true label.
    if "scratch" in config.starts:
        for strategy in strategies:
            yield HeadArm("scratch", strategy, min(config.sizes), placebo=True)
    for arm in label_arms(config, ALL):
        added = None if arm.strategy in (ALL, LABELS) else min(config.sizes)
        yield HeadArm(**asdict(arm), size=added)
