"""How a row gives its prompt and the completions to it: one reader for pairs, samples, prompts and annotations.

A row's form is decided by that row alone. Its prompt is the first of these that it has:

| field | holds |
|---|---|
| prompt | text, or messages |
| conversations | messages |
| instruction (input, history) | text: instruction, line break, input |
| messages | messages, unless the completions are whole conversations themselves |
| question, query (history), input | text |
| none | what the completions share: whole message lists, HH-RLHF dialogues, or texts that begin alike |

Two of instruction, question, query and input, or one of them beside `context`, are a row that only its maker can
read: it is refused until `--prompt-key` says which. A system prompt beside any of them (`system`, `system_prompt`,
`system_message`) becomes the first message.

A completion is text, one message, or a list of messages, which may hold the prompt as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from frft.conversation import ASSISTANT_MARK, MARKS, Message, parse_dialogue, plain_text, question_text
from frft.preferences.dialogue import as_message, as_messages, check_prompt, split_completion
from frft.preferences.fields import RawFields, check_columns, field_of, has, is_blank, text_of
from frft.preferences.rejects import Reason, RowError, quoted

Prompt = str | list[Message]

SYSTEM_FIELDS = ("system", "system_prompt", "system_message")
"""Fields that hold a system prompt."""
QUESTION_FIELDS = ("instruction", "question", "query", "input")
"""Fields that hold a question as text. With `instruction`, `input` is the rest of it."""
PROMPT_LIKE = (*QUESTION_FIELDS, "prompt", "conversations", "conversation", "messages", "context", "problem", "history")
"""Fields by which a row shows that its prompt stands apart from its completions."""
LEAST_REPEATED = 20
"""Fewest characters of a prompt at the head of both completions that count as a repetition; fewer may be chance."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A prompt and the completions to it, before they are rendered.

    Attributes:
        prompt: text, or messages.
        completions: the completion of each field that was read: text as it follows a text prompt, or a message's
            content.
        used: names of the row's fields that went into prompt and completions.
        field: the field that gave the prompt; None: the prompt is what the completions share.
        messages: whether a completion was given as messages.
        repeated: whether the completions began with the whole prompt, which was taken off.
    """

    prompt: Prompt
    completions: tuple[str, ...]
    used: frozenset[str]
    field: str | None
    messages: bool = False
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class _Given:
    """A prompt from a field of its own: that field, the prompt, and all fields that went into it."""

    field: str
    value: Prompt
    used: frozenset[str]


def read_prompt(row: RawFields) -> Prompt:
    """The prompt of a row from which no completion is read.

    Raises:
        RowError: the row has no prompt, or none that can be used.
    """
    given = _given(row)
    if given is None:
        _refuse_without_prompt(row)
        check_columns(row, "prompt")
        raise RowError(Reason.EMPTY_FIELD, "'prompt' is null")
    prompt, _ = _with_system(row, given.value)
    if isinstance(prompt, list):
        check_prompt(prompt, given.field)
    return prompt


def read_answers(row: RawFields, names: Sequence[str], *, blank: bool = False) -> Answered:
    """The prompt of a row and the completions in the fields `names`.

    Args:
        row: the row.
        names: one field for each completion.
        blank: whether a completion may be blank.

    Raises:
        RowError: a part is missing or cannot be used.
    """
    given = _given(row)
    if given is not None and given.field == "messages" and all(_is_conversation(row.get(name)) for name in names):
        given = None  # UltraFeedback has the whole conversation a third time, as `messages`.
    if given is None:
        answered = _shared(row, names)
    elif isinstance(given.value, str):
        answered = _to_text(row, given, names, blank=blank)
    else:
        answered = _to_messages(row, given.value, given, names, blank=blank)
    prompt, used = _with_system(row, answered.prompt)
    completions = answered.completions
    if isinstance(prompt, list) and isinstance(answered.prompt, str):
        # Text that continues text may begin with a space, which no message does.
        completions = tuple(text.removeprefix(" ") for text in completions)
    return replace(answered, prompt=prompt, completions=completions, used=answered.used | used | set(names))


def _given(row: RawFields) -> _Given | None:
    """The prompt that a field of the row gives, in the order of the table above; None: there is no such field."""
    prompt = row.get("prompt")
    if prompt is not None and (not isinstance(prompt, str) or prompt.strip()):
        value = text_of(row, "prompt") if isinstance(prompt, str) else _list_of(prompt, "prompt")
        return _Given("prompt", value, frozenset(("prompt",)))
    if has(row, "conversations"):
        return _Given(
            "conversations", as_messages(row["conversations"], "conversations"), frozenset(("conversations",))
        )
    asked = [name for name in QUESTION_FIELDS if not is_blank(row.get(name))]
    if has(row, "instruction") and "input" in asked:
        asked.remove("input")
    beside = [name for name in ("context",) if asked and not is_blank(row.get(name))]
    if len(asked) + len(beside) > 1:
        names = " and ".join(quoted(name) for name in [*asked, *beside])
        raise RowError(
            Reason.AMBIGUOUS_PROMPT, f"{names} may each be the prompt or a part of it; name the column of the prompt"
        )
    if asked:
        return _question(row, asked[0])
    if isinstance(row.get("messages"), list):
        return _Given("messages", as_messages(row["messages"], "messages"), frozenset(("messages",)))
    return None


def _question(row: RawFields, name: str) -> _Given:
    question = text_of(row, name)
    if name == "instruction" and not is_blank(row.get("input")):
        question = f"{question}\n{text_of(row, 'input')}"
    companions = ("input", "history") if name == "instruction" else ("history",)
    used = frozenset((name, *companions))
    history = row.get("history") or []
    if not isinstance(history, list) or not all(isinstance(turn, list) and len(turn) == 2 for turn in history):
        raise RowError(Reason.WRONG_TYPE, "'history' is not a list of [question, answer]")
    if not history:
        # Marks of turns are looked for where dialogues are published as text (`prompt`, whole completions), not here.
        return _Given(name, question_text(question), used)
    turns = [
        {"role": role, "content": text}
        for turn in history
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]
    return _Given(name, as_messages([*turns, {"role": "user", "content": question}], "history"), used)


def _list_of(value: object, name: str) -> list[Message]:
    """A list of messages, or a single message without a list around it, as a list."""
    return [as_message(value, repr(name))] if isinstance(value, dict) else as_messages(value, name)


def _is_dialogue(text: str) -> bool:
    """Whether a completion is a whole HH-RLHF dialogue."""
    return text.startswith((MARKS["user"], MARKS["system"])) and MARKS["user"] in text and ASSISTANT_MARK in text


def _is_conversation(value: object) -> bool:
    """Whether a completion is a list of messages with more in it than the assistant's last one."""
    return isinstance(value, list) and len(value) > 1


