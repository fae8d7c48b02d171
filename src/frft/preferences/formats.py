"""The published forms of preference pairs: raw row -> `Preference`, or the reason why the row is no pair.

| format | fields of a row | prompt |
|---|---|---|
| trl | prompt, chosen, rejected: text | `prompt`, verbatim |
| trl-messages | prompt: messages; chosen, rejected | the messages of `prompt` |
| trl-implicit | chosen, rejected: text | what both share, cut back to the end of a word |
| trl-implicit-messages | chosen, rejected: message lists | all messages but the last, which must be equal |
| hh-rlhf | chosen, rejected: dialogues | up to the last "\\n\\nAssistant:" of what both share |
| rm-static | prompt, response, chosen, rejected: text | `prompt`, verbatim; `response` is kept as a column |
| ultrafeedback | prompt: text; chosen, rejected: messages | the messages; `prompt` must be among them |
| llama-factory | instruction, chosen, rejected (input, history) | instruction, line break, input |
| llama-factory-sharegpt | conversations, chosen, rejected | the messages of `conversations` |
| llama-factory-v1 | chosen_messages, rejected_messages | all messages but the last, which must be equal |
| axolotl | messages, chosen, rejected | the messages of `messages` |
| orca | question or input, chosen, rejected | `question` or `input` |
| argilla | instruction, chosen_response, rejected_response | `instruction` |
| medicalgpt | question, response_chosen, response_rejected (history) | `question` |
| nemo | context, completions: [{rank, completion}] | `context`: text or messages |

Any of them may have a system prompt in a field of its own, and a completion may be text, one message or a list
(`frft.preferences.prompts`). A row's form is decided by that row alone, so a pool may have rows of several forms, and a
row means the same in whatever file it stands. With column names of one's own (OpenRLHF's `prompt_key`, `chosen_key`,
`rejected_key`) a row is read after they are renamed.

NeMo rows give one pair each, the best-ranked completion (lowest rank) against the worst; the first where
several share a rank. What is ranked in between is counted as unused.
"""

from __future__ import annotations

from dataclasses import dataclass

from frft.conversation import ASSISTANT_MARK
from frft.preferences.fields import RawFields, field_of, finite_number, has, is_blank, keys_of, text_of
from frft.preferences.prompts import SYSTEM_FIELDS, Answered, Prompt, read_answers
from frft.preferences.rejects import Reason, RowError

PAIR_FIELDS = (
    ("chosen", "rejected"),
    ("chosen_response", "rejected_response"),
    ("response_chosen", "response_rejected"),
    ("chosen_messages", "rejected_messages"),
)
"""Names under which a pair of completions is published."""

_FORMS = {
    "prompt": "trl",
    "conversations": "llama-factory-sharegpt",
    "instruction": "llama-factory",
    "messages": "axolotl",
    "question": "orca",
    "input": "orca",
    "query": "ms-swift",
}
"""Field that gives the prompt -> format of a row with `chosen` and `rejected`."""
_FORMS_OF_OTHERS = {
    "chosen_response": "argilla",
    "response_chosen": "medicalgpt",
    "chosen_messages": "llama-factory-v1",
}
"""The first of other `PAIR_FIELDS` -> format, whatever gives the prompt."""


@dataclass(frozen=True, slots=True)
class Preference:
    """A pair before it is rendered.

    Attributes:
        form: the published form that the row has.
        prompt: text, or messages.
        chosen: the preferred completion; text as it follows a text prompt, or a message's content.
        rejected: the other completion, in the same form.
        used: names of the row's fields that went into the pair; the others become columns of the pool.
        scored: whether the difference of `score_chosen` and `score_rejected` is the margin in rows of this form.
        repeated: whether both completions began with the prompt, which was taken off.
        unused_completions: completions of the row that are in no pair.
    """

    form: str
    prompt: Prompt
    chosen: str
    rejected: str
    used: frozenset[str]
    scored: bool = False
    repeated: bool = False
    unused_completions: int = 0


