"""Signals end a process in order, a launcher's death ends its processes, and neither hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from textwrap import dedent

import pytest

from frft.stopping import (
    GRACE_S,
    StoppedBySignal,
    asked_to_end,
    end_now,
    ends_in_order,
    saves_before_it_ends,
)

from .processes import is_running

STATUSES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
HEAD = """
    import ctypes, os, signal, sys, threading, time
    from frft import stopping

    stopping.GRACE_S, stopping.END_S, stopping.AGAIN_S = 0.5, 1.0, 0.2

    def held_up(library=ctypes.CDLL(None)):
        # A default mutex that is locked twice: no signal comes through to Python.
        mutex = ctypes.create_string_buffer(64)
        for _ in range(2):
            library.pthread_mutex_lock(mutex)

    def begun():
        print("begun", flush=True)
"""


PROGRAM = """
    from frft import cli

    def command(arguments):
        begun()
        try:
            time.sleep(60)
        except stopping.StoppedBySignal as stop:
            return stop.exit_status

    cli._main = command
    {hangs}
    sys.exit(cli.main())
"""


class Script:
    """A Python process that runs lines of code and prints "begun"."""

    def __init__(self, code, **environment):
        command = [sys.executable, "-c", dedent(HEAD) + dedent(code)]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        assert self.process.stdout.readline() == "begun\n"

    def send(self, *signals, pause=0.0):
        for number in signals:
            self.process.send_signal(number)
            time.sleep(pause)
        return self

    def end(self):
        # Not `communicate`, which does not see what readline has taken into its buffer.
        killer = threading.Timer(30, self.process.kill)
        killer.start()
        with self.process.stdout as out, self.process.stderr as err:
            said = out.read(), err.read()
        killer.cancel()
        return self.process.wait(), *said


@pytest.fixture(autouse=True)
def as_at_a_terminal():
    """Whoever started these tests in the background, or by nohup, has made this process deaf."""
    before = [signal.signal(signal.SIGINT, signal.default_int_handler), signal.signal(signal.SIGHUP, signal.SIG_DFL)]
    yield
    for number, handler in zip((signal.SIGINT, signal.SIGHUP), before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STATUSES)
def test_a_signal_ends_what_is_under_way_at_once(number):
    before = [signal.getsignal(each) for each in STATUSES]
    with pytest.raises(StoppedBySignal) as stopped, ends_in_order():
        signal.raise_signal(number)
    assert stopped.value.exit_status == STATUSES[number]
    assert isinstance(stopped.value, KeyboardInterrupt), "except Exception does not hold it up"
    assert [signal.getsignal(each) for each in STATUSES] == before
    assert asked_to_end() is None, "the next command starts anew"


@pytest.mark.parametrize(
    ("hangs", "by_alarm"),
    [
        ("threading.Thread(target=time.sleep, args=(60,)).start()", False),
        ("import atexit; atexit.register(time.sleep, 60)", False),
        ("import atexit; atexit.register(held_up, ctypes.PyDLL(None))", True),
    ],
    ids=["thread", "atexit", "all threads"],
)
def test_a_program_that_hangs_at_its_very_end_is_gone_in_time(hangs, by_alarm):
    script = Script(PROGRAM.replace("{hangs}", hangs)).send(signal.SIGHUP)
    began = time.monotonic()
    status, _, err = script.end()
    assert status == (-signal.SIGALRM if by_alarm else 129), err
    assert 0.5 < time.monotonic() - began < 10


def test_a_program_that_was_told_nothing_is_waited_for():
    hangs = "threading.Thread(target=time.sleep, args=(2,)).start(); cli._main = lambda _: begun() or 0"
    assert Script(PROGRAM.replace("{hangs}", hangs)).end()[0] == 0


def test_a_signal_that_is_ignored_stays_so_and_a_hosts_handler_is_the_hosts():
    heard = []
    hosts = signal.signal(signal.SIGTERM, lambda *_: heard.append("host"))
    hung_up = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ends_in_order():
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
        assert heard == ["host"]
        assert asked_to_end() is None
    finally:
        signal.signal(signal.SIGTERM, hosts)
        signal.signal(signal.SIGHUP, hung_up)


def test_a_training_goes_on_until_it_has_saved(capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    with ends_in_order(), saves_before_it_ends():
        assert asked_to_end() is None
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
        assert asked_to_end() == signal.SIGTERM
        end_now(None)
        with pytest.raises(StoppedBySignal, match="SIGTERM"):
            end_now(asked_to_end())
    said = capfd.readouterr().err
    assert f"ends after this step, with a checkpoint, within {GRACE_S:.0f} s" in " ".join(said.split())
    assert max(map(len, said.splitlines())) <= 40


def test_after_its_grace_a_training_is_left_and_a_second_exception_does_not_tear_the_end():
    ended = Script("""
        with stopping.ends_in_order():
            try:
                with stopping.saves_before_it_ends():
                    begun()
                    time.sleep(20)
            except stopping.StoppedBySignal as stop:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.1)
                print(stop, flush=True)
    """)
    began = time.monotonic()
    status, out, err = ended.send(signal.SIGTERM).end()
    assert (status, out) == (0, "SIGTERM\n"), err
    assert 0.5 <= time.monotonic() - began < 15


HELD_UP = """
    {guard}
    with stopping.ends_in_order(), stopping.saves_before_it_ends():
        begun()
        held_up()
