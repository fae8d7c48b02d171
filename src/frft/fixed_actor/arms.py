"""The arms: from where a reward model is trained, on which pairs, how many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from frft.config.sections import FixedActorConfig, Start
from frft.errors import UsageError
from frft.results.fixed_actor import HeadLine

REFERENCE = "random"
"""What a strategy is compared with, at the same size and from the same start."""
ALL = "all"
ORACLE = "oracle"
"""The actor's own labelled pairs on training prompts, which nobody has who asks for a selection."""
CONSTANT = "constant"
"""No reward model: the actor always wins or always loses, whichever is so in most of the oracle's pairs."""
CONSTANT_BY_OPPONENT = "constant by opponent"
"""The same, for each opponent."""


@dataclass(frozen=True)
class HeadArm:
    """One reward model of an actor and a seed.

    Attributes:
        start: a fresh model, or the one trained on all pairs.
        strategy: of the selection, or `all`, `oracle`, or a constant guess.
        size: pairs that the filter keeps; None: all that there are.
        placebo: labels were shuffled before the filter saw them.
    """

    start: Start
    strategy: str
    size: int | None = None
    placebo: bool = False

    @classmethod
    def of(cls, line: HeadLine) -> HeadArm:
        """The arm of a line of the results."""
        return cls(line.start, line.strategy, line.size, line.placebo)


BASE = HeadArm("scratch", ALL)
"""The reward model of all pairs: what `continue` starts from, and always there."""
GUESSES = (HeadArm("scratch", CONSTANT), HeadArm("scratch", CONSTANT_BY_OPPONENT))
"""What a reward model has to beat by reading, always there."""


def check_names(config: FixedActorConfig) -> None:
    """Refuse strategies that have the name of an arm that is no selection, whose lines could not be told from theirs.

    Raises:
        UsageError: there are such.
    """
    taken = {ALL, ORACLE, CONSTANT, CONSTANT_BY_OPPONENT}.intersection(config.strategies)
    if taken:
        raise UsageError(
            f"A strategy is named {', '.join(sorted(taken))}, as an arm of this benchmark is. Rename the strategy."
        )


def arms_of(config: FixedActorConfig) -> Iterator[HeadArm]:
    """All arms, the base and the guesses first."""
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
    if "scratch" in config.starts:
        for strategy in strategies:
            yield HeadArm("scratch", strategy, min(config.sizes), placebo=True)