def _to_text(row: RawFields, given: _Given, names: Sequence[str], *, blank: bool) -> Answered:
    """Completions to a text prompt. If one of them is messages, the prompt becomes messages, too."""
    prompt = given.value
    assert isinstance(prompt, str)
    values = {name: field_of(row, name) for name in names}
    if not any(isinstance(value, list | dict) for value in values.values()):
        texts = tuple(text_of(row, name, blank=blank) for name in names)
        answered = _without_repetition(Answered(prompt, texts, given.used, given.field))
        if len(texts) == 1 or not all(_is_dialogue(text) for text in answered.completions):
            return answered
        shared, *rest = _split_dialogues(*answered.completions)
        if prompt.strip() not in shared:
            raise RowError(Reason.PROMPT_NOT_IN_MESSAGES, f"no turn before the last holds {quoted(prompt)}")
        return replace(answered, prompt=shared, completions=tuple(rest))
    wholes = [as_messages(value, name) for name, value in values.items() if _is_conversation(value)]
    # Lists without a turn of the user's continue the prompt's text.
    question = wholes[0][:-1] if wholes else parse_dialogue(prompt)
    answered = _to_messages(row, question, given, names, blank=blank)
    turns = answered.prompt
    assert isinstance(turns, list)
    if wholes and all(turn["content"].strip() != plain_text(prompt).strip() for turn in turns):
        raise RowError(Reason.PROMPT_NOT_IN_MESSAGES, f"no message before the last is {quoted(prompt)}")
    return answered


