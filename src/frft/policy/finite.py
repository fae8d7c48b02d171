"""Numbers of a rollout that are not finite: they end a training before a weight moves, and the prompt is named."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from frft.errors import ModelError, NoProbabilitiesError, TrainingError

if TYPE_CHECKING:
    from torch import Tensor

BAD_FIGURES = "Weights are as before this step. Look at the rewards: they may be near the largest float32."
"""What to do about figures of a rollout that are not finite."""
_SHOWN = 80
"""Characters of a text that an error shows."""


def check_of_tokens(
    looks: Mapping[str, Tensor], mask_BT: Tensor, prompts: Sequence[str], completions: Sequence[str]
) -> None:
    """Check what was computed of each response token.

    Args:
        looks: by whose they are ("log-probabilities of the reference"), values (B, T).
        mask_BT: true on response tokens; what stands elsewhere is not looked at.
        prompts, completions: the texts, B each, for the message.

    Raises:
        TrainingError: one is not finite; names prompt and completion.
    """
    for what, values_BT in looks.items():
        wrong_BT = ~values_BT.isfinite() & mask_BT.bool()
        if wrong_BT.any():
            row, token = wrong_BT.nonzero()[0].tolist()
            raise TrainingError(
                f"The {what} are not finite for {int(wrong_BT.any(-1).sum())} of {len(prompts)} completions: the first "
                f"is {float(values_BT[row, token])}, of token {token} of completion {row}. "
                f"{which_text(prompts[row], completions[row])} Weights are as before this step. Look at that model's "
                "weights; if they broke down in this training, lower its learning rate and start from a checkpoint."
            )


def check_metrics(metrics: Mapping[str, float], advice: str) -> None:
    """Check figures of a rollout.

    Args:
        metrics: the figures by their names.
        advice: what to do, a sentence.

    Raises:
        TrainingError: one is not finite, as where scores near the end of float32 were squared.
    """
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise TrainingError(f"{name} of a rollout is {value}. {advice}")


def which_text(prompt: str, completion: str) -> str:
    """A sentence that shows which text it is: of a prompt the end, since dialogues begin alike."""
    return f"Its prompt ends {prompt[-_SHOWN:]!a}, the completion begins {completion[:_SHOWN]!a}."


@contextmanager
def naming_prompts(prompts: Sequence[str]) -> Iterator[None]:
    """Within this block, in which completions of these prompts are sampled, an error names the first prompt.

    Raises:
        ModelError: the policy gives no probabilities.
    """
    try:
        yield
    except NoProbabilitiesError as error:
        first = f" The first of their prompts ends {prompts[error.rows[0]][-_SHOWN:]!a}." if error.rows else ""
        raise ModelError(f"{error}{first}") from error
