"""A chat judge, by the real client, against an endpoint that misbehaves."""

from __future__ import annotations

import re
import threading
import time

import pytest

pytest.importorskip("openai", reason="the extra `judge` is not installed")

from frft.cli import main
from frft.errors import ArtifactError, ModelError, UsageError
from frft.evaluation import ChatJudge, chat, kept_replies, win_rate
from frft.progress import SilentProgress
from frft.store import ChainedJournal, append_rows

from ..permissions import closed

KEY = "sk-secret-0123456789"
PROMPTS, FIRST, SECOND = ["p1", "p2", "p3"], ["aaa", "b", "ccc"], ["a", "bbb", "ccc"]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(chat, "FIRST_WAIT_S", 0.01)


def parts(messages):
    """Request and answers, as a judge would read them."""
    found = re.split(r"^[0-9a-f]{24} (?:REQUEST|ANSWER A|ANSWER B|END)\n", messages[1]["content"], flags=re.MULTILINE)
    return [text.removesuffix("\n") for text in found[1:4]]


def longer(messages):
    _, first, second = parts(messages)
    return "[[TIE]]" if len(first) == len(second) else f"[[{'A' if len(first) > len(second) else 'B'}]]"


def test_what_cannot_be_kept_is_not_asked_for(endpoint, judge, tmp_path):
    with closed(tmp_path), pytest.raises(PermissionError, match=r"verdicts\.jsonl"):
        judge().prefer(PROMPTS, FIRST, SECOND)
    # A lock of an earlier time may be written in a folder that was closed since.
    (tmp_path / "verdicts.jsonl.lock").touch()
    with closed(tmp_path), pytest.raises(PermissionError, match=r"verdicts\.jsonl'"):
        judge().prefer(PROMPTS, FIRST, SECOND)
    assert endpoint.requests == []


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_where_replies_cannot_be_kept_the_option_for_another_file_is_named(
    json, endpoint, tmp_path, monkeypatch, capsys
):
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    files = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for file in files:
        file.write_text('{"prompt": "p", "completion": "c"}\n')
    judge = ["--judge", "openai:m", "--base-url", endpoint.url]
    with closed(tmp_path / "home"):
        assert main(["eval", "winrate", *map(str, files), *judge, *json]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "home/.cache/frft/verdicts.jsonl cannot be written: " in said.err
    assert "Name another path by --verdicts." in said.err
    assert endpoint.requests == []


def test_both_orders_are_asked_apart(endpoint, judge):
    endpoint.answer = longer
    asked = judge()
    result = win_rate(asked, PROMPTS, FIRST, SECOND)
    assert (result.wins, result.ties, result.losses, result.flips) == (1, 1, 1, 0)
    assert {tuple(parts(body["messages"])) for body in endpoint.requests} == {
        ("p1", "aaa", "a"), ("p1", "a", "aaa"), ("p2", "b", "bbb"), ("p2", "bbb", "b"),
    }  # fmt: skip
    # The third pair is two equal completions, of which nobody is asked which is better.
    assert asked.usage.as_dict() == {
        "judged": 4, "unparsable": 0, "failed": 0, "cached": 0, "identical": 2, "retries": 0,
        "prompt_tokens": 400, "completion_tokens": 28, "uncounted": 0,
    }  # fmt: skip
    assert asked.usage.cost(2.0, 10.0) == pytest.approx((400 * 2 + 28 * 10) / 1e6)
    assert set(endpoint.keys) == {f"Bearer {KEY}"}


def test_a_judge_that_likes_the_first_place_is_found_out(endpoint, judge):
    result = win_rate(judge(), PROMPTS[:2], FIRST[:2], SECOND[:2])
    assert (result.rate, result.ties, result.flips) == (0.5, 2, 2)


def test_what_was_answered_is_not_asked_again(endpoint, judge, tmp_path):
    endpoint.answer = lambda messages: "no idea" if parts(messages)[0] == "p2" else longer(messages)
    first = judge().prefer(PROMPTS, FIRST, SECOND)
    again = judge()
    assert again.prefer(PROMPTS, FIRST, SECOND) == first == [1.0, None, 0.5]
    assert len(endpoint.requests) == 2
    assert (again.usage.cached, again.usage.judged, again.usage.prompt_tokens) == (2, 0, 0)
    # Another model, other options, another template or another text is another question.
    ChatJudge("n", base_url=endpoint.url, journal=tmp_path / "verdicts.jsonl").prefer(["p1"], ["aaa"], ["a"])
    judge(options={"temperature": 1}).prefer(["p1"], ["aaa"], ["a"])
    judge().prefer(["p1"], ["aaa"], ["aa"])
    assert len(endpoint.requests) == 5


def test_a_question_that_comes_twice_is_asked_once(endpoint, judge):
    asked = judge()
    assert asked.prefer(["p"] * 3, ["a"] * 3, ["b"] * 3) == [1.0] * 3
    assert (len(endpoint.requests), asked.usage.judged, asked.usage.cached) == (1, 1, 2)


def test_another_template_is_another_question(endpoint, judge, monkeypatch):
    judge().prefer(["p"], ["a"], ["b"])
    monkeypatch.setattr(chat, "TEMPLATE_VERSION", 0)
    judge().prefer(["p"], ["a"], ["b"])
    assert len(endpoint.requests) == 2


@pytest.mark.parametrize("status", [429, 500, 503, 408, 409])
def test_what_may_pass_is_tried_again(endpoint, judge, status):
    told = []

    def answer(messages):
        told.append(1)
        return endpoint.error(status, "later") if len(told) < 3 else "[[B]]"

    endpoint.answer = answer
    asked = judge()
    assert asked.prefer(["p"], ["a"], ["b"]) == [0.0]
    assert (asked.usage.retries, asked.usage.judged, asked.usage.failed) == (2, 1, 0)


def test_the_endpoint_says_how_long_to_wait(endpoint, judge):
    told = []

    def answer(messages):
        told.append(time.monotonic())
        return endpoint.error(429, "later", retry_after="0.4") if len(told) == 1 else "[[A]]"

    endpoint.answer = answer
    assert judge().prefer(["p"], ["a"], ["b"]) == [1.0]
    assert told[1] - told[0] >= 0.4


GARBAGE = [
    (200, b"<html>busy</html>", {"content-type": "text/html"}),
    (200, b"{", {}),
    (200, b"", {}),
    (200, {"choices": []}, {}),
    (200, {"choices": None}, {}),
    (200, {"error": "no"}, {}),
    (200, {"choices": [{}]}, {}),
    (200, [1], {}),
    (500, b"\xff\xfe", {}),
]


@pytest.mark.parametrize("reply", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_no_verdict_and_is_not_kept(endpoint, judge, tmp_path, reply):
    endpoint.answer = lambda messages: reply
    asked = judge(tries=2)
    assert asked.prefer(["p"], ["a"], ["b"]) == [None]
    assert (asked.usage.failed, asked.usage.retries) == (1, 1)
    endpoint.answer = longer
    assert judge().prefer(["p"], ["aa"], ["b"]) == [1.0]


@pytest.mark.parametrize("content", [None, [{"type": "text", "text": "[[A]]"}], "", "\ud800"])
def test_a_reply_without_usable_text_is_no_verdict(endpoint, judge, content):
    endpoint.answer = lambda messages: (200, endpoint.completion(content), {})
    asked = judge()
    assert asked.prefer(["p"], ["a"], ["b"]) == [None]
    assert (asked.usage.unparsable, asked.usage.failed) == (1, 0)


def test_tokens_that_are_not_counted_are_said_to_be_so(endpoint, judge):
    endpoint.answer = lambda messages: (200, endpoint.completion("[[A]]", usage=None), {})
    asked = judge()
    asked.prefer(["p"], ["a"], ["b"])
    assert (asked.usage.uncounted, asked.usage.prompt_tokens) == (1, 0)


def test_one_question_that_is_refused_is_missing_and_the_others_are_not(endpoint, judge):
    endpoint.answer = lambda messages: (
        endpoint.error(400, "too long") if parts(messages)[0] == "p1" else longer(messages)
    )
    result = win_rate(judge(concurrency=1), ["p2", "p1"], ["b", "aaa"], ["bbb", "a"])
    assert (result.n, result.unjudged, result.losses) == (1, 1, 1)
    assert sum(parts(body["messages"])[0] == "p1" for body in endpoint.requests) == 2


@pytest.mark.parametrize(("status", "code"), [(401, None), (403, None), (404, None), (429, "insufficient_quota")])
def test_what_concerns_every_question_ends_it_at_once(endpoint, judge, status, code):
    endpoint.answer = lambda messages: endpoint.error(status, f"no, {KEY}\x1b[31m", code)
    with pytest.raises(ModelError, match="refuses") as caught:
        judge(concurrency=1).prefer([str(n) for n in range(50)], ["a"] * 50, ["b"] * 50)
    assert len(endpoint.requests) == 1
    assert KEY not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {"detail": f"pinned to none but 'x', not {KEY}"},
            "400 - {'detail': \"pinned to none but 'x', not ***\"}. Its",
        ),
        (b"out of\nmemory", r"400 - out of\nmemory. Its"),
        ([], "Error code: 400. Its"),
        ({"error": {"message": "pinned"}}, "Error code: 400 - pinned. Its"),
    ],
)
def test_what_a_server_says_in_its_own_form_is_quoted(endpoint, judge, body, said):
    endpoint.answer = lambda messages: (400, body, {})
    with pytest.raises(ModelError, match=re.escape(said)):
        judge().prefer([str(n) for n in range(9)], ["a"] * 9, ["b"] * 9)


