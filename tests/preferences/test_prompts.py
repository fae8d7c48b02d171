"""How rows give their prompt: parts of forms in any combination, prompts said twice, and rows that are refused."""

from __future__ import annotations

import pytest

from frft.preferences.formats import read_preference
from frft.preferences.rejects import RowError

HH = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Colour?\n\nAssistant:"
TURNS = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Colour?"},
]
RED, BLUE = {"role": "assistant", "content": "Red."}, {"role": "assistant", "content": "Blue."}
ASKED = [{"role": "user", "content": "Colour?"}]
SYSTEM = {"role": "system", "content": "Be brief."}


def sharegpt(messages):
    names = {"user": "human", "assistant": "gpt", "system": "system"}
    return [{"from": names[message["role"]], "value": message["content"]} for message in messages]


PARTS = [{"type": "text", "text": "Col"}, {"type": "text", "text": "our?"}]
ALSO_READ = {
    "one message each": (
        "axolotl",
        {"messages": ASKED, "chosen": RED, "rejected": BLUE},
        ASKED,
    ),
    "texts beside messages": (
        "llama-factory-sharegpt",
        {"conversations": sharegpt(ASKED), "chosen": "Red.", "rejected": "Blue."},
        ASKED,
    ),
    "texts beside a list": ("trl-messages", {"prompt": ASKED, "chosen": "Red.", "rejected": "Blue."}, ASKED),
    "a text beside a message": ("ultrafeedback", {"prompt": "Colour?", "chosen": [RED], "rejected": "Blue."}, ASKED),
    "the prompt one message": ("trl-messages", {"prompt": ASKED[0], "chosen": [RED], "rejected": [BLUE]}, ASKED),
    "content in parts": (
        "trl-messages",
        {"prompt": [{"role": "user", "content": PARTS}], "chosen": [RED], "rejected": [BLUE]},
        ASKED,
    ),
    "llama-factory 1": (
        "llama-factory-v1",
        {
            f"{side}_messages": [
                {"role": role, "content": [{"type": "text", "value": text}], "loss_weight": 1.0}
                for role, text in (("user", "Colour?"), ("assistant", answer["content"]))
            ]
            for side, answer in (("chosen", RED), ("rejected", BLUE))
        },
        ASKED,
    ),
    "ultrafeedback with its other columns": (
        "ultrafeedback",
        {
            "prompt": "Colour?",
            "chosen": [*ASKED, RED],
            "rejected": [*ASKED, BLUE],
            "messages": [*ASKED, RED],
            "score_chosen": 9,
        },
        ASKED,
    ),
    "the same without its prompt": (
        "trl-implicit-messages",
        {"chosen": [*ASKED, RED], "rejected": [*ASKED, BLUE], "messages": [*ASKED, RED]},
        ASKED,
    ),
    "orca": (
        "orca",
        {"system": "Be brief.", "question": "Colour?", "chosen": "Red.", "rejected": "Blue."},
        [SYSTEM, *ASKED],
    ),
    "axolotl's icr": ("orca", {"system": "", "input": "Colour?", "chosen": "Red.", "rejected": "Blue."}, "Colour?"),
    "argilla": (
        "argilla",
        {"instruction": "Colour?", "chosen_response": "Red.", "rejected_response": "Blue."},
        "Colour?",
    ),
    "medicalgpt": (
        "medicalgpt",
        {
            "system": "Be brief.",
            "history": [["Hi", "Hello"]],
            "question": "Colour?",
            "response_chosen": "Red.",
            "response_rejected": "Blue.",
        },
        [SYSTEM, *TURNS],
    ),
    "a system prompt beside text": (
        "trl",
        {"system_prompt": "Be brief.", "prompt": "Colour?", "chosen": " Red.", "rejected": " Blue."},
        [SYSTEM, *ASKED],
    ),
    "a system prompt beside a dialogue": (
        "hh-rlhf",
        {"system": "Be brief.", "chosen": f"{HH} Red.", "rejected": f"{HH} Blue."},
        [SYSTEM, *TURNS],
    ),
    "a system prompt beside whole conversations": (
        "trl-implicit-messages",
        {"system": "Be brief.", "chosen": [*ASKED, RED], "rejected": [*ASKED, BLUE]},
        [SYSTEM, *ASKED],
    ),
    "a system prompt that is there already": (
        "trl-implicit-messages",
        {"system": "Be brief.", "chosen": [SYSTEM, *ASKED, RED], "rejected": [SYSTEM, *ASKED, BLUE]},
        [SYSTEM, *ASKED],
    ),
    "a system prompt in nemo": (
        "nemo",
        {
            "system": "Be brief.",
            "context": "Colour?",
            "completions": [{"rank": 0, "completion": "Red."}, {"rank": 1, "completion": "Blue."}],
        },
        [SYSTEM, *ASKED],
    ),
    "a number called system": (
        "trl",
        {"system": 3, "prompt": "Colour?", "chosen": "Red.", "rejected": "Blue."},
        "Colour?",
    ),
}


