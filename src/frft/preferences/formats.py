"""The published forms of preference data: raw row -> `Preference`, or the reason why it is none.

| format | fields of a row | prompt |
|---|---|---|
| trl | prompt, chosen, rejected: text | `prompt`, verbatim |
| trl-messages | prompt, chosen, rejected: message lists | the messages of `prompt` |
| trl-implicit | chosen, rejected: text | what both share, cut back to the end of a word |
| trl-implicit-messages | chosen, rejected: message lists | all messages but the last, which must be equal |
| hh-rlhf | chosen, rejected: dialogues | up to the last "\\n\\nAssistant:" of what both share |
| rm-static | prompt, response, chosen, rejected: text | `prompt`, verbatim; `response` is kept as a column |
| ultrafeedback | prompt: text; chosen, rejected: message lists | the messages; `prompt` must be among them |
| llama-factory | instruction, chosen, rejected (input, system, history) | instruction, line break, input |
| llama-factory-sharegpt | conversations, chosen, rejected (system) | the messages of `conversations` |
| nemo | context, completions: [{rank, completion}] | `context`: text or messages |

With column names of one's own (OpenRLHF's `prompt_key`, `chosen_key`, `rejected_key`) the first seven are
tried on the renamed columns. A file's format is the one that most of its first rows have; all its rows are
then read in it.

NeMo rows give one pair each, the best-ranked completion (lowest rank) against the worst; the first where
several share a rank. What is ranked in between is counted as unused.

LLaMA-Factory rows with `system` or `history` are dialogues; without, the prompt is plain text.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from frft.preferences.dialogue import (
    ASSISTANT_MARK,
    MARKS,
    Message,
    as_message,
    as_messages,
    split_completion,
)
from frft.preferences.rejects import Reason, RowError, quoted

SHOWN_KEYS = 10
"""Keys of a row that a message names."""

RawFields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Preference:
    """A pair before it is rendered.

    Attributes:
        prompt: text, or messages.
        chosen: the preferred completion; text as it follows a text prompt, or a message's content.
        rejected: the other.
        used: names of the row's fields that went into it; the others are columns of their own.
        unused_completions: completions of the row that are in no pair.
    """

    prompt: str | list[Message]
    chosen: str
    rejected: str
    used: frozenset[str]
    unused_completions: int = 0


@dataclass(frozen=True)
class Format:
    """One published form: its name, how to tell a row that has it, and how to read such a row."""

    name: str
    matches: Callable[[RawFields], bool]
    read: Callable[[RawFields], Preference]
    scored: bool = False


@dataclass(frozen=True)
class Keys:
    """Names of the columns that hold prompt, chosen and rejected, where they are unusual."""

    prompt: str | None = None
    chosen: str | None = None
    rejected: str | None = None

    def rename(self, row: RawFields) -> RawFields:
        """`row` with its columns under the usual names; columns in their way become `source_<name>`.

        Raises:
            RowError: a column that was named is missing.
        """
        wanted = {"prompt": self.prompt, "chosen": self.chosen, "rejected": self.rejected}
        moved = {theirs: ours for ours, theirs in wanted.items() if theirs is not None and theirs != ours}
        check_columns(row, *moved)
        for theirs in moved:
            field_of(row, theirs)
        renamed = {moved[name]: value for name, value in row.items() if name in moved}
        for name, value in row.items():
            if name not in moved:
                renamed[free_name(name, {*row, *renamed}) if name in renamed else name] = value
        return renamed

    def __bool__(self) -> bool:
        return any((self.prompt, self.chosen, self.rejected))


def free_name(name: str, taken: Iterable[str]) -> str:
    """`source_<name>`, prefixed again until it is not taken."""
    taken = set(taken)
    while name in taken:
        name = f"source_{name}"
    return name


def detect_format(rows: Iterable[RawFields], keys: Keys = Keys()) -> Format | None:
    """The format that most of `rows` have (the earlier row's where two are as frequent), or None."""
    found: Counter[str] = Counter()
    by_name = {}
    for row in rows:
        try:
            fitting = _format_of(keys.rename(row), renamed=bool(keys))
        except RowError:
            continue
        if fitting is not None:
            found[fitting.name] += 1
            by_name[fitting.name] = fitting
    return by_name[found.most_common(1)[0][0]] if found else None


def unknown_format(row: RawFields, keys: Keys) -> RowError:
    """The rejection of a row in a file whose format is not known."""
    try:
        keys.rename(row)
    except RowError as error:
        return error
    return RowError(
        Reason.UNKNOWN_FORMAT,
        f"found the keys {_keys(row)}; expected chosen + rejected (with or without prompt), "
        "instruction + chosen + rejected, conversations + chosen + rejected, or context + completions",
    )


def read_margin(row: RawFields, *, scored: bool) -> float | None:
    """How much better chosen is than rejected, where the row says so: `margin`, else the scores' difference.

    Raises:
        RowError: it is no finite number, or negative, which would contradict the label.
    """
    margin: float | None = None
    if row.get("margin") not in (None, ""):
        margin = finite_number(row["margin"], "margin", Reason.BAD_MARGIN)
    elif scored and row.get("score_chosen") is not None and row.get("score_rejected") is not None:
        scores = [finite_number(row[name], name, Reason.BAD_MARGIN) for name in ("score_chosen", "score_rejected")]
        margin = scores[0] - scores[1]
    if margin is not None and margin < 0:
        raise RowError(Reason.NEGATIVE_MARGIN, f"{margin:g} says that rejected is the better one")
    return margin


def field_of(row: RawFields, key: str) -> Any:
    """The value of a field that must be there.

    Raises:
        RowError: it is missing or null.
    """
    check_columns(row, key)
    if row[key] is None:
        raise RowError(Reason.EMPTY_FIELD, f"{key!r} is null")
    return row[key]


def check_columns(row: RawFields, *names: str) -> None:
    """See to it that a row has these fields, whatever is in them.

    Raises:
        RowError: one is missing; it names those that are there.
    """
    missing = [quoted(name) for name in names if name not in row]
    if missing:
        raise RowError(
            Reason.MISSING_FIELD,
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing; found the keys {_keys(row)}",
        )


def _keys(row: RawFields) -> str:
    return ", ".join(quoted(key) for key in list(row)[:SHOWN_KEYS]) or "(none)"


def text_of(row: RawFields, key: str, *, blank: bool = False) -> str:
    """The text of a field that must be there and, unless `blank`, not be blank.

    Raises:
        RowError: it is missing, null, no text, or blank.
    """
    value = field_of(row, key)
    if not isinstance(value, str):
        raise RowError(Reason.WRONG_TYPE, f"{key!r} is {type(value).__name__}, not text")
    if not blank and not value.strip():
        raise RowError(Reason.EMPTY_FIELD, f"{key!r} is blank")
    return value


def finite_number(value: Any, name: str, reason: Reason) -> float:
    """A number, or a text of one, as a finite float.

    Raises:
        RowError: it is neither, for this reason.
    """
    try:
        # CSV has only text; and a bool is no number, although Python says so.
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise RowError(reason, f"{name!r} is {quoted(value)}")
    return number


def _format_of(row: RawFields, *, renamed: bool) -> Format | None:
    return next((form for form in (_PAIRS if renamed else _ALL) if form.matches(row)), None)


def _has(*names: str) -> Callable[[RawFields], bool]:
    return lambda row: all(row.get(name) is not None for name in names)


def _is(key: str, kind: type) -> Callable[[RawFields], bool]:
    return lambda row: isinstance(row.get(key), kind)


def _all(*conditions: Callable[[RawFields], bool]) -> Callable[[RawFields], bool]:
    return lambda row: all(condition(row) for condition in conditions)


_PAIR = _has("chosen", "rejected")
_PROMPTED = _has("prompt", "chosen", "rejected")
_USED = frozenset(("prompt", "chosen", "rejected", "margin"))


def _has_turns(row: RawFields) -> bool:
    return all(isinstance(row[key], str) and ASSISTANT_MARK in row[key] for key in ("chosen", "rejected"))


def _read_prompted(row: RawFields) -> Preference:
    return Preference(text_of(row, "prompt"), text_of(row, "chosen"), text_of(row, "rejected"), _USED)


def _read_dialogues(row: RawFields) -> Preference:
    chosen, rejected = _different_texts(row)
    prompt, mark, _ = _shared_beginning(chosen, rejected).rpartition(ASSISTANT_MARK)
    if not prompt.strip():
        raise RowError(Reason.NO_SHARED_PROMPT, "chosen and rejected share no turn that ends in 'Assistant:'")
    prompt += mark
    chosen, rejected = chosen.removeprefix(prompt), rejected.removeprefix(prompt)
    if MARKS["user"] in chosen or MARKS["user"] in rejected:
        raise RowError(Reason.NO_SHARED_PROMPT, "chosen and rejected differ in more than their last turn")
    return Preference(prompt, chosen, rejected, _USED)


def _read_implicit(row: RawFields) -> Preference:
    chosen, rejected = _different_texts(row)
    shared = _shared_beginning(chosen, rejected)
    # TRL splits at the first character that differs, which may be inside a word.
    end = len(shared)
    while end and not shared[end - 1].isspace():
        end -= 1
    prompt = shared[:end].rstrip()
    if not prompt:
        raise RowError(Reason.NO_SHARED_PROMPT, "chosen and rejected do not begin alike, and there is no 'prompt'")
    return Preference(prompt, chosen[len(prompt) :], rejected[len(prompt) :], _USED)


def _different_texts(row: RawFields) -> tuple[str, str]:
    chosen, rejected = text_of(row, "chosen"), text_of(row, "rejected")
    if chosen.strip() == rejected.strip():
        raise RowError(Reason.CHOSEN_IS_REJECTED, "the two texts are the same")
    return chosen, rejected


def _shared_beginning(one: str, other: str) -> str:
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return one[:low]


def _read_conversations(row: RawFields) -> Preference:
    return Preference(*_turns(row, []), _USED)


def _read_prompted_messages(row: RawFields) -> Preference:
    return Preference(*_turns(row, as_messages(field_of(row, "prompt"), "prompt")), _USED)


def _read_ultrafeedback(row: RawFields) -> Preference:
    text = text_of(row, "prompt")
    chosen = as_messages(field_of(row, "chosen"), "chosen")
    # Lists without a turn of the user's continue the prompt's text.
    question: list[Message] = [{"role": "user", "content": text}] if len(chosen) == 1 else []
    turns = _turns(row, question)
    if all(message["content"].strip() != text.strip() for message in turns[0]):
        raise RowError(Reason.PROMPT_NOT_IN_MESSAGES, f"no message before the last is {quoted(text)}")
    return Preference(*turns, _USED)


def _turns(row: RawFields, prompt: list[Message]) -> tuple[list[Message], str, str]:
    """Prompt, chosen and rejected of message lists that continue `prompt`, or hold it already."""
    chosen, rejected = (as_messages(field_of(row, key), key) for key in ("chosen", "rejected"))
    chosen_prompt, chosen_text = split_completion(prompt, chosen, "chosen")
    rejected_prompt, rejected_text = split_completion(prompt, rejected, "rejected")
    if chosen_prompt != rejected_prompt:
        raise RowError(Reason.NO_SHARED_PROMPT, "chosen and rejected differ in more than their last message")
    return chosen_prompt, chosen_text, rejected_text


def _read_alpaca(row: RawFields) -> Preference:
    question = text_of(row, "instruction")
    if row.get("input") not in (None, ""):
        question = f"{question}\n{text_of(row, 'input')}"
    prompt: str | list[Message] = question
    if row.get("system") or row.get("history"):
        history = row.get("history") or []
        if not isinstance(history, list) or not all(isinstance(turn, list) and len(turn) == 2 for turn in history):
            raise RowError(Reason.WRONG_TYPE, "'history' is not a list of [question, answer]")
        turns = [
            {"role": role, "content": text}
            for turn in history
            for role, text in zip(("user", "assistant"), turn, strict=True)
        ]
        prompt = as_messages([*_system(row), *turns, {"role": "user", "content": question}], "history")
    used = _USED - {"prompt"} | {"instruction", "input", "system", "history"}
    return Preference(prompt, text_of(row, "chosen"), text_of(row, "rejected"), used)


def _read_sharegpt(row: RawFields) -> Preference:
    conversation = as_messages(field_of(row, "conversations"), "conversations")
    completions = {key: [as_message(field_of(row, key), repr(key))] for key in ("chosen", "rejected")}
    used = _USED - {"prompt"} | {"conversations", "system"}
    return Preference(*_turns(completions, [*_system(row), *conversation]), used)


def _system(row: RawFields) -> list[Message]:
    return [{"role": "system", "content": text_of(row, "system")}] if row.get("system") else []


def _read_nemo(row: RawFields) -> Preference:
    completions = field_of(row, "completions")
    if not isinstance(completions, list) or not all(isinstance(entry, dict) for entry in completions):
        raise RowError(Reason.WRONG_TYPE, "'completions' is not a list of {rank, completion}")
    if len(completions) < 2:
        raise RowError(Reason.TOO_FEW_COMPLETIONS, f"'completions' has {len(completions)}, a pair needs 2")
    ranks = [finite_number(entry.get("rank"), "rank", Reason.BAD_RANK) for entry in completions]
    best, worst = min(ranks), max(ranks)
    if best == worst:
        raise RowError(Reason.EQUAL_RANKS, f"all {len(ranks)} completions have rank {best:g}")
    pair = {
        key: field_of(completions[ranks.index(rank)], "completion")
        for key, rank in (("chosen", best), ("rejected", worst))
    }
    context = field_of(row, "context")
    used, unused = frozenset(("context", "completions", "margin")), len(ranks) - 2
    if isinstance(context, str) and all(isinstance(text, str) for text in pair.values()):
        return Preference(text_of(row, "context"), text_of(pair, "chosen"), text_of(pair, "rejected"), used, unused)
    if isinstance(context, str):
        context = [{"role": "user", "content": text_of(row, "context")}]
    lists = {
        key: [{"role": "assistant", "content": text}] if isinstance(text, str) else text for key, text in pair.items()
    }
    return Preference(*_turns(lists, as_messages(context, "context")), used, unused)


_PAIRS = (
    Format("ultrafeedback", _all(_PROMPTED, _is("prompt", str), _is("chosen", list)), _read_ultrafeedback, True),
    Format("trl-messages", _all(_PROMPTED, _is("prompt", list)), _read_prompted_messages, True),
    Format("rm-static", _all(_PROMPTED, _has("response")), _read_prompted),
    Format("trl", _PROMPTED, _read_prompted),
    Format("trl-implicit-messages", _all(_PAIR, _is("chosen", list)), _read_conversations, True),
    Format("hh-rlhf", _all(_PAIR, _has_turns), _read_dialogues),
    Format("trl-implicit", _PAIR, _read_implicit),
)
_ALL = (
    Format("nemo", _has("context", "completions"), _read_nemo),
    Format("llama-factory-sharegpt", _has("conversations", "chosen", "rejected"), _read_sharegpt),
    Format("llama-factory", _has("instruction", "chosen", "rejected"), _read_alpaca),
    *_PAIRS,
)
