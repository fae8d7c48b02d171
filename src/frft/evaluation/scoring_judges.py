"""Judges that prefer the completion with the higher score: the gold reward of a world, and a reward model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from frft.errors import UsageError, check_type
from frft.progress import SILENT, Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from frft.reward import RewardModel
    from frft.worlds import World


class GoldJudge:
    """The gold reward of a world as judge: the higher reward wins, equal ones tie."""

    description = "the gold reward"

    def __init__(self, world: World) -> None:
        from frft.worlds import World

        check_type("world", world, World, "frft.World.load(Path(FOLDER)) loads one.")
        self.world = world

    def prefer(self, prompts: Sequence[str], first: Sequence[str], second: Sequence[str]) -> list[float]:
        """1 where the first completion has the higher gold reward, 0 where the second has, 1/2 where they are equal.

        Raises:
            RewardError: a prompt is not one of a world's.
        """
        return _higher_wins(self.score(prompts, first) - self.score(prompts, second))

    def score(self, prompts: Sequence[str], completions: Sequence[str]) -> NDArray[np.float64]:
        """Gold rewards of N completions, float64 (N,); errors as `prefer`."""
        return self.world.gold(prompts, completions)

    def counts(self) -> dict[str, Any]:
        """Empty: every text is read whole, so there is nothing to count."""
        return {}


class RewardJudge:
    """A reward model as judge: the higher score wins.

    Args:
        model: a reward model that the compared policies were *not* trained against.
        tie_margin: scores that differ by at most this are a tie; >= 0, in units of the normalised score.
        progress: receives the number of texts scored.
        description: what reports call this judge.

    Raises:
        UsageError: `model` is no reward model, or `tie_margin` is below 0 or not finite.
    """

    def __init__(
        self,
        model: RewardModel,
        tie_margin: float = 0.0,
        progress: Progress = SILENT,
        *,
        description: str = "a reward model",
    ) -> None:
        from frft.reward import RewardModel

        check_type("model", model, RewardModel, "frft.RewardModel.load(FOLDER, seed=0) loads one.")
        if not 0 <= tie_margin < math.inf:
            raise UsageError(f"tie_margin is {tie_margin}; it must be a number of at least 0.")
        self.model, self.tie_margin, self.progress, self.description = model, tie_margin, progress, description

    def prefer(self, prompts: Sequence[str], first: Sequence[str], second: Sequence[str]) -> list[float]:
        """1 where the first completion scores higher, 0 where the second does, 1/2 within `tie_margin`.

        Raises:
            RewardError: a score is not finite.
        """
        # In one call, so that equal completions get exactly equal scores.
        scores = self.score([*prompts, *prompts], [*first, *second])
        return _higher_wins(scores[: len(prompts)] - scores[len(prompts) :], self.tie_margin)

    def score(self, prompts: Sequence[str], completions: Sequence[str]) -> NDArray[np.float64]:
        """Normalised scores of N completions, float64 (N,); errors as `prefer`."""
        return self.model.score(prompts, completions, progress=self.progress)

    def counts(self) -> dict[str, Any]:
        """`truncated`: sequences scored, and how many of them were cut; `max_length`: to how many tokens."""
        return {"truncated": self.model.truncated.as_dict(), "max_length": self.model.max_length}


def _higher_wins(margins: NDArray[np.float64], tie_margin: float = 0.0) -> list[float]:
    return [0.5 if abs(margin) <= tie_margin else float(margin > 0) for margin in margins]
