"""Whether the actor's completion is the chosen or the rejected one of a pair, balanced accuracy, and constant guesses.

An actor that wins nine pairs in ten gives an accuracy of .9 to whoever says "the actor", without reading a text. So
reward models are compared by their balanced accuracy, the mean of that on pairs in which the actor's completion is
chosen and that on those in which it is rejected: a guess that is the same for all pairs scores one half.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from frft.errors import DataError, printable
from frft.results.fixed_actor import SidedAccuracy
from frft.statistics.numbers import Floats
from frft.strategies import SOURCES

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class ActorSides:
    """Whether the actor's completion is chosen or rejected in each of N pairs.

    Attributes:
        side_N: 1 where its completion is chosen, -1 where it is rejected, 0 where both are its own.
        opponents: the source of the other completion in each pair; None where the pairs do not name their sources.
    """

    side_N: npt.NDArray[np.int64]
    opponents: list[str | None]

    @classmethod
    def of(cls, name: str, pairs: pa.Table, written: Collection[tuple[str, str]]) -> ActorSides:
        """The sides of N pairs, by the (prompt, completion) that the actor wrote.

        Raises:
            DataError: a pair holds nothing that the actor wrote.
        """
        sides = (
            zip(pairs["prompt"].to_pylist(), pairs[side].to_pylist(), strict=True) for side in ("chosen", "rejected")
        )
        chosen_N, rejected_N = (np.array([text in written for text in side], dtype=np.int64) for side in sides)
        if (foreign := np.flatnonzero(chosen_N + rejected_N == 0)).size:
            raise DataError(
                f"{foreign.size} of {pairs.num_rows} labelled pairs of the actor {printable(name)} hold none of its "
                f"samples (the first: {printable(pairs['id'][int(foreign[0])].as_py())}). Add what it wrote there to "
                "the samples, or leave these pairs out."
            )
        # Of both being the actor's, 1 - 1 = 0.
        side_N = chosen_N - rejected_N
        if any(column not in pairs.column_names for column in SOURCES):
            return cls(side_N, [None] * len(side_N))
        sources = (pairs[column].to_pylist() for column in SOURCES)
        return cls(side_N, [r if s > 0 else c for s, c, r in zip(side_N, *sources, strict=True)])

    @property
    def opponent_count(self) -> int | None:
        """Number of different sources that the actor stands against; None where the pairs do not name them."""
        named = {name for name, side in zip(self.opponents, self.side_N, strict=True) if side and name is not None}
        return len(named) or None


def accuracies(margins_N: Floats, sides: ActorSides) -> SidedAccuracy:
    """Accuracy on N pairs, from margins (N,), the chosen completion's score less the rejected one's: of all pairs, of
    those in which the actor is chosen, of those in which it is rejected, and the mean of these two.

    Pairs of two of the actor's completions count on both sides.
    """
    right_N = correct(margins_N)
    of_chosen, of_rejected = (float(right_N[sign * sides.side_N >= 0].mean()) for sign in (1, -1))
    return SidedAccuracy(
        balanced_accuracy=(of_chosen + of_rejected) / 2,
        accuracy=float(right_N.mean()),
        accuracy_chosen=of_chosen,
        accuracy_rejected=of_rejected,
    )


def correct(margins_N: Floats) -> Floats:
    """1 where the chosen completion scores higher, 0 where the rejected does, one half for ties."""
    right_N: Any = (np.sign(margins_N) + 1) / 2
    return right_N  # type: ignore[no-any-return]


def constant_margins(trained: ActorSides, tested: ActorSides, *, by_opponent: bool) -> Floats:
    """Margins of the guess that knows who wrote a completion and not what it says, (N,) of the pairs `tested`: the side
    that the actor is on in most of the pairs `trained`, of all or of those against the same opponent.

    The score is the log odds of winning, with one win and one loss added so that it stays finite. For an opponent that
    is in none of the pairs `trained`, it is that of all pairs.
    """
    overall = _log_odds(trained.side_N)
    of_opponent: dict[str | None, float] = {}
    if by_opponent:
        names_N = np.array(trained.opponents, dtype=object)
        of_opponent = {name: _log_odds(trained.side_N[names_N == name]) for name in set(trained.opponents)}
    odds_N: Floats = np.array([of_opponent.get(name, overall) for name in tested.opponents])
    return odds_N * tested.side_N


def _log_odds(side_N: npt.NDArray[np.int64]) -> float:
    return float(np.log((1 + (side_N > 0).sum()) / (1 + (side_N < 0).sum())))
