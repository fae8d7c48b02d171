"""Prompts and completions as the text that a language model reads.

By default dialogues become HH-RLHF text (`render_dialogue`) and plain text stays as it is, letter for letter.

A completion is read right after its prompt, so plain text needs care: "Name a colour." + "Red." gives a
causal language model "Name a colour.Red.", with nothing to tell it that the question is over. HH-RLHF text
and chat templates mark that place. Where prompts are bare instructions, give a `render` (a chat template, or
`render_dialogue`): every prompt is then turned into messages first, and rendered from them.
"""

from __future__ import annotations

from frft.preferences.dialogue import Message, Render, parse_dialogue, render_dialogue
from frft.preferences.rejects import Reason, RowError, quoted


def render_prompt(prompt: str | list[Message], render: Render | None) -> str:
    """The prompt's text, checked.

    Raises:
        RowError: the prompt cannot be rendered (a chat template may refuse an order of turns), or gives no usable text.
    """
    if render is None:
        text = prompt if isinstance(prompt, str) else render_dialogue(prompt)
    else:
        messages = parse_dialogue(prompt) if isinstance(prompt, str) else prompt
        try:
            text = render(messages)
        except Exception as error:  # a chat template is a stranger's code: what it raises concerns this row
            raise RowError(Reason.CANNOT_RENDER, f"{type(error).__name__}: {quoted(str(error))}") from error
    return check_text(text, "prompt")


def render_completion(
    completion: str, prompt: str | list[Message], render: Render | None, name: str, *, blank: bool = False
) -> str:
    """A completion's text as it follows the rendered prompt, checked.

    HH-RLHF's completions begin with a space. Message contents get one; with a `render`, text loses it.

    Raises:
        RowError: the completion is no usable text.
    """
    if render is None:
        text = completion if isinstance(prompt, str) else f" {completion}"
    else:
        text = completion.removeprefix(" ") if isinstance(prompt, str) else completion
    return check_text(text, name, blank=blank)


def check_text(text: str, name: str, *, blank: bool = False) -> str:
    """`text` itself, if it can be tokenized and stored.

    Raises:
        RowError: the text is blank (unless `blank`), has a NUL character, or half a surrogate pair, which has no UTF-8.
    """
    if not blank and not text.strip():
        raise RowError(Reason.EMPTY_FIELD, f"{name!r} is blank")
    if "\0" in text:
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
