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
SHOW_IMPORTS = f"""
import sys
from frft.cli import main
status = main(sys.argv[1:])
print("HEAVY:", [name for name in {HEAVY!r} if name in sys.modules], "STATUS:", status)
"""


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["run", "--help"], ["select", "--help"], ["reward", "train", "--help"], ["presets"],
     ["init", "hh-small"], ["run", "hh-small", "--out", "x"]],
    ids=" ".join,
)  # fmt: skip
def test_no_heavy_library_is_imported(arguments):
    done = subprocess.run([sys.executable, "-c", SHOW_IMPORTS, *arguments], capture_output=True, text=True, check=True)
    assert "HEAVY: []" in done.stdout


def test_the_package_is_a_module_that_can_be_run():
    done = subprocess.run([sys.executable, "-m", "frft", "presets"], capture_output=True, text=True, check=True)
    assert "hh-small" in done.stdout
