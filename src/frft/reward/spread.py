"""Summary statistics of the scores that a reward model gives to a set of texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ScoreSpread:
    """Summary statistics of the scores of N texts.

    Attributes:
        texts: N.
        repeated: texts (prompt and completion) that are equal to an earlier one.
        ties: different texts that share their score with another different text: the reward model cannot tell them
            apart, because they are equal up to where they are cut, or because it has collapsed.
        mean, standard_deviation (divisor N), lowest, median, highest: of all N scores.
    """

    texts: int
    repeated: int
    ties: int
    mean: float
    standard_deviation: float
    lowest: float
    median: float
    highest: float

    def as_dict(self) -> dict[str, float]:
        """The figures as JSON-able values."""
        return asdict(self)


def spread_of_scores(prompts: Sequence[str], completions: Sequence[str], scores_N: NDArray[np.float64]) -> ScoreSpread:
    """Summary statistics of the scores of N >= 1 texts.

    Args:
        prompts, completions: the texts, N of each.
        scores_N: their scores, float64 (N,).
    """
    import numpy as np

    score_of = dict(zip(zip(prompts, completions, strict=True), scores_N.tolist(), strict=True))
    shared = Counter(score_of.values())
    return ScoreSpread(
        texts=len(scores_N),
        repeated=len(scores_N) - len(score_of),
        ties=sum(count for count in shared.values() if count > 1),
        mean=float(scores_N.mean()),
        standard_deviation=float(scores_N.std()),
        lowest=float(scores_N.min()),
        median=float(np.median(scores_N)),
        highest=float(scores_N.max()),
    )
