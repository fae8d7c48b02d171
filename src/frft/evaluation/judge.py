"""The protocol of judges, which say which of two completions of a prompt is better.

Win rates, measurements of a policy in training, and diagnoses take any of them:

| judge | also scores | counts |
|---|---|---|
| `GoldJudge` | yes | nothing |
| `RewardJudge` | yes | texts that were cut |
| `StoredAnnotations` | no | annotated pairs, and annotations without a verdict |
| `ChatJudge` | no | questions by their outcome, tokens, cost |

Commands and configurations name judges as `frft.evaluation.judge_names` describes.
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
        """The judge's name in reports: "the gold reward", "the reward model FOLDER"."""

    def prefer(self, prompts: Sequence[str], first: Sequence[str], second: Sequence[str]) -> Sequence[float | None]:
        """Preference for each `first` completion over its `second` one, from 0 (second better) to 1; 1/2 is a tie.

        None where there is no verdict: the judge failed, its answer could not be read, or none was stored. A missing
        verdict is never guessed.

        Args:
            prompts, first, second: the prompts and the two completions of N pairs.
        """

    def counts(self) -> Mapping[str, Any]:
        """Counts that a report gives beside the verdicts so far, JSON-able; `counts_in_words` lists the known names."""


@runtime_checkable
class ScoringJudge(Judge, Protocol):
    """A judge that also gives each single completion a score, higher for better."""

    def score(self, prompts: Sequence[str], completions: Sequence[str]) -> NDArray[np.float64]:
        """Scores of N completions, float64 (N,)."""


def counts_in_words(counts: Mapping[str, Any]) -> list[str]:
    """A judge's counts as sentences of a report, one a line; empty where there is nothing to report."""
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
        lines.append(f"{counts['without_verdict']} annotations have no verdict (null), and are not used.")
    return [line for line in lines if line is not None]
