from __future__ import annotations

import pytest

from frft.preferences.rejects import Reason, RowError
from frft.preferences.rendering import check_text, render_completion, render_prompt

TURNS = [{"role": "user", "content": "Hi"}]
HH = "\n\nHuman: Hi\n\nAssistant:"


def test_messages_become_dialogues_and_text_stays_as_it_is():
    assert render_prompt(TURNS) == HH
    assert render_prompt("  Hi ") == "  Hi "
    assert render_completion("Hello", TURNS, "chosen") == " Hello"
    assert render_completion("Hello", HH, "chosen") == "Hello"


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
