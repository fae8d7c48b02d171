"""Prompts and completions as they stand in the pool: text, checked.

Messages become HH-RLHF text (`render_dialogue`), from which every model's own rendering starts (`frft.models.chat`),
and plain text stays as it is, letter for letter.

A completion is read right after its prompt, so plain text needs care: "Name a colour." + "Red." gives a
causal language model "Name a colour.Red.", with nothing to tell it that the question is over. HH-RLHF text
and chat templates mark that place.
"""

from __future__ import annotations

from frft.conversation import Message, render_dialogue
from frft.preferences.rejects import Reason, RowError, quoted


def render_prompt(prompt: str | list[Message]) -> str:
    """The prompt's text, checked.

    Raises:
        RowError: it is no usable text.
    """
    return check_text(prompt if isinstance(prompt, str) else render_dialogue(prompt), "prompt")


def render_completion(completion: str, prompt: str | list[Message], name: str, *, blank: bool = False) -> str:
    """A completion's text as it follows the prompt's, checked; a message's content gets the space before it.

    Raises:
        RowError: it is no usable text.
    """
    return check_text(completion if isinstance(prompt, str) else f" {completion}", name, blank=blank)


def check_text(text: str, name: str, *, blank: bool = False) -> str:
    """`text` itself, if it can be tokenized and stored.

    Raises:
        RowError: the text is blank or has a NUL character (unless `blank`: a policy writes both, and must be scored),
            or has half a surrogate pair, which has no UTF-8.
    """
    if not blank and not text.strip():
        raise RowError(Reason.EMPTY_FIELD, f"{name!r} is blank")
    if "\0" in text and not blank:
        raise RowError(Reason.NUL_CHARACTER, f"{name!r} has one at character {text.index(chr(0)) + 1}")
    check_encodable(text, name)
    return text


def check_encodable(text: str, name: str) -> None:
    """Refuse text without a UTF-8 form.

    Raises:
        RowError: the text holds half of a surrogate pair.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RowError(Reason.LONE_SURROGATE, f"{quoted(name)} has one at character {error.start + 1}") from error
