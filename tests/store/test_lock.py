"""A lock has one holder at a time."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from frft.errors import OutputError
from frft.store import LAUNCHER_LOCK, locked, sole_launcher

HOLDER = """
import sys
from pathlib import Path
import pytest

from frft.errors import OutputError
from frft.store import LAUNCHER_LOCK, locked, sole_launcher

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


def test_a_launcher_is_alone_and_leaves_nothing(tmp_path):
    folder = tmp_path / "new" / "folder"
    with sole_launcher(folder):
        said = rf"process {os.getpid()} on .* is at work there .*\.lock\)\. Wait until"
        with pytest.raises(OutputError, match=said), sole_launcher(folder):
            pass
        assert (folder / LAUNCHER_LOCK).is_file()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file" / "below", tmp_path / ("x" * 300)):
        with pytest.raises(OutputError, match=r"cannot be written: .*\. Name another folder"), sole_launcher(folder):
            pass


def test_an_error_of_the_block_is_its_own(tmp_path):
    with pytest.raises(PermissionError, match="of the block"), sole_launcher(tmp_path):
        raise PermissionError("of the block")
