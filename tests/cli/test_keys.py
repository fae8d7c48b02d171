"""Keys of a real terminal (a pseudo-terminal), and characters of a pipe."""

from __future__ import annotations

import io
import os
import pty
import sys
import termios

import pytest

from frft.cli.keys import END, single_keys


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
        os.write(terminal, b"1T\x1b[D\x1b[C\x1b[A\x1bOB\x1b[5~u\xc3\xa4 q\x04")
        # An unknown sequence is no key (its last character is one); neither is what is not ASCII.
        assert [next_key() for _ in range(11)] == ["1", "t", "left", "right", "up", "down", "~", "u", " ", "q", END]
    assert termios.tcgetattr(sys.stdin.fileno()) == before


def test_a_lone_escape_key_is_no_key(terminal):
    with single_keys() as next_key:
        os.write(terminal, b"\x1b")
        os.write(terminal, b"")
        import threading

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