def _to_messages(
    row: RawFields, prompt: list[Message], given: _Given, names: Sequence[str], *, blank: bool
) -> Answered:
    """Completions to a prompt of messages: a text is what the assistant says, a list may hold the prompt as well."""
    turns: list[list[Message]] = []
    texts = []
    for name in names:
        value = field_of(row, name)
        if isinstance(value, str):
            turns.append(prompt)
            texts.append(text_of(row, name, blank=blank))
            check_prompt(prompt, given.field)
        else:
            before, text = _split(prompt, _list_of(value, name), name)
            turns.append(before)
            texts.append(text)
    if any(each != turns[0] for each in turns):
        raise RowError(Reason.NO_SHARED_PROMPT, f"{_and(names)} differ in more than their last message")
    added = len(turns[0]) - len(prompt)
    if len(names) == 1 and (turns[0][added:] != prompt or any(turn["role"] != "system" for turn in turns[0][:added])):
        raise RowError(Reason.BAD_MESSAGE, f"{names[0]!r} has other messages than the assistant's last one")
    messages = any(not isinstance(row[name], str) for name in names)
    return Answered(turns[0], tuple(texts), given.used, given.field, messages=messages)


def _split(prompt: list[Message], messages: list[Message], name: str) -> tuple[list[Message], str]:
    """Prompt and last message of a completion that continues `prompt`, or holds it at its beginning or end."""
    before = messages[:-1]
    if before and before[0]["role"] != "assistant" and prompt and prompt[-1]["role"] != "assistant":
        # Two questions in a row are no dialogue: the list must be the whole one, maybe with a system turn before.
        if before[: len(prompt)] != prompt and before[-len(prompt) :] != prompt:
            raise RowError(Reason.PROMPT_NOT_IN_MESSAGES, f"{name!r} has other turns before its last message")
        return split_completion([], messages, name)
    return split_completion(prompt, messages, name)


def _shared(row: RawFields, names: Sequence[str]) -> Answered:
    """Completions that hold the prompt themselves: message lists, HH-RLHF dialogues, or texts that begin alike."""
    alone = len(names) == 1 and not isinstance(row.get(names[0]), list)
    check_columns(row, *(["prompt"] if alone and not _shown(row) else []), *names)
    values = {name: field_of(row, name) for name in names}
    if any(isinstance(value, list | dict) for value in values.values()):
        if any(isinstance(value, list) for value in values.values()):
            lists = {name: as_messages(value, name) for name, value in values.items()}
            split = [split_completion([], messages, name) for name, messages in lists.items()]
            if any(prompt != split[0][0] for prompt, _ in split):
                raise RowError(Reason.NO_SHARED_PROMPT, f"{_and(names)} differ in more than their last message")
            return Answered(split[0][0], tuple(text for _, text in split), frozenset(), None, messages=True)
        _refuse_without_prompt(row)
        raise RowError(Reason.NO_SHARED_PROMPT, f"{_and(names)} have nothing before the assistant's message")
    if alone:
        _refuse_without_prompt(row)
    one, other = (text_of(row, name) for name in names)
    if one.strip() == other.strip():
        raise RowError(Reason.CHOSEN_IS_REJECTED, "the two texts are the same")
    if ASSISTANT_MARK in one and ASSISTANT_MARK in other:
        prompt, *rest = _split_dialogues(one, other)
    else:
        _refuse_without_prompt(row)
        prompt, *rest = _split_texts(one, other, names)
    return _without_repetition(Answered(prompt, tuple(rest), frozenset(), None))


