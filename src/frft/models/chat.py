"""How a model reads a conversation: by a chat template, or as plain text.

The template goes with the tokenizer (`tokenizer.chat_template`), as everywhere else: a model's own, a file's, or none,
which means plain text. `use_chat_template` puts it there when a tokenizer is loaded, and it is saved with the model.

What a template writes becomes tokens as by the tokenizer's own `apply_chat_template(..., tokenize=True)`, with one
exception: contents are a stranger's, so the name of a special token in them ("<|im_end|>") is text, and not that token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frft.conversation import Message
from frft.errors import ChatTemplateError
from frft.models.special import SpecialTokens, special_ids
from frft.paths import did_you_mean

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

AUTO, PLAIN, NONE = "auto", "plain", "none"
"""Names of choices: the tokenizer's own template where it has one; HH-RLHF text; contents alone. Else: a file."""

_CONTENTS = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
_CONTENTS_ALONE = {
    (first, last): f"{first and f'{{{{ {first} }}}}'}{_CONTENTS}"
    f"{{% if not add_generation_prompt %}}{{{{ {last} }}}}{{% endif %}}"
    for first in ("", "bos_token", "cls_token")
    for last in ("eos_token", "sep_token")
}
"""The templates that `none` stands for, by the token before every text and the one after it."""


def contents_alone(tokenizer: PreTrainedTokenizerBase) -> str:
    """What is said, with nothing around it but what this tokenizer puts before every text (BOS, CLS), and EOS or SEP.

    Raises:
        ChatTemplateError: it puts something else before a text.
    """
    before = next(n for n, special in enumerate(_is_special(tokenizer)) if not special)
    leading = tokenizer("a")["input_ids"][:before]
    known = {"": [], "bos_token": [tokenizer.bos_token_id], "cls_token": [tokenizer.cls_token_id]}
    first = next((name for name, ids in known.items() if ids == leading), None)
    if first is None:
        raise ChatTemplateError(
            f"chat_template is none, but this tokenizer begins every text with {leading} (token ids), which is neither "
            "BOS nor CLS. Give a file with a template, or plain."
        )
    return _CONTENTS_ALONE[first, "sep_token" if tokenizer.eos_token_id is None else "eos_token"]


