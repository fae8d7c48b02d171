"""What leaves a reward is a finite number, in float32 as in float64: trainers compute with the former."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from frft.errors import RewardError
from frft.reward.reward_file import REWARD_FILE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DIVERGED = "Its training has probably diverged; train it again with a lower learning rate."
"""What may be wrong where a model's own outputs are not finite."""
_SHOWN = 60
"""Characters of a text that an error shows."""


def absurd_scale(gain: float, bias: float) -> str:
    """What is wrong where a model's own outputs are finite, and its scores are not."""
    return (
        f"The model's own outputs are finite: its gain ({gain:g}) or bias ({bias:g}) is absurd. Correct them in "
        f"{REWARD_FILE}, or call `normalise`."
    )


def check_finite(
    scores_N: NDArray[np.float64], prompts: Sequence[str], completions: Sequence[str], advice: str
) -> NDArray[np.float64]:
    """Return the scores of N completions, if all of them are finite in float32.

    Args:
        scores_N: the scores, float64 (N,).
        prompts, completions: what was scored, N each; for the message.
        advice: what may be wrong and what to do, for the message: sentences.

    Raises:
        RewardError: one is not; names its prompt and completion.
    """
    import numpy as np

    # Written so that NaN is refused as well.
    unusable = np.flatnonzero(~(np.abs(scores_N) <= np.finfo(np.float32).max)).tolist()
    if unusable:
        index = unusable[0]
        # What matters of a prompt is its end: dialogues begin alike.
        prompt = prompts[index][-_SHOWN:] if len(prompts[index]) > _SHOWN else prompts[index]
        raise RewardError(
            f"The reward model's score of item {index} (counting from 0) is {scores_N[index]}, which is no finite "
            f"float32: {len(unusable)} of {len(scores_N)} are not. Its prompt ends {prompt!a}, its completion begins "
            f"{completions[index][:_SHOWN]!a}. {advice}"
        )
    return scores_N
