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

from frft.models import TruncationCount

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
