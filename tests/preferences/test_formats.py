"""Every published form gives the pair that it was written from."""

from __future__ import annotations

import pytest

from frft.preferences.fields import Keys, free_name
from frft.preferences.formats import read_margin, read_preference
from frft.preferences.rejects import Reason, RowError

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


PUBLISHED = {
    "trl": ("trl", {"prompt": "Colour?", "chosen": "Red.", "rejected": "Blue."}, "Colour?", "Red.", "Blue."),
    "trl-messages": (
        "trl-messages",
        {"prompt": TURNS, "chosen": [RED], "rejected": [BLUE]},
        TURNS,
        "Red.",
        "Blue.",
    ),
    "trl-messages, whole": (
        "trl-messages",
        {"prompt": TURNS, "chosen": [*TURNS, RED], "rejected": [*TURNS, BLUE]},
        TURNS,
        "Red.",
        "Blue.",
    ),
    "trl-implicit": (
        "trl-implicit",
        {"chosen": "The sky is blue.", "rejected": "The sky is black."},
        "The sky is",
        " blue.",
        " black.",
    ),
    "trl-implicit, one begins the other": (
        "trl-implicit",
        {"chosen": "The sky is", "rejected": "The sky is blue."},
        "The sky",
        " is",
        " is blue.",
    ),
    "trl-implicit-messages": (
        "trl-implicit-messages",
        {"chosen": [*TURNS, RED], "rejected": [*TURNS, BLUE]},
        TURNS,
        "Red.",
        "Blue.",
    ),
    "hh-rlhf": ("hh-rlhf", {"chosen": f"{HH} Red.", "rejected": f"{HH} Blue."}, HH, " Red.", " Blue."),
    "hh-rlhf, equal beginnings": (
        "hh-rlhf",
        {"chosen": f"{HH} A b.", "rejected": f"{HH} A c.\n\nAssistant: d"},
        HH,
        " A b.",
        " A c.\n\nAssistant: d",
    ),
    "rm-static": (
        "rm-static",
        {"prompt": HH, "response": " Red.", "chosen": " Red.", "rejected": " Blue."},
        HH,
        " Red.",
        " Blue.",
    ),
    "ultrafeedback": (
        "ultrafeedback",
        {"prompt": "Colour?", "chosen": [SYSTEM, *ASKED, RED], "rejected": [SYSTEM, *ASKED, BLUE]},
        [SYSTEM, *ASKED],
        "Red.",
        "Blue.",
    ),
    "ultrafeedback, answers alone": (
        "ultrafeedback",
        {"prompt": "Colour?", "chosen": [RED], "rejected": [BLUE]},
        ASKED,
        "Red.",
        "Blue.",
    ),
    "llama-factory": (
        "llama-factory",
        {"instruction": "Colour?", "input": "Of wine.", "chosen": "Red.", "rejected": "Blue."},
        "Colour?\nOf wine.",
        "Red.",
        "Blue.",
    ),
    "llama-factory, no input": (
        "llama-factory",
        {
            "instruction": "Colour?",
            "input": "",
            "system": "",
            "history": [],
            "chosen": "Red.",
            "rejected": "Blue.",
        },
        "Colour?",
        "Red.",
        "Blue.",
    ),
    "llama-factory, history": (
        "llama-factory",
        {
            "instruction": "Colour?",
            "system": "Be brief.",
            "history": [["Hi", "Hello"]],
            "chosen": "Red.",
            "rejected": "Blue.",
        },
        [SYSTEM, *TURNS],
        "Red.",
        "Blue.",
    ),
    "llama-factory-sharegpt": (
        "llama-factory-sharegpt",
        {
            "conversations": sharegpt(TURNS),
            "system": "Be brief.",
            "chosen": sharegpt([RED])[0],
            "rejected": sharegpt([BLUE])[0],
        },
        [SYSTEM, *TURNS],
        "Red.",
        "Blue.",
    ),
    "nemo": (
        "nemo",
        {
            "context": TURNS,
            "completions": [{"rank": 1, "completion": [BLUE]}, {"rank": 0, "completion": [RED]}],
        },
        TURNS,
        "Red.",
        "Blue.",
    ),
    "nemo, text": (
        "nemo",
        {
            "context": "Colour?",
            "completions": [
                {"rank": 2, "completion": "Green."},
                {"rank": 1, "completion": "Red."},
                {"rank": 3, "completion": "Blue."},
                {"rank": 3, "completion": "Black."},
            ],
        },
        "Colour?",
        "Red.",
        "Blue.",
    ),
    "nemo, text and messages": (
        "nemo",
        {
            "context": "Colour?",
            "completions": [{"rank": 0, "completion": [RED]}, {"rank": 1, "completion": "Blue."}],
        },
        ASKED,
        "Red.",
        "Blue.",
    ),
}


