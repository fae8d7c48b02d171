"""Who is who among launched processes, and a block that sees none of them."""

from __future__ import annotations

import os
from contextlib import suppress

import pytest

from frft.errors import LabelsPendingError
from frft.models import choose_threads
from frft.models.launch import as_if_alone, decided_by_main, is_main_process, peers, process_count, processes_here
from frft.models.runtime import SMALL_MODEL_PARAMETERS
from frft.store import ALONE

from ..processes import run_python

LAUNCHED = {"RANK": "1", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "ACCELERATE_USE_FSDP": "true"}


@pytest.fixture
def launched(monkeypatch):
    for name, value in LAUNCHED.items():
        monkeypatch.setenv(name, value)


def test_without_a_launcher_there_is_one_process():
    assert (process_count(), processes_here(), is_main_process()) == (1, 1, True)
    assert peers() is ALONE
    assert ALONE.agree("x") == "x"


def test_the_launcher_says_who_this_is(launched, monkeypatch):
    assert (process_count(), processes_here(), is_main_process()) == (8, 2, False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE")
    assert processes_here() == 8


def test_processes_share_the_cores_of_their_machine(launched, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    assert choose_threads(SMALL_MODEL_PARAMETERS, None) == 8
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert choose_threads(SMALL_MODEL_PARAMETERS, None) == 1


def test_a_block_as_if_alone_sees_no_launcher_and_gives_everything_back(launched):
    from accelerate import PartialState

    with as_if_alone():
        state = dict(PartialState(cpu=True)._shared_state)
    assert state["num_processes"] == 1
    before = dict(PartialState._shared_state)
    with suppress(KeyError), as_if_alone():
        assert not LAUNCHED.keys() & os.environ.keys()
        assert PartialState(cpu=True).num_processes == 1
        os.environ["ACCELERATE_MIXED_PRECISION"] = "bf16"
        raise KeyError
    assert {name: os.environ[name] for name in LAUNCHED} == LAUNCHED
    assert "ACCELERATE_MIXED_PRECISION" not in os.environ
    assert PartialState._shared_state == before


DECIDING = """
import sys
from pathlib import Path
from frft.errors import LabelsPendingError
from frft.models import decided_by_main, peers
group = peers()
def never():
    assert group.is_main, "only the main process is asked"
    return "yes"
def fails():
    assert group.is_main
    raise LabelsPendingError("two are open", Path("q.jsonl"))
said = [decided_by_main(never)]
try:
    decided_by_main(fails)
except LabelsPendingError as error:
    said += [str(error), str(error.file)]
Path(sys.argv[1], "main" if group.is_main else "other").write_text("|".join(said))
from torch import distributed
distributed.barrier()
distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_what_the_main_process_finds_out_or_fails_at_is_known_to_all(tmp_path):
    (tmp_path / "script.py").write_text(DECIDING)
    done = run_python(tmp_path / "script.py", tmp_path, folder=tmp_path / "said", processes=2)
    assert done.returncode == 0, done.stderr[-3000:]
    assert {(tmp_path / name).read_text() for name in ("main", "other")} == {"yes|two are open|q.jsonl"}


def test_alone_it_decides_and_fails_itself():
    assert decided_by_main(lambda: 3) == 3
    with pytest.raises(LabelsPendingError, match="open"):
        decided_by_main(fails)


def fails():
    raise LabelsPendingError("open")
