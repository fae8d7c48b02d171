"""Keys of a real terminal (a pseudo-terminal), and characters of a pipe."""

from __future__ import annotations

import io
import os
import pty
import sys
import termios
import threading

import pytest

from frft.cli.keys import END, RESIZED, single_keys


@pytest.fixture
def terminal(monkeypatch):
    """The end of a terminal at which the keys are pressed; standard input is the other one."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield ours
    os.close(ours)


def test_keys_count_when_they_are_pressed_and_arrows_are_one_key(terminal):
    before = termios.tcgetattr(sys.stdin.fileno())
    with single_keys() as next_key:
        os.write(terminal, b"1T\x1b[D\x1b[C\x1b[A\x1bOBu\xc3\xa4 q\x04")
        # What is not ASCII is no key.
        assert [next_key() for _ in range(10)] == ["1", "t", "left", "right", "up", "down", "u", " ", "q", END]
    assert termios.tcgetattr(sys.stdin.fileno()) == before


@pytest.mark.parametrize(
    "sequence",
    # Page up, Shift and an arrow, Ctrl and an arrow, F9, F12, F1 of xterm, F2 of the Linux console, Alt and a key.
    ["[5~", "[1;2B", "[1;5D", "[20~", "[24~", "OP", "[[B", "1"],
)
def test_the_digits_of_other_keys_are_no_answers(terminal, sequence):
    with single_keys() as next_key:
        os.write(terminal, b"\x1b" + sequence.encode() + b"s")
        assert next_key() == "s"


def test_another_size_of_the_window_is_told_once(terminal):
    with single_keys() as next_key:
        termios.tcsetwinsize(terminal, (30, 120))
        assert next_key() == RESIZED
        threading.Timer(0.6, os.write, (terminal, b"s")).start()
        assert next_key() == "s"


def test_a_lone_escape_key_is_no_key(terminal):
    with single_keys() as next_key:
        os.write(terminal, b"\x1b")
        os.write(terminal, b"")
        threading.Timer(0.3, os.write, (terminal, b"s")).start()
        assert next_key() == "s"


def test_a_terminal_is_as_before_after_an_error(terminal):
    before = termios.tcgetattr(sys.stdin.fileno())
    with pytest.raises(KeyboardInterrupt), single_keys():
        raise KeyboardInterrupt
    assert termios.tcgetattr(sys.stdin.fileno()) == before


def test_characters_of_a_pipe_are_keys_without_the_blanks_between_them(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("1\n 2\tT"))
    with single_keys() as next_key:
        assert [next_key() for _ in range(4)] == ["1", "2", "t", END]
