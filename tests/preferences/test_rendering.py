from __future__ import annotations

import pytest

from frft.preferences.rejects import Reason, RowError
from frft.preferences.rendering import check_text, render_completion, render_prompt

TURNS = [{"role": "user", "content": "Hi"}]
HH = "\n\nHuman: Hi\n\nAssistant:"


def tagged(messages):
    return "".join(f"<{message['role']}>{message['content']}" for message in messages) + "<assistant>"


def test_by_default_messages_become_dialogues_and_text_stays_as_it_is():
    assert render_prompt(TURNS, None) == HH
    assert render_prompt("  Hi ", None) == "  Hi "
    assert render_completion("Hello", TURNS, None, "chosen") == " Hello"
    assert render_completion("Hello", HH, None, "chosen") == "Hello"


@pytest.mark.parametrize("prompt", [TURNS, HH, "Hi"])
def test_a_template_gets_messages_whatever_the_prompt_was(prompt):
    assert render_prompt(prompt, tagged) == "<user>Hi<assistant>"


def test_with_a_template_text_loses_its_leading_space_and_messages_stay_as_they_are():
    assert render_completion("  Hello ", HH, tagged, "chosen") == " Hello "
    assert render_completion(" Hello", TURNS, tagged, "chosen") == " Hello"


def test_what_a_template_raises_is_the_rows_fault():
    def refuse(messages):
        raise ValueError("roles must\nalternate")

    with pytest.raises(RowError) as caught:
        render_prompt(TURNS, refuse)
    assert caught.value.reason == Reason.CANNOT_RENDER
    assert caught.value.detail == r"ValueError: 'roles must\nalternate'"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Reason.EMPTY_FIELD),
        (" \n\u2003", Reason.EMPTY_FIELD),
        ("a\0b", Reason.NUL_CHARACTER),
        ("a\udc80", Reason.LONE_SURROGATE),
    ],
)
def test_text_that_cannot_be_used(text, reason):
    with pytest.raises(RowError) as caught:
        check_text(text, "chosen")
    assert caught.value.reason == reason
    assert "'chosen'" in caught.value.detail
