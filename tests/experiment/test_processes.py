"""Processes that end with the one that started them, and have no last word."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

SCRIPT = """
    import sys, time
    from pathlib import Path

    from frft.experiment.processes import process_pool, without_interrupts

    def begin(told):
        Path(told).touch()

    def draw(bar):
        from tqdm import tqdm

        for _ in tqdm(range(2), disable=True):
            Path(bar).touch()
        time.sleep(600)

    if __name__ == "__main__":
        told, bar = map(Path, sys.argv[1:])
        with process_pool(1, begin, (str(told),)) as executor:
            with without_interrupts():
                executor.submit(draw, str(bar))
            while not bar.exists():
                time.sleep(0.02)
            assert told.exists()
            raise KeyboardInterrupt
"""


def test_a_worker_that_is_stopped_while_it_shows_progress_leaves_nothing_to_be_said(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(dedent(SCRIPT))
    command = [sys.executable, str(script), str(tmp_path / "told"), str(tmp_path / "bar")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.stderr.splitlines()[-1] == "KeyboardInterrupt"
    assert "leaked" not in ended.stderr
    assert "resource_tracker" not in ended.stderr
