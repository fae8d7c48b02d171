"""Judges: who says which of two completions of a prompt is better.

Whatever needs a judge (win rates, looks at a policy in training, diagnoses) takes any of them:

| judge | also scores | counts |
|---|---|---|
| `GoldJudge` | yes | nothing |
| `RewardJudge` | yes | texts that were cut |
| `StoredAnnotations` | no | annotated pairs, and annotations without a verdict |
| `ChatJudge` | no | questions by their outcome, tokens, cost |

How a command or a configuration names one is in `judge_names`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from frft.errors import check_type
from frft.models import TruncationCount
from frft.progress import SILENT, Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from frft.reward import RewardModel
    from frft.worlds import World


class Judge(Protocol):
    """Says which of two completions of a prompt is better. A class with these three members is a judge."""

    @property
    def description(self) -> str:
        """Who judges, in the words of a report: "the gold reward", "the reward model FOLDER"."""

    def prefer(self, prompts: Sequence[str], first: Sequence[str], second: Sequence[str]) -> Sequence[float | None]:
        """How much each `first` completion is preferred to the `second`: 1 wholly, 0 not at all, 1/2 a tie.

        None where there is no verdict: the judge failed, its answer could not be read, or nobody ever gave one. A
        missing verdict is never guessed.
        """

    def counts(self) -> Mapping[str, Any]:
        """What a report must say beside the verdicts so far, JSON-able; see `counts_in_words` for what is known."""


@runtime_checkable
class ScoringJudge(Judge, Protocol):
    """A judge that also gives every completion a score, higher for better. Not every judge can."""

    def score(self, prompts: Sequence[str], completions: Sequence[str]) -> NDArray[np.float64]:
        """Scores of N completions, float64 (N,)."""


class GoldJudge:
    """The gold reward of a world as judge: the higher reward wins, equal ones tie."""

    description = "the gold reward"

    def __init__(self, world: World) -> None:
        from frft.worlds import World

        check_type("world", world, World, "frft.World.load(Path(FOLDER)) loads one.")
        self.world = world

    def prefer(self, prompts: Sequence[str], first: Sequence[str], second: Sequence[str]) -> list[float]:
        """1, 0 or 1/2.

        Raises:
            RewardError: a prompt is none of a world's.
        """
        return _higher_wins(self.score(prompts, first) - self.score(prompts, second))

    def score(self, prompts: Sequence[str], completions: Sequence[str]) -> NDArray[np.float64]:
        """The gold rewards; errors as `prefer`."""
        return self.world.gold(prompts, completions)

    def counts(self) -> dict[str, Any]:
        """Nothing: every text is read whole."""
        return {}


class RewardJudge:
    """A reward model as judge: the higher score wins.

    Args:
        model: a reward model that the compared policies were *not* trained against.
        tie_margin: scores that differ by at most this are a tie.
        description: what a report calls it.
        progress: told of the texts scored.
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
        self.model, self.tie_margin, self.progress, self.description = model, tie_margin, progress, description

    def prefer(self, prompts: Sequence[str], first: Sequence[str], second: Sequence[str]) -> list[float]:
        """1, 0 or, within the margin, 1/2.

        Raises:
            RewardError: a score is not finite.
        """
        # In one call, so that equal completions get exactly equal scores.
        scores = self.score([*prompts, *prompts], [*first, *second])
        return _higher_wins(scores[: len(prompts)] - scores[len(prompts) :], self.tie_margin)

    def score(self, prompts: Sequence[str], completions: Sequence[str]) -> NDArray[np.float64]:
        """The model's scores; errors as `prefer`."""
        return self.model.score(prompts, completions, progress=self.progress)

    def counts(self) -> dict[str, Any]:
        """`truncated`: sequences scored, and how many of them lost text beyond `max_length` tokens."""
        return {"truncated": self.model.truncated.as_dict(), "max_length": self.model.max_length}


def counts_in_words(counts: Mapping[str, Any]) -> list[str]:
    """What a judge counted, as lines of a report; nothing where there is nothing to say."""
    lines: list[str | None] = []
    if questions := counts.get("questions"):
        said = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in questions.items())
        lines.append(f"Questions: {said}.")
    if counts.get("cost") is not None:
        lines.append(f"Cost: {counts['cost']:.4f}.")
    if cut := counts.get("truncated"):
        lines.append(TruncationCount.of(cut).sentence("texts that the judge read", counts["max_length"]))
    if "annotated_pairs" in counts:
        lines.append(f"The annotations hold verdicts on {counts['annotated_pairs']} different pairs.")
    if counts.get("without_verdict"):
        lines.append(f"{counts['without_verdict']} annotations have no verdict (null), and count as none.")
    return [line for line in lines if line is not None]


def _higher_wins(margins: NDArray[np.float64], tie_margin: float = 0.0) -> list[float]:
    return [0.5 if abs(margin) <= tie_margin else float(margin > 0) for margin in margins]
