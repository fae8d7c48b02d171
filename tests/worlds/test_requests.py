"""Prompts: written, read back, dealt out."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frft.errors import RewardError
from frft.worlds.lexicon import CATEGORIES
from frft.worlds.requests import SHARES, read_prompts, requests_for, write_prompts

FRUIT, ANIMAL, TOOL, JOB = map(CATEGORIES.index, ("fruit", "animal", "tool", "job"))


def as_set(requests):
    columns = (np.sort(requests.asked, axis=1).tolist(), requests.forbidden.tolist(), requests.short.tolist())
    return {(tuple(asked), forbidden, short) for asked, forbidden, short in zip(*columns, strict=True)}


@pytest.fixture(scope="module")
def dealt():
    return {purpose: requests_for(purpose, 0) for purpose in SHARES}


def test_purposes_share_no_request_and_have_all_of_them_together(dealt):
    sets = [as_set(requests) for requests in dealt.values()]
    total = sum(map(len, sets))
    assert len(set.union(*sets)) == total == sum(map(len, dealt.values()))
    # Two of one category; two categories, one or two of each; three, with at most one of them twice.
    assert total == 2 * (comb(12, 1) * 12 + comb(12, 2) * 4 * 11 + comb(12, 3) * 4 * 10)
    assert [round(len(each) / total, 2) for each in sets] == list(SHARES.values())
    assert as_set(requests_for("pool", 1)) != sets[0]


def test_what_was_written_is_what_is_read(dealt):
    for requests in dealt.values():
        rows = np.arange(len(requests))
        texts, written = write_prompts(requests, 3, rows)
        read = read_prompts(texts)
        for name in ("asked", "forbidden", "short"):
            assert (getattr(read, name) == getattr(written, name)).all()
        assert (read.counts == requests.counts).all()
        assert texts[5:9].equals(write_prompts(requests.take(slice(5, 9)), 3, rows[5:9])[0])


def test_wordings_and_orders_vary(dealt):
    one = dealt["pool"].take(np.zeros(200, int))
    texts, _ = write_prompts(one, 0, np.arange(200))
    assert len(texts.unique()) > 30


@pytest.mark.parametrize(
    ("prompt", "asked", "forbidden", "short"),
    [
        ("Name two fruits and a tool. Do not mention animals. Keep it short.", [FRUIT, FRUIT, TOOL], ANIMAL, True),
        ("NAME AN ANIMAL", [ANIMAL], -1, False),
        ("List one job,one tool!Leave out fruits.", [JOB, TOOL], FRUIT, False),
        ("\n\nHuman: I need a tool.\n\nAssistant: A saw.\n\nHuman: Also a job. Be brief.\n\nAssistant:",
         [TOOL, JOB], -1, True),
        ("a fruit \x00\x1b[31m \ud800", [FRUIT], -1, False),
    ],
)  # fmt: skip
def test_hand_read_prompts(prompt, asked, forbidden, short):
    requests = read_prompts(["a tool", prompt])
    assert requests.asked[1].tolist() == [*asked, *[-1] * (4 - len(asked))]
    assert (requests.forbidden[1], requests.short[1]) == (forbidden, short)


@pytest.mark.parametrize(
    ("prompt", "why"),
    [
        ("How do I bake bread?", "asks for nothing"),
        ("", "asks for nothing"),
        ("Do not mention tools.", "asks for nothing"),
        ("Name two fruits, two tools and a job.", "more than 4 items"),
        ("Name a job. Leave out fruits. Leave out tools.", "forbids more than one"),
        ("Name a job. Leave out jobs.", "forbids what it asks for"),
        ("Name three fruits and a tool.", "neither to have nor to avoid"),
        ("fruit", "neither to have nor to avoid"),
    ],
)
def test_a_prompt_of_no_world_is_an_error_and_not_a_score(prompt, why):
    with pytest.raises(RewardError, match=f"Prompt 2 of 2 .*{why}"):
        read_prompts(["Name a tool.", prompt])


def test_the_error_quotes_the_prompt_safely():
    with pytest.raises(RewardError) as error:
        read_prompts(["\x1b[31m\n" + "x" * 1000])
    assert "\x1b" not in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


@given(st.lists(st.sampled_from(["a", "two", "fruit", "tools", "out", "any", "short", "x", "."]), max_size=12))
def test_reading_depends_on_the_prompt_alone(words):
    prompt = " ".join(words)
    try:
        alone = read_prompts([prompt])
    except RewardError:
        return
    among = read_prompts(["a tool", prompt, "two jobs"])
    assert (among.asked[1] == alone.asked[0]).all()
    assert (among.forbidden[1], among.short[1]) == (alone.forbidden[0], alone.short[0])


def test_no_prompts_is_no_requests():
    assert len(read_prompts([])) == 0