def read_preference(row: RawFields) -> Preference:
    """The pair of a row in any published form.

    Raises:
        RowError: the row has no known form, or a part of it is missing or cannot be used.
    """
    names = next((names for names in PAIR_FIELDS if has(row, *names)), None)
    if names is None and has(row, "context", "completions"):
        return _read_nemo(row)
    if names is None:
        raise _no_pair(row)
    answered = read_answers(row, names)
    chosen, rejected = answered.completions
    # Blank fields with a usual name are used up as well: as columns they would hold nothing.
    return Preference(
        _form(row, answered, names[0]),
        answered.prompt,
        chosen,
        rejected,
        answered.used | {"margin"} | {name for name in ("prompt", *PAIR_FIELDS[0]) if is_blank(row.get(name))},
        # Which scores a row of text has is not agreed upon: reward models', judges', or of something else.
        scored=answered.messages and answered.field in (None, "prompt"),
        repeated=answered.repeated,
    )


def read_margin(row: RawFields, *, scored: bool) -> float | None:
    """How much better chosen is than rejected: the field `margin`, else, if `scored`, the difference of the scores.

    Returns:
        A number of at least 0, in the data's own unit; None where the row does not say.

    Raises:
        RowError: the margin is no finite number, or negative, which would contradict the label.
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


def _form(row: RawFields, answered: Answered, first: str) -> str:
    if first != "chosen":
        return _FORMS_OF_OTHERS[first]
    if answered.field is None:
        if answered.messages:
            return "trl-implicit-messages"
        return "hh-rlhf" if all(ASSISTANT_MARK in row[name] for name in PAIR_FIELDS[0]) else "trl-implicit"
    form = _FORMS[answered.field]
    if form != "trl":
        return form
    if isinstance(row["prompt"], str):
        if answered.messages:
            return "ultrafeedback"
        return "rm-static" if has(row, "response") else "trl"
    return "trl-messages"


def _no_pair(row: RawFields) -> RowError:
    """The error for a row without two completions: what is missing, or what else the row seems to be."""
    halves = [name for names in PAIR_FIELDS for name in names if name in row]
    if halves:
        pair = next(names for names in PAIR_FIELDS if halves[0] in names)
        try:
            for name in pair:
                field_of(row, name)
        except RowError as error:
            return error
    what = _what_else(row)
    if what is not None:
        return RowError(Reason.UNKNOWN_FORMAT, f"found the keys {keys_of(row)}: {what}")
    return RowError(
        Reason.UNKNOWN_FORMAT,
        f"found the keys {keys_of(row)}; expected chosen + rejected (with or without prompt), "
        "instruction + chosen + rejected, conversations + chosen + rejected, or context + completions",
    )


def _what_else(row: RawFields) -> str | None:
    """What a row that was published for another purpose is, for an error; None: not known."""
    if has(row, "winner"):
        return "verdicts of an arena; they can be a judge (--judge annotations:FILE)"
    if has(row, "response1", "response2") or has(row, "completion_1", "completion_2"):
        return "two completions and a verdict; name the better one chosen and the other rejected"
    if any(name in row for name in ("completion", "output", "messages", "conversations")):
        labelled = has(row, "label") or has(row, "kto_tag")
        return (
            f"single completions{' with a label (KTO)' if labelled else ''}; a pair needs two, of which one is better"
        )
    return None


def _read_nemo(row: RawFields) -> Preference:
    """The pair of a row of ranked completions: the lowest rank is chosen, the highest rejected."""
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
    if isinstance(row["context"], str):
        text_of(row, "context")
    system = {name: row[name] for name in SYSTEM_FIELDS if name in row}
    answered = read_answers({**system, "prompt": field_of(row, "context"), **pair}, ("chosen", "rejected"))
    used = answered.used - {"prompt", "chosen", "rejected"} | {"context", "completions", "margin"}
    chosen, rejected = answered.completions
    unused = len(ranks) - 2
    return Preference(
        "nemo", answered.prompt, chosen, rejected, used, repeated=answered.repeated, unused_completions=unused
    )
