"""Help answers at once: nothing heavy is imported for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "transformers",
    "trl",
    "scipy",
    "pandas",
    "pyarrow",
    "datasets",
    "sentence_transformers",
    "numpy",
)
COMMANDS = [
    ["--help"], ["--version"], ["run", "--help"], ["select", "--help"], ["reward", "train", "--help"], ["presets"],
    ["init", "hh-small"], ["run", "hh-small", "--out", "x"],
]  # fmt: skip
SHOW_IMPORTS = f"""
import os, sys
from frft.cli import main

for number, arguments in enumerate({COMMANDS!r}):
    # Each in a process of its own, which knows only what the command line needs before any command.
    child = os.fork()
    if child == 0:
        sys.stdout = sys.stderr = open(os.devnull, "w")
        status = main(arguments)
        with open(os.path.join(sys.argv[1], str(number)), "w") as told:
            print(status, *(name for name in {HEAVY!r} if name in sys.modules), file=told)
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """For each command, its exit status and the heavy libraries that it imported."""
    folder = tmp_path_factory.mktemp("told")
    subprocess.run([sys.executable, "-c", SHOW_IMPORTS, str(folder)], check=True, cwd=folder)
    return [(folder / str(number)).read_text().split() for number in range(len(COMMANDS))]


@pytest.mark.parametrize("number", range(len(COMMANDS)), ids=map(" ".join, COMMANDS))
def test_no_heavy_library_is_imported(told, number):
    status, *heavy = told[number]
    assert heavy == []
    assert status == ("2" if COMMANDS[number][-1] == "x" else "0")


def test_the_package_is_a_module_that_can_be_run():
    done = subprocess.run([sys.executable, "-m", "frft", "presets"], capture_output=True, text=True, check=True)
    assert "hh-small" in done.stdout