@pytest.mark.parametrize(("name", "row", "prompt", "chosen", "rejected"), PUBLISHED.values(), ids=PUBLISHED)
def test_published_forms_are_recognised_and_read(name, row, prompt, chosen, rejected):
    preference = read_preference(row)
    assert preference.form == name
    assert (preference.prompt, preference.chosen, preference.rejected) == (prompt, chosen, rejected)
    assert set(row) - preference.used == ({"response"} if name == "rm-static" else set())
    assert preference.unused_completions == max(0, len(row.get("completions", ())) - 2)


def test_nulls_do_not_count_as_fields():
    row = {"prompt": None, "instruction": None, "chosen": f"{HH} Red.", "rejected": f"{HH} Blue."}
    assert read_preference(row).form == "hh-rlhf"


def test_unusual_column_names_are_renamed_and_displace_others():
    keys = Keys({"prompt": "question", "chosen": None, "rejected": "worse"})
    row = {"question": "Q", "chosen": "a", "worse": "b", "prompt": "other", "source_prompt": "third"}
    assert keys.rename(row) == {
        "prompt": "Q",
        "chosen": "a",
        "rejected": "b",
        "source_source_prompt": "other",
        "source_prompt": "third",
    }
    assert read_preference(keys.rename(row)).form == "trl"


def test_a_prompt_that_was_named_is_the_prompt():
    row = {"instruction": "x", "q": "Q", "chosen": "a", "rejected": "b"}
    assert read_preference(Keys({"prompt": "q"}).rename(row)).prompt == "Q"


def test_an_unknown_format_names_what_was_found_and_what_was_expected():
    with pytest.raises(RowError) as caught:
        read_preference({"question": 1, "answer\x1b": 2})
    assert caught.value.reason == Reason.UNKNOWN_FORMAT
    assert r"'question', 'answer\x1b'" in caught.value.detail
    assert "chosen + rejected" in caught.value.detail
    with pytest.raises(RowError) as caught:
        Keys({"chosen": "good"}).rename({"question": "x"})
    assert (caught.value.reason, caught.value.detail) == (
        Reason.MISSING_FIELD,
        "'good' is missing; found the keys 'question'",
    )


@pytest.mark.parametrize(
    ("row", "scored", "margin"),
    [
        ({}, True, None),
        ({"margin": None}, True, None),
        ({"margin": ""}, True, None),
        ({"margin": 0}, False, 0.0),
        ({"margin": "1.5"}, False, 1.5),
        ({"margin": 2, "score_chosen": 9.0, "score_rejected": 1.0}, True, 2.0),
        ({"score_chosen": 9.0, "score_rejected": 6.5}, True, 2.5),
        ({"score_chosen": 1.0, "score_rejected": 6.5}, False, None),
        ({"score_chosen": 9.0, "score_rejected": None}, True, None),
    ],
)
def test_margins(row, scored, margin):
    assert read_margin(row, scored=scored) == margin


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"margin": -0.5}, Reason.NEGATIVE_MARGIN),
        ({"score_chosen": 1, "score_rejected": 2}, Reason.NEGATIVE_MARGIN),
        ({"margin": float("nan")}, Reason.BAD_MARGIN),
        ({"margin": 10**400}, Reason.BAD_MARGIN),
        ({"margin": True}, Reason.BAD_MARGIN),
        ({"margin": "much"}, Reason.BAD_MARGIN),
        ({"margin": [1]}, Reason.BAD_MARGIN),
        ({"score_chosen": "high", "score_rejected": 2}, Reason.BAD_MARGIN),
    ],
)
def test_margins_that_are_none(row, reason):
    with pytest.raises(RowError) as caught:
        read_margin(row, scored=True)
    assert caught.value.reason == reason


def test_free_names_are_free():
    assert free_name("id", {"id", "source_id"}) == "source_source_id"
    assert free_name("x", set()) == "x"
