"""Processes that end with the one that started them, and have no last word."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

import pytest

from ..e2e.processes import hears_ctrl_c
from ..processes import run_python

SCRIPT = """
    import os, signal, sys, time
    from pathlib import Path

    from frft.experiment import processes
    from frft.experiment.processes import process_pool, without_interrupts

    # Nothing is computed here: the server need not import what computes.
    processes.PRELOADED = ()

    def begin(told):
        Path(told).touch()

    def interrupted():
        os.kill(os.getpid(), signal.SIGINT)
        return "goes on"

    def draw(bar):
        from tqdm import tqdm

        for _ in tqdm(range(2), disable=True):
            Path(bar).touch()
        time.sleep(600)

    if __name__ == "__main__":
        told, bar = map(Path, sys.argv[1:])
        with process_pool(1, begin, (str(told),)) as executor:
            with without_interrupts():
                done = executor.submit(interrupted)
            print(done.result())
        assert told.exists()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        told.unlink()
        with process_pool(1, begin, (str(told),)) as executor:
            with without_interrupts():
                executor.submit(draw, str(bar))
            while not bar.exists():
                time.sleep(0.02)
            assert told.exists()
            raise KeyboardInterrupt
"""


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """The script's end, in a new interpreter: the server that tests fork from may have been started deaf."""
    folder = tmp_path_factory.mktemp("pools")
    (folder / "script.py").write_text(dedent(SCRIPT))
    command = [sys.executable, *(str(folder / name) for name in ("script.py", "told", "bar"))]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, preexec_fn=hears_ctrl_c)


def test_ctrl_c_is_not_for_workers_but_for_the_process_that_started_them(ended):
    assert ended.stdout.splitlines() == ["goes on"], ended.stderr


def test_a_worker_that_is_stopped_while_it_shows_progress_leaves_nothing_to_be_said(ended):
    assert ended.stderr.splitlines()[-1] == "KeyboardInterrupt"
    assert "leaked" not in ended.stderr
    assert "resource_tracker" not in ended.stderr


SET_ASIDE = """
    import gc

    from frft.experiment.processes import libraries_set_aside

    class Known:
        pass

    gc.unfreeze()
    known = Known()
    with libraries_set_aside():
        assert gc.get_freeze_count() > 100_000
        assert not any(each is known for each in gc.get_objects())
    assert gc.get_freeze_count() == 0
    assert any(each is known for each in gc.get_objects())
    gc.freeze()
    with libraries_set_aside():
        pass
    assert gc.get_freeze_count() > 100_000, "what the host has set aside is so no longer"
    # Whether garbage is looked for is the host's to say.
    for say, said in ((gc.disable, False), (gc.enable, True)):
        say()
        with libraries_set_aside():
            assert gc.isenabled() is said
        assert gc.isenabled() is said
"""


def test_libraries_are_set_aside_for_a_block_and_what_a_host_has_set_aside_stays_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(dedent(SET_ASIDE))
    ended = run_python(script, folder=tmp_path / "said")
    assert ended.returncode == 0, ended.stderr
