"""A lock has one holder at a time."""

from __future__ import annotations

import subprocess
import sys

from frft.store import locked

HOLDER = """
import sys
from pathlib import Path
from frft.store import locked

with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_waits_says_so_once_and_gets_it_when_the_holder_is_gone(tmp_path):
    path = tmp_path / "locks" / "one"
    command = [sys.executable, "-c", HOLDER, str(path)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    waited = []

    def end_the_holder():
        waited.append(path)
        holder.kill()

    with locked(path, end_the_holder):
        assert waited == [path]
    holder.communicate(timeout=30)
    with locked(path, lambda: waited.append("again")):
        assert waited == [path]


def test_other_locks_are_free(tmp_path):
    with locked(tmp_path / "one"), locked(tmp_path / "two"):
        pass
