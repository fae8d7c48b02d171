"""Messages as published data spell them, and conversations taken apart into a prompt and its completion."""

from __future__ import annotations

from typing import Any

from frft.conversation import Message
from frft.preferences.rejects import Reason, RowError, quoted

DIALOGUE_ROLES = {"system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant"}
"""Names of roles in published data (ShareGPT says human and gpt) -> the three that a prompt is made of."""

THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking")
"""Fields of messages in which some templates look for what the assistant thought before it spoke."""


def as_messages(value: Any, field: str) -> list[Message]:
    """Messages in either published spelling, `{role, content}` or ShareGPT's `{from, value}`, in the first.

    Raises:
        RowError: the value is no list, the list is empty, or a message lacks its role or text or has an unknown role.
    """
    if not isinstance(value, list):
        raise RowError(Reason.WRONG_TYPE, f"{field!r} is {type(value).__name__}, not a list of messages")
    if not value:
        raise RowError(Reason.EMPTY_MESSAGES, f"{field!r} has no messages")
    return [as_message(message, f"message {place} of {field!r}") for place, message in enumerate(value, start=1)]


def as_message(value: Any, what: str) -> Message:
    """One message in either published spelling, as `{role, content}`; `what` names it in errors.

    Raises:
        RowError: the message lacks its role or text, calls a tool, has a thought beside its text, or an unknown role.
    """
    if not isinstance(value, dict):
        raise RowError(Reason.BAD_MESSAGE, f"{what} is {type(value).__name__}, not an object")
    role = value["role"] if value.get("role") is not None else value.get("from")
    content = _content(value["content"] if value.get("content") is not None else value.get("value"), what)
    if value.get("tool_calls") or value.get("function_call"):
        raise RowError(Reason.BAD_MESSAGE, f"{what} calls a tool; only text can be read")
    thought = next((name for name in THOUGHT_FIELDS if value.get(name)), None)
    if thought is not None:
        raise RowError(
            Reason.BAD_MESSAGE,
            f"{what} has a thought in {thought!r} beside its content; write it into the content, as the model does "
            "(<think>...</think>), or leave it out",
        )
    if not isinstance(role, str) or role not in DIALOGUE_ROLES:
        raise RowError(Reason.BAD_MESSAGE, f"{what} has role {quoted(role)}; known are {', '.join(DIALOGUE_ROLES)}")
    if not isinstance(content, str):
        raise RowError(Reason.BAD_MESSAGE, f"{what} has {type(content).__name__} as its content, not text")
    return {"role": DIALOGUE_ROLES[role], "content": content}


def _content(content: Any, what: str) -> Any:
    """A message's content; a list of text parts (OpenAI's form) becomes one text."""
    if not isinstance(content, list):
        return content
    texts = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else type(part).__name__
        text = part if isinstance(part, str) else None
        if kind == "text":
            # LLaMA-Factory calls the text of a part `value`.
            text = part["text"] if part.get("text") is not None else part.get("value")
        if not isinstance(text, str):
            raise RowError(Reason.BAD_MESSAGE, f"{what} has a part of type {quoted(kind)}; only text can be read")
        texts.append(text)
    return "".join(texts)


def split_completion(prompt: list[Message], messages: list[Message], field: str) -> tuple[list[Message], str]:
    """Split a conversation before its final message, the assistant's.

    Args:
        prompt: messages that come before `messages`, unless `messages` begins with them.
        messages: a completion, or a whole conversation.
        field: the field that `messages` came from, for errors.

    Returns:
        The messages of the prompt, and the text of the final message.

    Raises:
        RowError: the final message is not the assistant's, nothing stands before it, or the one before it is the
            assistant's, too.
    """
    whole = messages if messages[: len(prompt)] == prompt else [*prompt, *messages]
    if whole[-1]["role"] != "assistant":
        raise RowError(Reason.NOT_FROM_ASSISTANT, f"{field!r} ends with a message from the {whole[-1]['role']}")
    check_prompt(whole[:-1], field)
    return whole[:-1], whole[-1]["content"]


def check_prompt(messages: list[Message], field: str) -> None:
    """Refuse messages that the assistant cannot answer.

    Raises:
        RowError: there are no messages, all are blank, or the last is the assistant's.
    """
    if not messages:
        raise RowError(Reason.NO_SHARED_PROMPT, f"{field!r} has nothing before the assistant's message")
    if messages[-1]["role"] == "assistant":
        raise RowError(Reason.PROMPT_FROM_ASSISTANT, f"the message before the completion in {field!r} is no question")
    if not any(message["content"].strip() for message in messages):
        raise RowError(Reason.EMPTY_FIELD, f"all messages of the prompt in {field!r} are blank")