def _is_special(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    mask: list[int] = tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
    return mask


_TRIED = [{"role": "user", "content": "Why?"}]
_ANSWER = "So."


def use_chat_template(tokenizer: PreTrainedTokenizerBase, choice: str, name: str | Path) -> None:
    """Give a tokenizer the chat template that its model is to read conversations by.

    Args:
        tokenizer: of the model, with its own template, if it has one.
        choice: `auto`, `plain`, `none`, or the path of a file that holds a Jinja template.
        name: what the model is called, for errors.

    Raises:
        ChatTemplateError: the file cannot be read, or the template cannot be used.
    """
    if choice == PLAIN:
        tokenizer.chat_template = None
    elif choice == NONE:
        tokenizer.chat_template = contents_alone(tokenizer)
    elif choice != AUTO:
        tokenizer.chat_template = _read(choice)
    elif isinstance(tokenizer.chat_template, dict):
        # Several by name, of which the first use of all is "default".
        named = tokenizer.chat_template
        if "default" not in named:
            raise ChatTemplateError(
                f"{name} has the chat templates {', '.join(named)}, and none of them is called default. Write the one "
                "that is meant into a file, and give its path as chat_template."
            )
        tokenizer.chat_template = named["default"]
    if tokenizer.chat_template is not None:
        Template(tokenizer).check(name)


def template_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """What a saved model says of its template: "plain", "none", or "sha256:" and the digest of the template's text."""
    template = tokenizer.chat_template
    if template is None:
        return PLAIN
    if template in _CONTENTS_ALONE.values():
        return NONE
    return _digest(str(template))


def identified(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What results depend on of a model's settings: of a chat template's file the content, not the path.

    Args:
        settings: the `identity` of a section with the key `chat_template`.

    Raises:
        ChatTemplateError: the file cannot be read.
    """
    choice = settings["chat_template"]
    return {**settings, "chat_template": choice if choice in (AUTO, PLAIN, NONE) else _digest(_read(choice))}


def describe_template(tokenizer: PreTrainedTokenizerBase) -> str:
    """How this tokenizer's model reads conversations, in words."""
    digest = template_digest(tokenizer)
    if digest in (PLAIN, NONE):
        return {PLAIN: "plain HH-RLHF text", NONE: "contents alone, without a template"}[digest]
    described = f"the chat template {digest.removeprefix('sha256:')[:12]}"
    if "strftime_now" in str(tokenizer.chat_template):
        return f"{described}, which writes today's date (on another day it reads the same text otherwise)"
    return described


@dataclass(frozen=True)
class RenderedPair:
    """Token ids of a conversation: of its prompt, up to where the assistant begins, and of the whole.

    Attributes:
        prompt: what a policy is given to continue.
        whole: the whole conversation, as the tokenizer's own `apply_chat_template` tokenizes it.
        rest: what follows the prompt, tokenized as what a policy would have to write after it.
    """

    prompt: list[int]
    whole: list[int]
    rest: list[int]


class Template:
    """The chat template of a tokenizer, applied.

    Args:
        tokenizer: with a template.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self._special = SpecialTokens(tokenizer)

    def check(self, name: str | Path) -> None:
        """Try the template on a question and an answer.

        Raises:
            ChatTemplateError: it raises an error, or is not prefix-stable; says whose it is.
        """
        try:
            self.pairs([_TRIED], [_ANSWER])
        except ChatTemplateError as error:
            raise ChatTemplateError(f"The chat template of {name} cannot be used. {error}") from error

    def prompts(self, conversations: Sequence[Sequence[Message]]) -> list[list[int]]:
        """Token ids of prompts, with what the template puts before the assistant's words.

        Raises:
            ChatTemplateError: the template refuses one of them, or one is rendered already.
        """
        for messages in conversations:
            self._refuse_rendered(messages)
        return self._special.ids([self._text(messages, begins=True) for messages in conversations])

    def pairs(self, conversations: Sequence[Sequence[Message]], contents: Sequence[str]) -> list[RenderedPair]:
        """Token ids of prompts, and of the conversations with the assistant's answers.

        Raises:
            ChatTemplateError: the template refuses one, or does not begin the whole as it begins the prompt; or a
                prompt is rendered already.
        """
        for messages in conversations:
            self._refuse_rendered(messages)
        begun = [self._text(messages, begins=True) for messages in conversations]
        whole = [
            self._text([*messages, {"role": "assistant", "content": content}], begins=False)
            for messages, content in zip(conversations, contents, strict=True)
        ]
        for prompt_text, text in zip(begun, whole, strict=True):
            _check_prefix(prompt_text, text)
        found = []
        for prompt, ids, (prompt_text, text) in zip(
            self._special.ids(begun), self._special.ids(whole), zip(begun, whole, strict=True), strict=True
        ):
            rest = ids[len(prompt) :]
            if ids[: len(prompt)] != prompt:
                # A token straddles the boundary, which no policy can write after a prompt that ends there.
                (rest,) = self._special.ids([text[len(prompt_text) :]])
            found.append(RenderedPair(prompt, ids, rest))
        return found

    def answers(self, contents: Sequence[str]) -> list[list[int]]:
        """Token ids of the assistant's answers, without the conversations that they belong to.

        Raises:
            ChatTemplateError: the template refuses a conversation that the assistant begins.
        """
        return self._special.ids([self._answer(content) for content in contents])

    def check_answers(self) -> None:
        """Try the template on an answer without its conversation.

        Raises:
            ChatTemplateError: it refuses that, or leaves the answer out.
        """
        if _ANSWER not in self._answer(_ANSWER):
            raise ChatTemplateError("It leaves out what the assistant says before a user does.")

    def _answer(self, content: str) -> str:
        return self._text([{"role": "assistant", "content": content}], begins=False)

    @cached_property
    def end_of_turn(self) -> int | None:
        """The special token that the template puts after the assistant's words; None where it puts none."""
        whole = self._text([*_TRIED, {"role": "assistant", "content": _ANSWER}], begins=False)
        # Not what stands before the answer: templates of models that think put an empty thought there.
        (after,) = self._special.ids([whole.rpartition(_ANSWER)[2]])
        special = special_ids(self.tokenizer)
        return next((token for token in after if token in special), None)

    @cached_property
    def _around_prompt(self) -> tuple[str, str]:
        """What the template writes before a question, without BOS, and after it, for the assistant to begin."""
        before, _, after = self._text(_TRIED, begins=True).rpartition(_TRIED[0]["content"])
        return self._without_bos(before).strip(), after.strip()

    def _without_bos(self, text: str) -> str:
        return text.strip().removeprefix(str(self.tokenizer.bos_token or ""))

    def _refuse_rendered(self, messages: Sequence[Message]) -> None:
        """Refuse a question that is a whole prompt by this template: around it, it would be rendered a second time.

        Raises:
            ChatTemplateError: it begins and ends as the template does, special tokens among it.
        """
        before, after = self._around_prompt
        content = messages[-1]["content"].strip()
        if not after or not content.endswith(after) or not self._special.named_in(after):
            return
        if self._special.begins(content) or (before and content.startswith(before)):
            raise ChatTemplateError(
                f"The last message is already rendered by it ({_shown(content, 20)}... ends as a prompt does), and "
                "would be rendered twice. Give the text that the user wrote, or messages."
            )

    def _text(self, messages: Sequence[Message], *, begins: bool) -> str:
        guarded = [{**each, "content": self._special.as_text(each["content"])} for each in messages]
        try:
            text: str = self.tokenizer.apply_chat_template(guarded, tokenize=False, add_generation_prompt=begins)
        except Exception as error:  # a template is a stranger's program, which says in its own way what it refuses
            roles = ", ".join(each["role"] for each in messages)
            raise ChatTemplateError(
                f"It refuses a conversation of {roles}: {type(error).__name__}: {str(error)[:200]!a}."
            ) from error
        for place, each in enumerate(guarded, start=1):
            # What the assistant said before may lose its thoughts.
            if each["role"] != "assistant" and each["content"].strip() not in text:
                raise ChatTemplateError(
                    f"It leaves out message {place} of {len(guarded)} ({each['role']}), which begins "
                    f"{messages[place - 1]['content'][:40]!a}, or changes it. Give another template (chat_template: "
                    "plain, or a file), or leave out such conversations."
                )
        return text


def end_token_ids(model: PreTrainedModel | Any, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that end what a policy writes: EOS, the end of a turn by the template, and what the model lists.

    Args:
        model: the policy, whose `generation_config` may list several; one without is fine.
        tokenizer: its tokenizer.
    """
    ends = [tokenizer.eos_token_id]
    if tokenizer.chat_template is not None:
        ends.append(Template(tokenizer).end_of_turn)
    settings = getattr(model, "generation_config", None)
    listed = getattr(settings, "eos_token_id", None)
    special = special_ids(tokenizer)
    if getattr(settings, "_from_model_config", False):
        # Defaults of the model's configuration may mean padding to this tokenizer. What a file of its own lists is
        # meant: Qwen's models end at <|endoftext|>, too, which pads as well.
        special.discard(tokenizer.pad_token_id)
    # An ordinary word is no end, whoever lists it.
    ends += [token for token in (listed if isinstance(listed, list) else [listed]) if token in special]
    return list(dict.fromkeys(token for token in ends if token is not None))


def _read(choice: str) -> str:
    try:
        return Path(choice).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        near = "" if Path(choice).exists() else did_you_mean(choice)
        raise ChatTemplateError(
            f"chat_template is {choice!r}, which is no file that can be read ({error}).{near} "
            "Give auto, plain, none, or the path of a Jinja template."
        ) from error


def _digest(template: str) -> str:
    return f"sha256:{hashlib.sha256(template.encode()).hexdigest()}"


def _check_prefix(begun: str, whole: str) -> None:
    if whole.startswith(begun):
        return
    place = next((n for n, (a, b) in enumerate(zip(begun, whole, strict=False)) if a != b), len(whole))
    raise ChatTemplateError(
        f"It is not prefix-stable for the last turn: the prompt alone is rendered as ...{_shown(begun, place)}, and "
        f"with the answer as ...{_shown(whole, place)}. What a policy is given would not be what a reward model reads. "
        "Give another template (chat_template: plain, or a file)."
    )


def _shown(text: str, place: int) -> str:
    return ascii(text[max(0, place - 20) : place + 20])
