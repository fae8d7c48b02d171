from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frft.conversation import (
    GUARD,
    content_of,
    continuation,
    parse_dialogue,
    plain_text,
    question_text,
    render_dialogue,
)
from frft.preferences.dialogue import as_messages, check_prompt, split_completion
from frft.preferences.rejects import Reason, RowError

USER = {"role": "user", "content": "Hi"}
ASSISTANT = {"role": "assistant", "content": "Hello"}
SYSTEM = {"role": "system", "content": "Be brief."}


def test_messages_become_hh_rlhf_text():
    text = render_dialogue([SYSTEM, USER, ASSISTANT, {"role": "user", "content": "Bye"}])
    assert text == "\n\nSystem: Be brief.\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Bye\n\nAssistant:"


PIECES = [GUARD, "\n\n", "\n", " ", "Human:", "Assistant:", "System:", "\n\nHuman: a\n\nAssistant:"]
contents = st.lists(st.sampled_from(PIECES) | st.text(alphabet=st.characters(codec="utf-8"), max_size=4)).map("".join)
messages = st.lists(
    st.builds(
        lambda role, content: {"role": role, "content": content},
        st.sampled_from(["system", "user", "assistant"]),
        contents,
    ),
    min_size=1,
)


@given(messages)
def test_parsing_is_the_inverse_of_rendering_whatever_is_said(turns):
    assert parse_dialogue(render_dialogue(turns)) == turns


@given(contents, contents)
def test_a_question_is_one_turn_also_where_it_looks_like_a_dialogue(question, answer):
    text = question_text(question)
    assert parse_dialogue(text) == [{"role": "user", "content": question}]
    assert plain_text(text) == question
    for prompt in (text, render_dialogue([{"role": "user", "content": question}])):
        assert content_of(prompt, continuation(prompt, answer)) == answer


def test_what_a_model_of_plain_text_reads_has_no_guards():
    said = "A transcript:\n\nHuman: Hi"
    text = render_dialogue([{"role": "user", "content": said}])
    assert GUARD in text
    assert plain_text(text) == f"\n\nHuman: {said}\n\nAssistant:"


@pytest.mark.parametrize(
    "text",
    [
        "Name a colour.",
        "",
        "Explain:\n\nHuman: a\n\nAssistant:",
        "\n\nHuman: no answer is asked for",
        "Human:\n",
    ],
)
def test_text_that_is_no_dialogue_is_one_message_of_the_user(text):
    assert parse_dialogue(text) == [{"role": "user", "content": text}]


def test_a_dialogue_may_begin_without_blank_lines():
    assert parse_dialogue("Human: Hi\n\nAssistant:") == [USER]


def test_both_spellings_of_messages_are_read():
    sharegpt = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
    padded = [{**USER, "from": None, "name": "x"}, {**ASSISTANT, "value": None}]
    assert as_messages(sharegpt, "x") == as_messages(padded, "x") == [USER, ASSISTANT]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("text", Reason.WRONG_TYPE),
        ([], Reason.EMPTY_MESSAGES),
        (["text"], Reason.BAD_MESSAGE),
        ([{"content": "Hi"}], Reason.BAD_MESSAGE),
        ([{"role": "user"}], Reason.BAD_MESSAGE),
        ([{"role": "tool", "content": "Hi"}], Reason.BAD_MESSAGE),
        ([{"role": ["user"], "content": "Hi"}], Reason.BAD_MESSAGE),
        ([{"role": "user", "content": [{"type": "image"}]}], Reason.BAD_MESSAGE),
    ],
)
def test_messages_that_are_none(value, reason):
    with pytest.raises(RowError) as caught:
        as_messages(value, "x")
    assert caught.value.reason == reason


def test_a_completion_is_the_last_message_with_or_without_its_prompt_before_it():
    assert split_completion([USER], [ASSISTANT], "x") == ([USER], "Hello")
    assert split_completion([USER], [USER, ASSISTANT], "x") == ([USER], "Hello")
    assert split_completion([], [SYSTEM, USER, ASSISTANT], "x") == ([SYSTEM, USER], "Hello")


@pytest.mark.parametrize(
    ("prompt", "completion", "reason"),
    [
        ([USER], [USER], Reason.NOT_FROM_ASSISTANT),
        ([], [ASSISTANT], Reason.NO_SHARED_PROMPT),
        ([USER, ASSISTANT], [ASSISTANT], Reason.PROMPT_FROM_ASSISTANT),
        ([{"role": "user", "content": " "}], [ASSISTANT], Reason.EMPTY_FIELD),
    ],
)
def test_completions_that_cannot_be_split_off(prompt, completion, reason):
    with pytest.raises(RowError) as caught:
        split_completion(prompt, completion, "x")
    assert caught.value.reason == reason


def test_a_prompt_alone_is_checked_alike():
    check_prompt([SYSTEM, USER], "x")
    with pytest.raises(RowError, match="nothing before"):
        check_prompt([], "x")
