"""The fork server does not outlive who started it, neither while it imports nor when it ends; no other process is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from .processes import is_running

SERVER, ANYBODY = "multiprocessing.forkserver", "anybody"


@pytest.mark.parametrize(("who", "said"), [(SERVER, ""), (ANYBODY, "ended\n")])
def test_the_fork_server_and_nobody_else_ends_without_taking_anything_down(who, said):
    code = f"""# {who}
import frft.fork_server
class Object:
    def __del__(self):
        print('ended', flush=True)
held = Object()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, said), ended.stderr


def test_only_a_process_of_the_server_looks_for_garbage_and_not_among_what_was_there():
    code = f"""# {SERVER}
import gc, os
import frft.fork_server
print(gc.isenabled(), flush=True)
if not os.fork():
    print(gc.isenabled(), gc.get_freeze_count() > 1000, flush=True)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.stdout.splitlines() == ["False", "True True"], ended.stderr


STARTER = '''
import subprocess, sys, time
code = "# " + sys.argv[1] + """
import frft.fork_server, time
print("imports", flush=True)
while True:
    time.sleep(0.01)
"""
process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
assert process.stdout.readline() == b"imports\\n"
print(process.pid, flush=True)
time.sleep(60)
'''


@pytest.mark.parametrize(("who", "ends"), [(SERVER, True), (ANYBODY, False)])
def test_a_server_that_is_importing_ends_with_its_starter(who, ends):
    with subprocess.Popen([sys.executable, "-c", STARTER, who], stdout=subprocess.PIPE) as starter:
        server = int(starter.stdout.readline())
        starter.kill()
    deadline = time.monotonic() + (20 if ends else 1.5)
    while is_running(server) and time.monotonic() < deadline:
        time.sleep(0.02)
    try:
        assert is_running(server) is not ends
    finally:
        with suppress(ProcessLookupError):
            os.kill(server, signal.SIGKILL)


def test_forked_processes_have_no_timer_and_their_own_handler():
    code = f"""# {SERVER}
import frft.fork_server, os, signal
if os.fork() == 0:
    free = signal.getitimer(signal.ITIMER_REAL) == (0, 0) and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    os._exit(7 if free else 1)
print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60).stdout == "7\n"