def _split_dialogues(one: str, other: str) -> tuple[str, str, str]:
    """What two HH-RLHF dialogues share up to the assistant's last turn, and the rest of each."""
    prompt, mark, _ = _shared_beginning(one, other).rpartition(ASSISTANT_MARK)
    if not prompt.strip():
        raise RowError(Reason.NO_SHARED_PROMPT, "chosen and rejected share no turn that ends in 'Assistant:'")
    prompt += mark
    one, other = one.removeprefix(prompt), other.removeprefix(prompt)
    if MARKS["user"] in one or MARKS["user"] in other:
        raise RowError(Reason.NO_SHARED_PROMPT, "chosen and rejected differ in more than their last turn")
    return prompt, one, other


def _split_texts(one: str, other: str, names: Sequence[str]) -> tuple[str, str, str]:
    shared = _shared_beginning(one, other)
    # TRL splits at the first character that differs, which may be inside a word.
    end = len(shared)
    while end and not shared[end - 1].isspace():
        end -= 1
    prompt = shared[:end].rstrip()
    if not prompt:
        raise RowError(Reason.NO_SHARED_PROMPT, f"{_and(names)} do not begin alike, and there is no 'prompt'")
    return prompt, one[len(prompt) :], other[len(prompt) :]


def _shared_beginning(one: str, other: str) -> str:
    """The longest text that both begin with."""
    # Bisection over its length: comparing slices is much faster than a loop over characters.
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return one[:low]


def _refuse_without_prompt(row: RawFields) -> None:
    """Refuse to guess the prompt of a row that seems to have one in a field of its own.

    Raises:
        RowError: the row has such a field.
    """
    found = _shown(row)
    if not found:
        return
    filled = [name for name in found if not is_blank(row[name])]
    if filled:
        names = _and(filled)
        raise RowError(Reason.MISSING_FIELD, f"'prompt' is missing; is it {names}? Then name that column")
    raise RowError(Reason.EMPTY_FIELD, f"{found[0]!r} is {'null' if row[found[0]] is None else 'blank'}")


def _shown(row: RawFields) -> list[str]:
    """Names of the row's fields that look like a prompt."""
    return [name for name in PROMPT_LIKE if name in row]


def _without_repetition(answered: Answered) -> Answered:
    """Take the prompt off the completions where all of them begin with the whole of it."""
    prompt, texts = answered.prompt, answered.completions
    # One completion alone may well repeat a question. What ends in the mark of the assistant's turn is no question.
    sure = isinstance(prompt, str) and prompt.endswith(ASSISTANT_MARK)
    if not isinstance(prompt, str) or not (sure or (len(texts) > 1 and len(prompt.strip()) >= LEAST_REPEATED)):
        return answered
    question = plain_text(prompt)
    while all(text.startswith(question) for text in texts):
        texts = tuple(text.removeprefix(question) for text in texts)
    return replace(answered, completions=texts, repeated=texts != answered.completions)


def _with_system(row: RawFields, prompt: Prompt) -> tuple[Prompt, frozenset[str]]:
    """The prompt with the row's system prompt at its head, and the names of the fields that held it."""
    used = frozenset(name for name in SYSTEM_FIELDS if name in row and is_blank(row[name]))
    # A number, say, is no prompt: it names the system that wrote the row, and stays a column.
    names = [name for name in SYSTEM_FIELDS if isinstance(row.get(name), str) and row[name].strip()]
    if not names:
        return prompt, used
    used |= set(names)
    system = text_of(row, names[0])
    if any(row[name].strip() != system.strip() for name in names):
        raise RowError(Reason.AMBIGUOUS_PROMPT, f"{_and(names)} are two system prompts")
    if isinstance(prompt, str):
        if prompt.lstrip().startswith(system.strip()):
            return prompt, used
        prompt = parse_dialogue(prompt)
    first = prompt[0]
    if first["role"] != "system":
        return [{"role": "system", "content": system}, *prompt], used
    if first["content"].strip() != system.strip():
        raise RowError(Reason.AMBIGUOUS_PROMPT, f"{names[0]!r} and the system turn of the prompt differ")
    return prompt, used


def _and(names: Sequence[str]) -> str:
    return " and ".join(names)
