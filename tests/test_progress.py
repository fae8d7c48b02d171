"""Progress: remaining time for people and for logs, and no markup from data."""

import io
import os
import re

import pytest
from rich.console import Console

from frft import progress
from frft.progress import SILENT, BarProgress, LineProgress, duration, for_terminal


class Clock:
    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_silence_says_nothing(capsys):
    with SILENT.task("work", 2) as task:
        task.advance()
        task.advance(1, "note")
    SILENT.say("text")
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_lines_tell_the_remaining_time(clock, capsys):
    with LineProgress().task("PPO", 100) as task:
        for _ in range(20):
            clock.now += 2
            task.advance(note="kl 0.1")
    captured = capsys.readouterr()
    assert captured.out == ""
    # After 16 s 8 of 100 are done at 2 s each: 184 s are left.
    assert captured.err.splitlines() == [
        "PPO: 8/100, 3 min 04 s left  kl 0.1",
        "PPO: 16/100, 2 min 48 s left  kl 0.1",
        "PPO: done in 40 s",
    ]


def test_lines_wait_for_the_first_unit(clock, capsys):
    with LineProgress().task("PPO", 4) as task:
        clock.now += 60
        task.advance(0)
        task.advance(1)
    assert capsys.readouterr().err.splitlines()[0] == "PPO: 1/4, 3 min 00 s left"


def test_short_work_makes_no_lines(clock, capsys):
    with LineProgress().task("quick", 3) as task:
        task.advance(3)
    assert capsys.readouterr().err == ""


def test_work_that_failed_is_not_called_done(clock, capsys):
    def fail():
        with LineProgress().task("PPO", 2):
            clock.now += 60
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert capsys.readouterr().err == ""


@pytest.fixture
def bars(monkeypatch):
    """Bars on a console that is no terminal, and what they wrote."""
    written = io.StringIO()
    monkeypatch.setattr("rich.console.Console", lambda stderr: Console(file=written, width=100))
    return BarProgress(), written


def test_bars_work_without_a_terminal(bars):
    bar_progress, written = bars
    with bar_progress.task("outer", 2) as outer, bar_progress.task("inner", 3) as inner:
        inner.advance(2, "loss 0.3")
        outer.advance()
        bar_progress.say("one line")
    assert "one line\n" in written.getvalue()
    assert not bar_progress._bars.live.is_started


def test_bars_do_not_interpret_markup(bars):
    bar_progress, written = bars
    hostile = "[bold]not bold[/bold] [link=http://x]y[/link] [/nothing]"
    with bar_progress.task(hostile, 2) as task:
        task.advance(1, hostile)
        bar_progress.say(hostile)
    assert hostile in written.getvalue()


def test_bars_show_descriptions_and_notes_as_they_are():
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=200)
    bar_progress = BarProgress()
    bar_progress._bars.live.console = console
    with bar_progress.task("[red]arm[/red]", 4) as task:
        task.advance(1, "[b]note[/b]")
        console.print(bar_progress._bars.get_renderable())
    text = console.file.getvalue()
    assert "[red]arm[/red]" in text
    assert "[b]note[/b]" in text
    assert "1/4" in text
    assert "0 s gone" in text


SAID = "Embedding the chosen completions, of which 12.5 GiB are kept in memory until the last one was read"
NOTE = "reward 1.234, KL 0.0123, entropy 2.3"


@pytest.mark.parametrize("width", [80, 40])
@pytest.mark.parametrize("is_terminal", [False, True])
def test_lines_fit_the_width(width, is_terminal, clock, capsys, monkeypatch):
    if is_terminal:
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
        monkeypatch.setattr("sys.stderr.fileno", lambda: 2)
        monkeypatch.setattr("os.get_terminal_size", lambda _: os.terminal_size((width, 24)))
    else:
        monkeypatch.setenv("COLUMNS", str(width))
    with LineProgress().task(SAID, 1000) as task:
        clock.now += 3600
        task.advance(100, NOTE)
    LineProgress().say(SAID)
    lines = capsys.readouterr().err.splitlines()
    assert max(map(len, lines)) <= width
    assert " ".join(" ".join(lines).split()) == (
        f"{SAID}: 100/1000, 9 h 00 min left {NOTE} {SAID}: done in 1 h 00 min {SAID}"
    )
    assert any("12.5 GiB" in line for line in lines)


def test_lines_that_no_terminal_shows_are_not_broken(clock, capsys):
    LineProgress().say(SAID)
    assert capsys.readouterr().err == f"{SAID}\n"


@pytest.mark.parametrize("width", [80, 40])
def test_bars_fit_the_width_and_nothing_is_cut(width):
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=width)
    bar_progress = BarProgress()
    bar_progress._bars.live.console = console
    with bar_progress.task(SAID, 12000) as task, bar_progress.task("PPO (steps)", 100) as steps:
        task.advance(7000)
        steps.advance(30, NOTE)
        bar_progress.say(SAID)
        said = re.sub(r"\x1b\[\S*?[A-Za-z]", "", console.file.getvalue())
        rows = Console(file=io.StringIO(), width=width)
        rows.print(bar_progress._bars.get_renderable())
    assert SAID in " ".join(said.split())
    assert max(len(line) for line in said.replace("\r", "\n").splitlines()) <= width
    lines = rows.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    words = " ".join(" ".join(line[progress.BAR_WIDTH :] for line in lines).split())
    assert words == f"{SAID}: 7000/12000, 0 s gone PPO (steps): 30/100, 0 s gone {NOTE}"


def test_bars_stop_when_work_fails(bars):
    bar_progress, _ = bars
    with pytest.raises(RuntimeError), bar_progress.task("work", 2):
        raise RuntimeError
    assert not bar_progress._bars.live.is_started
    with bar_progress.task("again", 1) as task:
        task.advance()


def test_nothing_that_is_said_can_paint_the_terminal(bars, capsys):
    bar_progress, written = bars
    for each in (LineProgress(), bar_progress):
        each.say("a \x1b[31mred\x1b[0m path")
    said = "a \\x1b[31mred\\x1b[0m path\n"
    assert capsys.readouterr().err == said
    assert written.getvalue() == said


@pytest.mark.parametrize(("terminal", "kind"), [(True, BarProgress), (False, LineProgress)])
def test_the_kind_follows_the_terminal(monkeypatch, terminal, kind):
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    monkeypatch.setattr("sys.stderr", stream)
    assert isinstance(for_terminal(), kind)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (61, "1 min 01 s"),
        (3599.7, "1 h 00 min"),
        (7620, "2 h 07 min"),
    ],
)
def test_durations_read_like_a_person_says_them(seconds, text):
    assert duration(seconds) == text