@pytest.mark.parametrize(("name", "row", "prompt"), ALSO_READ.values(), ids=ALSO_READ)
def test_parts_of_forms_go_together(name, row, prompt):
    preference = read_preference(row)
    assert (preference.form, preference.prompt) == (name, prompt)
    assert (preference.chosen, preference.rejected) == ("Red.", "Blue.")


REPEATED = {
    "a dialogue": (HH, f"{HH} Red.", f"{HH} Blue.", HH),
    "a long text": (
        "Which colour is the sky?",
        "Which colour is the sky? Red.",
        "Which colour is the sky? Blue.",
        None,
    ),
    "a question beside dialogues": ("Colour?", f"{HH} Red.", f"{HH} Blue.", HH),
}


@pytest.mark.parametrize(("prompt", "chosen", "rejected", "read"), REPEATED.values(), ids=REPEATED)
def test_a_prompt_at_the_head_of_both_completions_is_not_read_twice(prompt, chosen, rejected, read):
    preference = read_preference({"prompt": prompt, "chosen": chosen, "rejected": rejected})
    assert (preference.prompt, preference.chosen, preference.rejected) == (read or prompt, " Red.", " Blue.")


@pytest.mark.parametrize(("chosen", "rejected"), [("Hi! Red.", "Hi! Blue."), ("Hello there.", "Hi, you.")])
def test_completions_that_happen_to_begin_with_a_short_prompt_are_left(chosen, rejected):
    preference = read_preference({"prompt": "H", "chosen": chosen, "rejected": rejected})
    assert (preference.chosen, preference.rejected, preference.repeated) == (chosen, rejected, False)


SIDES = {"chosen": "The sky is blue.", "rejected": "The sky is black."}
REFUSED = {
    "two questions": ({"question": "q", "context": "c", **SIDES}, "ambiguous prompt", "'question' and 'context'"),
    "two system prompts": (
        {"prompt": "p", "system": "a", "system_prompt": "b", **SIDES},
        "ambiguous prompt",
        "system and system_prompt",
    ),
    "another system turn": (
        {"system": "a", "chosen": [SYSTEM, *ASKED, RED], "rejected": [SYSTEM, *ASKED, BLUE]},
        "ambiguous prompt",
        "system turn",
    ),
    "a context alone": ({"context": "c", **SIDES}, "missing field", "is it context"),
    "a problem alone": ({"problem": "c", **SIDES}, "missing field", "is it problem"),
    "a prompt that is null": ({"prompt": None, **SIDES}, "empty field", "'prompt' is null"),
    "an image": (
        {"prompt": [{"role": "user", "content": [{"type": "image"}]}], **SIDES},
        "bad message",
        "part of type 'image'",
    ),
    "a tool": (
        {"prompt": ASKED, "chosen": {**RED, "tool_calls": [{}]}, "rejected": BLUE},
        "bad message",
        "calls a tool",
    ),
    "a thought beside the text": (
        {"prompt": ASKED, "chosen": [{**RED, "reasoning_content": "Not blue."}], "rejected": [BLUE]},
        "bad message",
        "'reasoning_content'",
    ),
    "other turns beside the prompt": (
        {"prompt": ASKED, "chosen": [{"role": "user", "content": "Shape?"}, RED], "rejected": [BLUE]},
        "prompt not in the messages",
        "'chosen' has other turns",
    ),
    "KTO": ({"prompt": "p", "completion": "c", "label": True}, "unknown format", "KTO"),
    "KTO of messages": ({"messages": [*ASKED, RED], "label": True}, "unknown format", "KTO"),
    "an arena": ({"conversation_a": [], "conversation_b": [], "winner": "tie"}, "unknown format", "arena"),
    "samples": ({"prompt": "p", "completion": "c"}, "unknown format", "a pair needs two"),
    "one side": ({"prompt": "p", "response_chosen": "c"}, "missing field", "'response_rejected' is missing"),
}


@pytest.mark.parametrize(("row", "reason", "detail"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused_by_name(row, reason, detail):
    with pytest.raises(RowError) as caught:
        read_preference(row)
    assert caught.value.reason == reason
    assert detail in caught.value.detail
