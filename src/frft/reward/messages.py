"""Convert prompts and completions, as trainers pass them, to the texts that pools and reward models work with.

Text stays as it is. Message lists become text as those of a pool do (`frft.preferences.rendering`); from it, a reward
model's own chat template makes what it reads. Unlike in a pool, empty completions and NUL characters are accepted: a
policy may well write them, and they must get a score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from frft.errors import RewardError
from frft.preferences.dialogue import as_messages, check_prompt, split_completion
from frft.preferences.rejects import Reason, RowError
from frft.preferences.rendering import render_prompt

Conversation = Sequence[dict[str, Any]]
"""Messages `{"role", "content"}`."""


def as_texts(
    prompts: Sequence[str | Conversation],
    completions: Sequence[str | Conversation],
) -> tuple[list[str], list[str]]:
    """N prompts and completions as text.

    Args:
        prompts: N prompts, each a text or a list of messages.
        completions: N completions: a text where the prompt is one, and the assistant's message in a list where the
            prompt is a list of messages.

    Raises:
        RewardError: the numbers differ, or a prompt or completion has another form; the message says which.
    """
    if len(prompts) != len(completions):
        raise RewardError(f"{len(prompts)} prompts but {len(completions)} completions; there must be one each.")
    texts = []
    for index, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
        try:
            texts.append(_as_text(prompt, completion))
        except RowError as error:
            raise RewardError(
                f"Prompt and completion {index} of {len(prompts)} (counting from 0) cannot be scored: {error}. "
                "Give text for both, or for both lists of messages with a role and a text as content."
            ) from error
    return [prompt for prompt, _ in texts], [completion for _, completion in texts]


def _as_text(prompt: Any, completion: Any) -> tuple[str, str]:
    if isinstance(prompt, str) and isinstance(completion, str):
        return prompt, completion
    messages = as_messages(prompt, "prompt")
    check_prompt(messages, "prompt")
    before, text = split_completion(messages, as_messages(completion, "completion"), "completion")
    if before != messages:
        raise RowError(Reason.BAD_MESSAGE, "'completion' has other messages than the assistant's last one")
    # As in the pool, where the completions of dialogues begin with a space.
    return render_prompt(messages), f" {text}"
