"""What a labeller sees: texts that no terminal obeys, side by side where there is room, and nothing that gives away."""

from __future__ import annotations

import sys

import pytest

from frft.cli.label_screen import SIDE_BY_SIDE, LabelScreen, shown_text
from frft.labels import LabelQuestion

QUESTION = LabelQuestion(
    id="0123456789abcdef",
    prompt="\n\nSystem: Be brief.\n\nHuman: [bold]Why[/bold]?\x1b]0;title\x07\n\nAssistant: So."
    "\n\nHuman: And?\n\nAssistant:",
    left=" Left \x1b[2J text.",
    right=" Right text.\n" + "word " * 60,
    pick="secret-rule",
    purpose="audit",
    pair="secret-pair",
    pool_choice="left",
    policy="secret-policy",
    step=4321,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mred\x9b31m", "a\\x1b[31mred\\x9b31m"),
        ("abc\u202edef\u2066", "abc\\u202edef\\u2066"),
        ("one\r\ntwo\rthree\n\tfour", "one\ntwo\\rthree\n    four"),
        ("no\xa0break\u3000wide", "no break wide"),
        ("می\u200cخواهم 👩\u200d🚀 é 東京", "می\u200cخواهم 👩\u200d🚀 é 東京"),
        ("\udc80\x00\x7f\u2028", "\\udc80\\x00\\x7f\\u2028"),
    ],
)
def test_texts_are_shown_as_they_are_but_for_what_a_terminal_obeys(text, shown):
    assert shown_text(text) == shown


@pytest.mark.parametrize("width", [40, 80, SIDE_BY_SIDE, 160])
def test_a_question_fits_and_gives_nothing_away(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    LabelScreen().show(QUESTION, "3 answered, 0 skipped, 2 open")
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert all(len(line) <= width for line in lines)
    assert "secret" not in printed
    assert "4321" not in printed
    assert "\x1b" not in printed
    assert "\x07" not in printed
    assert "[bold]Why[/bold]?" in printed
    for speaker in ("System: Be brief.", "Assistant: So.", "User: And?"):
        assert speaker in printed
    assert printed.count("word") == 60
    beside = any("Left" in line and "Right" in line for line in lines)
    assert beside == (width >= SIDE_BY_SIDE)


def test_a_terminal_is_cleared_and_a_file_is_not(monkeypatch, capsys):
    LabelScreen().show(QUESTION, "")
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    LabelScreen().show(QUESTION, "")
    assert "\x1b[2J" in capsys.readouterr().out