"""


def test_what_holds_python_up_is_ended_all_the_same_and_without_the_guard_it_is_not():
    scripts = [Script(HELD_UP.format(guard=guard)) for guard in ("", "stopping._see_to_the_end = lambda *given: None")]
    time.sleep(1)  # until they are held up
    for script in scripts:
        script.send(signal.SIGTERM)
    assert scripts[0].end()[0] == 143
    assert scripts[1].process.poll() is None
    assert scripts[1].send(signal.SIGKILL).end()[0] == -signal.SIGKILL


TRAINING = """
    stopping.GRACE_S, stopping.END_S, stopping.AGAIN_S = 60, 90, {again_s}
    with stopping.ends_in_order(), stopping.saves_before_it_ends():
        begun()
        while stopping.asked_to_end() is None or {hangs}:
            time.sleep(0.05)
        time.sleep(0.5)
        stopping.end_now(stopping.asked_to_end())
"""


def test_a_second_ctrl_c_ends_at_once():
    script = Script(TRAINING.format(again_s=0.2, hangs=True))
    for _ in range(40):
        script.send(signal.SIGINT, pause=0.3)
        if script.process.poll() is not None:
            break
    assert script.end()[0] == 130


def test_a_ctrl_c_that_a_launcher_has_passed_on_is_no_second_one():
    status, _, err = Script(TRAINING.format(again_s=30, hangs=False)).send(signal.SIGINT, signal.SIGINT).end()
    assert status == 1
    assert "StoppedBySignal: SIGINT" in err, "it came to its end"


def test_a_worker_ends_by_sigterm_alone_and_saves_first():
    idle = """
        stopping.ends_as_worker()
        begun()
        time.sleep(20)
    """
    deaf = Script(idle).send(signal.SIGINT, signal.SIGHUP, pause=0.1)
    assert deaf.process.poll() is None
    assert deaf.send(signal.SIGTERM).end() == (143, "", "")
    saved = Script("""
        stopping.ends_as_worker()
        with stopping.saves_before_it_ends():
            begun()
            while stopping.asked_to_end() is None:
                time.sleep(0.01)
            print("saved", flush=True)
            stopping.end_now(stopping.asked_to_end())
    """)
    assert saved.send(signal.SIGTERM).end() == (143, "saved\n", "")
    held_up = Script("""
        stopping.ends_as_worker()
        with stopping.saves_before_it_ends():
            begun()
            held_up()
    """)
    assert held_up.send(signal.SIGTERM).end()[0] == 143


def test_a_signal_to_a_forked_process_does_not_wake_the_one_that_it_was_forked_from():
    status, out, err = Script("""
        with stopping.ends_in_order():
            reads, writes = os.pipe()
            if (child := os.fork()) == 0:
                try:
                    os.write(writes, b"x")
                    time.sleep(20)
                finally:
                    os._exit(7)
            os.read(reads, 1)
            os.kill(child, signal.SIGTERM)
            begun()
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
            time.sleep(1.2)
            print("goes on", flush=True)
    """).end()
    assert (status, out) == (0, "7\ngoes on\n"), err


LAUNCHER = """
    import subprocess
    child = '''
    import os, sys, time
    from frft import stopping
    if sys.argv[1] == "old":
        del os.pidfd_open
        stopping._POLL_S = 0.05
    stopping.ends_with_launcher()
    print("begun", flush=True)
    time.sleep(20)
    '''
    given = [sys.executable, "-c", child, os.environ["SYSTEM"]]
    print("begun", flush=True)
    process = subprocess.Popen(given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout.readline() == b"begun\\n"
    print(process.pid, flush=True)
    time.sleep(20)
"""


@pytest.mark.parametrize(
    ("variable", "system", "ends"),
    [
        ("TORCHELASTIC_RUN_ID", "linux", True),
        ("TORCHELASTIC_RUN_ID", "old", True),
        ("UNREAD", "linux", False),
        # Exported in a shell, or inherited from a launcher further above.
        ("ACCELERATE_MIXED_PRECISION", "linux", False),
    ],
)
def test_a_rank_ends_with_its_launcher_and_a_run_of_a_shell_does_not(variable, system, ends):
    launcher = Script(LAUNCHER, SYSTEM=system, **{variable: "no"})
    rank = int(launcher.process.stdout.readline())
    launcher.process.kill()
    launcher.end()
    deadline = time.monotonic() + (10 if ends else 0.5)
    while is_running(rank) and time.monotonic() < deadline:
        time.sleep(0.02)
    try:
        assert is_running(rank) is not ends
    finally:
        with suppress(ProcessLookupError):
            os.kill(rank, signal.SIGKILL)


@pytest.mark.parametrize(
    ("session", "name", "ends"), [(0, "accelerate", True), (1, "accelerate", False), (0, "x", False)]
)
def test_only_what_accelerate_has_not_detached_ends_with_it(session, name, ends, tmp_path):
    # A program of that name, which starts one as accelerate does; below, it is accelerate itself.
    script = tmp_path / name
    script.write_text(
        dedent(HEAD) + dedent(LAUNCHER).replace("stdout=subp", f"start_new_session=bool({session}), stdout=subp")
    )
    environment = {**os.environ, "ACCELERATE_MIXED_PRECISION": "no", "SYSTEM": "linux"}
    launcher = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment)
    assert launcher.stdout.readline() == "begun\n"
    process = int(launcher.stdout.readline())
    launcher.kill()
    launcher.communicate()
    deadline = time.monotonic() + (10 if ends else 0.5)
    while is_running(process) and time.monotonic() < deadline:
        time.sleep(0.02)
    try:
        assert is_running(process) is not ends
    finally:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


LAUNCHED = """
    import os, pathlib, sys, time
    from frft import stopping

    stopping.ends_with_launcher()
    with stopping.ends_in_order(), stopping.saves_before_it_ends():
        print(os.getpid(), flush=True)
        deadline = time.monotonic() + 60
        while stopping.asked_to_end() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        pathlib.Path(sys.argv[1]).write_text(f"signal {stopping.asked_to_end()}")
"""


@pytest.mark.parametrize("told", [signal.SIGKILL, signal.SIGTERM])
def test_a_single_process_of_accelerate_saves_and_ends_with_it(told, tmp_path):
    script, saved = tmp_path / "script.py", tmp_path / "saved"
    script.write_text(dedent(LAUNCHED))
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes=1", "--quiet"]
    # Not through a shell's pipe: the process keeps its end of one open.
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        launcher = subprocess.Popen([*launch, str(script), str(saved)], stdout=out, stderr=err)
    deadline = time.monotonic() + 60
    while not (said := (tmp_path / "out").read_text()) and launcher.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert said, (tmp_path / "err").read_text()
    process = int(said)
    try:
        launcher.send_signal(told)
        launcher.wait(10)
        deadline = time.monotonic() + 10
        while is_running(process) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not is_running(process)
        assert saved.read_text() == f"signal {signal.SIGTERM:d}"
    finally:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
