"""A person answers: keys and undo by a pipe; a real terminal, killed and interrupted in the middle."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time

import pytest

from frft.cli import main
from frft.labels import QueueHead, draw_questions, open_queue, policy_candidates, read_queue, write_queue

TEXTS = [(f"Question {n}?", f"Answer {side} {n}") for n in range(8) for side in "ab"]


@pytest.fixture
def path(tmp_path):
    drawn = draw_questions(policy_candidates(*zip(*TEXTS, strict=True)), 8, seed=0)
    write_queue(tmp_path / "q", QueueHead(1, "2026-01-02T03:04:05+00:00", "random", 0, 8, {}, {}), drawn.questions)
    return tmp_path / "q"


def given(path, name="Ann"):
    return [answer.choice for answer in read_queue(path).answers(name)]


def type_in(monkeypatch, path, keys, name="Ann"):
    monkeypatch.setattr(sys, "stdin", io.StringIO(keys))
    return main(["label", "answer", str(path), "--as", name])


def test_keys_undo_and_going_on(path, monkeypatch, capsys, shown, fits):
    assert type_in(monkeypatch, path, "u1x2t\nu s q") == 0
    printed = capsys.readouterr().out
    assert "There is no answer of yours to take back" in printed
    assert "x is none of the keys" in printed
    assert "4 answers given, 1 taken back. Of 8 questions, Ann has answered 2 and skipped 1; 5 still open." in printed
    assert given(path) == ["left", "right", "skip"]
    # The question whose answer was taken back is asked again at once, in a later session, too.
    third = list(read_queue(path).questions)[2]
    assert type_in(monkeypatch, path, "u0") == 0
    answers = read_queue(path).answers("Ann")
    assert [(each.question, each.choice, each.position) for each in answers][2:] == [(third, "tie", 4)]
    # The input ends with the last answer of all, or before.
    assert type_in(monkeypatch, path, "1" * 5) == 0
    assert given(path) == ["left", "right", "tie", *["left"] * 5]
    capsys.readouterr()
    assert type_in(monkeypatch, path, "1") == 0
    assert "0 answers given" in capsys.readouterr().out
    assert type_in(monkeypatch, path, "2", "Bob") == 0
    assert given(path, "Bob") == ["right"]
    fits(shown)


def test_names_are_shown_escaped_and_blank_ones_refused(path, monkeypatch, capsys):
    assert type_in(monkeypatch, path, "1q", "\x1b[31mred") == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\\x1b[31mred has answered 1" in printed
    assert type_in(monkeypatch, path, "1q", " ") == 2
    assert "--as is blank" in capsys.readouterr().err


class Terminal:
    """`frft label answer` at a pseudo-terminal."""

    def __init__(self, path):
        self.ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "frft", "label", "answer", str(path), "--as", "Ann"]
        # A shell, or pytest's workers, may have exported the size of another window.
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True,
            preexec_fn=self._control,
        )  # fmt: skip
        os.close(theirs)
        self.seen = ""

    @staticmethod
    def _control():
        import fcntl

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        # Whoever has started these tests in the background has made their processes deaf to Ctrl-C.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    def wait_for(self, text, limit_s=60.0):
        """Read until a text is shown, however its lines are broken, and forget (and return) all up to its end."""
        wanted, end = re.compile(r"\s+".join(map(re.escape, text.split()))), time.monotonic() + limit_s
        while not (found := wanted.search(self.seen)):
            assert time.monotonic() < end, self.seen
            if select.select([self.ours], [], [], 0.1)[0]:
                self.seen += os.read(self.ours, 65536).decode(errors="replace")
        shown, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return shown

    def press(self, keys):
        os.write(self.ours, keys)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.ours)


@pytest.fixture
def terminal(path):
    opened = []

    def start():
        opened.append(Terminal(path))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def test_a_killed_session_keeps_every_answer_and_goes_on(path, terminal):
    first = terminal()
    first.wait_for("0 answered, 0 skipped, 8 open")
    first.press(b"\x1b[D")
    first.wait_for("1 answered")
    first.press(b"\x1b[C")
    first.wait_for("2 answered")
    # While it runs, there is no second writer, but there are readers.
    assert main(["label", "answer", str(path), "--as", "Bob"]) == 2
    assert given(path) == ["left", "right"]
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    # A kill in the middle of a write leaves half a row.
    path.write_bytes(path.read_bytes() + b'{"row": "answer", "ques')
    second = terminal()
    second.wait_for("half a row")
    second.wait_for("2 answered, 0 skipped, 6 open")
    second.press(b"t")
    second.wait_for("3 answered")
    second.press(b"\x03")
    second.wait_for("interrupted. All answers are kept, and the same command goes on with them.")
    assert second.process.wait() == 130
    assert given(path) == ["left", "right", "tie"]
    with open_queue(path) as queue:
        answers = queue.answers("Ann")
        assert [each.question for each in answers] == list(queue.questions)[:3]
        assert all(0 <= each.seconds < 60 for each in answers)


def test_another_window_is_filled_again_and_a_question_longer_than_it_says_so(path, terminal):
    first = terminal()
    # A terminal that does not know its size has the one that was exported.
    assert "─" * 79 in first.wait_for("take back q stop").replace("╭─ 1 ", "─" * 5)
    termios.tcsetwinsize(first.ours, (8, 60))
    first.wait_for("0 answered, 0 skipped, 8 open")
    drawn = first.wait_for("take back q stop This is longer than the window: scroll up for its beginning.")
    assert max(len(re.sub("\x1b\\[[0-9;]*[A-Za-z]", "", line)) for line in drawn.splitlines()) == 60
    termios.tcsetwinsize(first.ours, (50, 60))
    first.wait_for("0 answered, 0 skipped, 8 open")
    # Shift and an arrow, and F9, hold digits that are answers elsewhere.
    first.press(b"\x1b[1;2B\x1b[20~q")
    first.wait_for("0 answers given")
    assert "longer than" not in first.seen
    assert given(path) == []
