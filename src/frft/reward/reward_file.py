"""reward.json: what stands beside the weights of a saved reward model.

Format 3 is written for models that read completions without their prompts, and format 2 for all others: so a version of
frft that knows nothing of `reads` still reads the latter, and refuses the former instead of giving them prompts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from frft.errors import ArtifactError
from frft.models.chat import PLAIN
from frft.store import read_json, write_json

REWARD_FILE = "reward.json"
REWARD_FORMATS = (1, 2, 3)

Reads = Literal["conversation", "completion"]
CONVERSATION: Reads = "conversation"
COMPLETION: Reads = "completion"
SEEN = {CONVERSATION: "conversations", COMPLETION: "completions without their prompts"}
"""What a reward model reads, in words."""

LARGEST = 1e12
"""Largest gain and absolute bias, and the inverse of the smallest gain, that a file may hold. `normalise` makes gains
and biases below 1e6; beyond 1e12, float32 scores would overflow or all be alike."""
_REMEDY = "It was edited or damaged: save the model again, or correct the file."


@dataclass(frozen=True)
class RewardFile:
    """What `reward.json` says of a reward model; of one that frft did not save, what is known of it without.

    Attributes:
        gain, bias: what turns raw scores into scores.
        max_length: longest sequence in tokens; None: the model says it.
        chat_template: what it was trained with, as `template_digest` says it; None: its tokenizer says it.
        reads: whether it reads prompt and completion, or completions without their prompts.
    """

    gain: float = 1.0
    bias: float = 0.0
    max_length: int | None = None
    chat_template: str | None = None
    reads: Reads = CONVERSATION

    def write(self, file: Path) -> None:
        """Write the file."""
        values = {
            "format_version": 2,
            "gain": self.gain,
            "bias": self.bias,
            "max_length": self.max_length,
            "chat_template": self.chat_template,
        }
        write_json(file, values if self.reads == CONVERSATION else {**values, "format_version": 3, "reads": self.reads})


def read_reward_file(file: Path) -> RewardFile:
    """What a `reward.json` says.

    Raises:
        ArtifactError: the file is damaged, or of a newer version of frft.
    """
    values = read_json(file, _REMEDY)
    number = values.get("format_version") if isinstance(values, dict) else None
    if number not in REWARD_FORMATS:
        known = f"{', '.join(map(str, REWARD_FORMATS[:-1]))} or {REWARD_FORMATS[-1]}"
        raise ArtifactError(f"{file} is not of format version {known}, which this version of frft reads.")
    gain, bias, max_length = (values.get(name, math.nan) for name in ("gain", "bias", "max_length"))
    # A whole number of JSON may be too large for a float.
    numbers = all(type(value) in (int, float) and abs(value) <= LARGEST for value in (gain, bias))
    if not numbers or not gain >= 1 / LARGEST or type(max_length) is not int:
        raise ArtifactError(
            f"{file} must hold numbers gain ({1 / LARGEST:g} to {LARGEST:g}) and bias (at most {LARGEST:g} from 0), "
            f"and a whole number max_length; it has gain {gain!r:.40}, bias {bias!r:.40} and max_length "
            f"{max_length!r:.40}. {_REMEDY}"
        )
    # Before version 2, all reward models read plain text, whatever template their tokenizer carried.
    template = PLAIN if number == 1 else values.get("chat_template")
    if not isinstance(template, str):
        raise ArtifactError(f"{file} must say by which chat_template the model was trained.")
    # Before version 3, all of them read prompts.
    reads = values.get("reads") if number == 3 else CONVERSATION
    if reads not in (CONVERSATION, COMPLETION):
        raise ArtifactError(f"{file} must say what the model reads: {CONVERSATION} or {COMPLETION}.")
    return RewardFile(float(gain), float(bias), max_length, template, reads)
