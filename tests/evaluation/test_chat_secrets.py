"""What a chat judge must not show: keys, and names and passwords in addresses."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("openai", reason="the extra `judge` is not installed")

from frft.cli import main
from frft.errors import ModelError, UsageError
from frft.evaluation import ChatJudge
from frft.store import read_rows

KEY = "sk-secret-0123456789"
SECRETS = "http://someone:hunter2@"


def test_no_key_is_in_the_journal(endpoint, judge, tmp_path):
    endpoint.answer = lambda messages: f"{'x' * 1000}{KEY[:7]}{KEY}\n[[A]]"
    judge().prefer(["p"], ["a"], ["b"])
    (row,) = read_rows(tmp_path / "verdicts.jsonl")
    assert row["reply_end"] == "x" * 184 + KEY[:7] + "***\n[[A]]"
    assert KEY not in json.dumps(row)


@pytest.mark.parametrize("key", ["sk-secret\nsecond", "sk secret", "sk-\x07secret", "sk-gehéim"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(monkeypatch, key):
    """The client would quote it in its error."""
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(UsageError, match="OPENAI_API_KEY holds a space") as caught:
        ChatJudge("m", base_url="http://127.0.0.1:1/v1")
    assert "sk" not in str(caught.value)


def test_a_stray_line_end_is_no_part_of_a_key(endpoint, judge, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")
    assert judge().prefer(["p"], ["a"], ["b"]) == [1.0]
    assert endpoint.keys == [f"Bearer {KEY}"]


@pytest.mark.parametrize("how", ["argument", "variable", "command", "configuration"])
def test_a_password_in_the_address_is_refused_and_not_shown(endpoint, how, monkeypatch, tmp_path, capsys):
    """The client would send it instead of the key, and messages and results would show it."""
    endpoint.answer = lambda messages: endpoint.error(401, "who are you")
    url = endpoint.url.replace("http://", SECRETS)
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "p", "completion": "a"}\n')
    if how == "argument":
        with pytest.raises(UsageError) as caught:
            ChatJudge("m", base_url=url).prefer(["p"], ["a"], ["b"])
        said = str(caught.value)
    elif how == "variable":
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        with pytest.raises(UsageError, match="OPENAI_BASE_URL: ") as caught:
            ChatJudge("m").prefer(["p"], ["a"], ["b"])
        said = str(caught.value)
    elif how == "command":
        assert main(["eval", "winrate", str(rows), str(rows), "--judge", "openai:m", "--base-url", url]) == 2
        said = "".join(capsys.readouterr())
    else:
        more = ["evaluation.judge=openai:m", f"evaluation.base_url={url}", "--out", str(tmp_path / "out")]
        assert main(["run", "demo", *more]) == 2
        said = "".join(capsys.readouterr())
        assert not (tmp_path / "out").exists()
    assert "user name or password" in " ".join(said.split())
    assert "//***@" in said
    assert not any(secret in said for secret in ("hunter2", "someone"))
    assert endpoint.requests == []


def test_what_is_no_address_is_shown_without_secrets(endpoint):
    for text in ("htp://someone:hunter2@host/v1", "http://someone:hunter2@:0/v1", "//someone:hunter2@host"):
        with pytest.raises(UsageError, match="is no web address") as caught:
            ChatJudge("m", base_url=text)
        assert "hunter2" not in str(caught.value)


def test_a_key_in_the_query_of_an_address_is_not_shown(endpoint, judge):
    endpoint.answer = lambda messages: endpoint.error(401, "who are you")
    asked = ChatJudge("m", base_url=f"{endpoint.url}?api-key=hunter2", tries=1)
    assert "hunter2" not in asked.description
    with pytest.raises(ModelError, match="refuses") as caught:
        asked.prefer(["p"], ["a"], ["b"])
    assert "hunter2" not in str(caught.value)
