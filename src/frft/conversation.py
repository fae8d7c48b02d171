"""Conversations as message lists and as text, and back without loss.

The text of a prompt is what files, tables and trainers pass around. It follows HH-RLHF: every turn is
"\\n\\nHuman: ..." or "\\n\\nAssistant: ...", and a prompt ends in "\\n\\nAssistant:", so that a completion (" ...",
with its leading space) continues it word for word. Any other text is one turn of the user.

`parse_dialogue` gives back the messages that `render_dialogue` was given, whatever they say: a mark that stands
inside a message ("\\n\\nHuman:" in a pasted transcript) is parted by an invisible guard, which `plain_text` takes
out again before a model, an embedder or a judge reads it.
"""

from __future__ import annotations

import re

Message = dict[str, str]
"""`{"role": "system" | "user" | "assistant", "content": text}`."""
ASSISTANT_MARK = "\n\nAssistant:"
MARKS = {"system": "\n\nSystem:", "user": "\n\nHuman:", "assistant": ASSISTANT_MARK}

GUARD = "\ufdd0"
"""Stands where text would be taken for the mark of a turn. Unicode keeps this character for use inside programs."""

_TURN = re.compile(r"(?:^\s*|\n\n)(System|Human|Assistant):")
_MARK_INSIDE = re.compile(r"\n\n(?=(?:System|Human|Assistant):)")
_GUARDED = re.compile(f"{GUARD}({GUARD}?)")
_ROLE_OF_MARK = {"System": "system", "Human": "user", "Assistant": "assistant"}


def render_dialogue(messages: list[Message]) -> str:
    """The messages of a prompt as HH-RLHF text, ending in "\\n\\nAssistant:"."""
    return "".join(f"{MARKS[message['role']]} {_guarded(message['content'])}" for message in messages) + ASSISTANT_MARK


def parse_dialogue(prompt: str) -> list[Message]:
    """The messages of a prompt's text: the inverse of `render_dialogue`.

    Text that does not begin with a mark and end in "\\n\\nAssistant:" is one message of the user, whatever
    is in it.
    """
    if not is_dialogue(prompt):
        return [{"role": "user", "content": plain_text(prompt)}]
    _, *turns = _TURN.split(prompt.removesuffix(ASSISTANT_MARK))
    return [
        {"role": _ROLE_OF_MARK[mark], "content": plain_text(content.removeprefix(" "))}
        for mark, content in zip(turns[::2], turns[1::2], strict=True)
    ]


def is_dialogue(prompt: str) -> bool:
    """Whether a prompt's text is a dialogue in HH-RLHF text; otherwise it is one turn of the user."""
    return prompt.endswith(ASSISTANT_MARK) and _TURN.match(prompt) is not None


def question_text(question: str) -> str:
    """The prompt's text that is one turn of the user's with this content, also where that looks like a dialogue."""
    text = question.replace(GUARD, GUARD * 2)
    return GUARD + text if is_dialogue(text) else text


def plain_text(prompt: str) -> str:
    """A prompt's text without guards: what a model that reads plain text, an embedder or a judge is shown."""
    return _GUARDED.sub(r"\1", prompt) if GUARD in prompt else prompt


def content_of(prompt: str, completion: str) -> str:
    """The content of the assistant's message that a completion to this prompt is."""
    return completion.removeprefix(" ") if is_dialogue(prompt) else completion


def continuation(prompt: str, content: str) -> str:
    """The completion to this prompt that has this content: the inverse of `content_of`."""
    return f" {content}" if is_dialogue(prompt) else content


def _guarded(content: str) -> str:
    """A message's content within a dialogue's text, with its own guards doubled and its marks parted."""
    return _MARK_INSIDE.sub(f"\n\n{GUARD}", content.replace(GUARD, GUARD * 2))


def opening(prompt: str) -> str:
    """What is said before the assistant first speaks, as HH-RLHF text, but for a system prompt.

    Many conversations share a system prompt, which the same question may stand without; and the same question may be
    text in one row and messages in another.
    """
    if not is_dialogue(prompt):
        return f"Human: {plain_text(prompt).split(ASSISTANT_MARK, 1)[0].strip().removeprefix('Human:').lstrip()}"
    if prompt.lstrip().startswith("System:"):
        asked = (turn["content"] for turn in parse_dialogue(prompt) if turn["role"] == "user")
        return f"Human: {next(asked, '')}".strip()
    return prompt.split(ASSISTANT_MARK, 1)[0].strip()