def test_without_a_key_nothing_is_blanked(endpoint, judge, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    endpoint.answer = lambda messages: (404, {"detail": "none such"}, {})
    with pytest.raises(ModelError, match=r"none such.*most end in /v1"):
        judge().prefer(["p"], ["a"], ["b"])


def test_what_has_no_verdict_is_said_with_an_example(endpoint, judge):
    heard = []

    class Ears(SilentProgress):
        def say(self, text):
            heard.append(text)

    endpoint.answer = lambda messages: "no\nidea" if parts(messages)[0] == "p2" else longer(messages)
    for _ in range(2):
        judge(progress=Ears()).prefer(PROMPTS, FIRST, SECOND)
    judge(progress=Ears()).prefer(PROMPTS[:1], FIRST[:1], SECOND[:1])
    endpoint.answer = lambda messages: endpoint.error(400, "too long")
    judge(progress=Ears()).prefer(["p4"], ["a"], ["b"])
    assert heard == [
        r"m: 1 of 2 questions have no verdict. One reply ends in 'no\nidea'.",
        "m: 1 of 2 questions have no verdict.",
        "m: 1 of 1 questions have no verdict. One got no reply: BadRequestError: Error code: 400 - too long.",
    ]


def test_an_endpoint_that_answers_nothing_is_given_up_and_what_it_answered_is_kept(endpoint, judge, tmp_path):
    endpoint.answer = lambda messages: (
        "[[A]]" if int(parts(messages)[0]) < 4 else endpoint.error(400, "temperature is not supported")
    )
    many = [[str(n) for n in range(50)], ["a"] * 50, ["b"] * 50]
    # One that has answered may refuse some texts; all that it has not answered stay without a verdict.
    assert judge(concurrency=1).prefer(*many).count(None) == 46
    endpoint.answer = lambda messages: endpoint.error(500, "down")
    with pytest.raises(ModelError, match=r"not answered \d+ questions in a row"):
        judge(tries=1).prefer(*many)
    (tmp_path / "verdicts.jsonl").unlink()
    endpoint.answer = lambda messages: endpoint.error(400, "temperature is not supported")
    with pytest.raises(ModelError, match="temperature is not supported"):
        judge().prefer(*many)


def test_nobody_listens(judge, tmp_path):
    asked = ChatJudge("m", base_url="http://127.0.0.1:9/v1", tries=1)
    with pytest.raises(ModelError, match=r"m at http://127\.0\.0\.1:9/v1/ has not answered \d+ .*refused"):
        asked.prefer([str(n) for n in range(9)], ["a"] * 9, ["b"] * 9)


def test_an_endpoint_that_hangs_is_not_waited_for(endpoint, judge):
    release = threading.Event()

    def answer(messages):
        release.wait(5)
        return "[[A]]"

    endpoint.answer = answer
    started = time.monotonic()
    assert judge(timeout_s=0.2, tries=1).prefer(["p"], ["a"], ["b"]) == [None]
    release.set()
    assert time.monotonic() - started < 4


def test_a_line_that_was_cut_off_is_asked_again(endpoint, judge, tmp_path):
    judge().prefer(PROMPTS[:2], FIRST[:2], SECOND[:2])
    path = tmp_path / "verdicts.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    asked = judge()
    assert asked.prefer(PROMPTS[:2], FIRST[:2], SECOND[:2]) == [1.0, 1.0]
    assert (asked.usage.judged, asked.usage.cached) == (1, 1)
    path.write_text("{}\n")
    with pytest.raises(ArtifactError, match=r"verdicts.jsonl.*no verdict of a judge"):
        judge()


def test_an_edited_verdict_is_named(endpoint, judge, tmp_path):
    judge().prefer(PROMPTS[:2], FIRST[:2], SECOND[:2])
    path = tmp_path / "verdicts.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"preference": 1', b'"preference": 0', 1))
    for read in (judge, lambda: kept_replies(path)):
        with pytest.raises(ArtifactError, match=r"verdicts.jsonl, line 1: damaged.*the others are asked again"):
            read()


def test_two_judges_write_into_one_journal_and_older_verdicts_are_kept(endpoint, judge, tmp_path):
    path = tmp_path / "verdicts.jsonl"
    judge().prefer(["p0"], ["aaa"], ["a"])
    (row,) = ChainedJournal(path).rows
    path.unlink()
    append_rows(path, [row])  # as versions wrote it that had no digests
    one, other = judge(), judge()
    for asked, prompt in ((one, "p1"), (other, "p2"), (one, "p3")):
        asked.prefer([prompt], ["aaa"], ["a"])
    again = judge()
    assert again.prefer([f"p{number}" for number in range(4)], ["aaa"] * 4, ["a"] * 4) == [1.0] * 4
    assert (again.usage.cached, again.usage.judged) == (4, 0)


def test_settings_that_make_no_sense(monkeypatch, endpoint):
    for more in ({"tries": 0}, {"concurrency": 0}, {"timeout_s": 0}):
        with pytest.raises(UsageError, match="all must be above 0"):
            ChatJudge("m", base_url=endpoint.url, **more)
    for address in ("", "localhost:8000/v1", "ftp://localhost/v1", "http://", "http://[", "http://localhost:no/v1"):
        with pytest.raises(UsageError, match=f"The base URL '{re.escape(address)}'"):
            ChatJudge("m", base_url=address)
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UsageError, match="OPENAI_API_KEY"):
        ChatJudge("m")
    assert ChatJudge("m", base_url=endpoint.url).prefer(["p"], ["a"], ["b"]) == [1.0]


def test_a_server_that_is_not_there_is_asked_after(judge):
    asked = ChatJudge("m", base_url="http://127.0.0.1:9/v1", tries=1, concurrency=1)
    with pytest.raises(ModelError, match=r"Is the server running there\?"):
        asked.prefer([str(n) for n in range(9)], ["a"] * 9, ["b"] * 9)


def test_a_server_that_wants_a_key_is_told_apart_from_a_wrong_one(endpoint, judge, monkeypatch):
    endpoint.answer = lambda messages: endpoint.error(401, "who are you")
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ModelError, match=r"key \(OPENAI_API_KEY is not set\)"):
        judge().prefer(["p"], ["a"], ["b"])
