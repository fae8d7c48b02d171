"""The folder of a run: one launcher, no leftovers, links that may have become folders in a copy."""

from __future__ import annotations

import shutil
import socket
import time
from contextlib import contextmanager

import pytest

from frft.config import load_config
from frft.errors import OutputError
from frft.experiment import run
from frft.experiment.folder import launched_alone, link
from frft.experiment.prepare import check_is_run
from frft.experiment.seeds import check_seeds_folder
from frft.progress import SILENT
from frft.store import ALONE, LAUNCHER_LOCK
from frft.study import load_study, to_do

from ..processes import Python

BEGUN = """
import sys, time, pathlib
from frft.experiment.folder import launched_alone
from frft.progress import SILENT
from frft.store import ALONE
with launched_alone(pathlib.Path(sys.argv[1]), ALONE, SILENT):
    pathlib.Path(sys.argv[2]).touch()
    time.sleep(600)
"""


@pytest.fixture
def another_launcher(tmp_path_factory):
    """Another process that has begun a run in the folder, and can be killed."""

    @contextmanager
    def begin(out):
        folder = tmp_path_factory.mktemp("launcher")
        (folder / "begin.py").write_text(BEGUN)
        process = Python(folder / "begin.py", out, folder / "begun", folder=folder)
        try:
            deadline = time.monotonic() + 60
            while not (folder / "begun").exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            assert (folder / "begun").exists(), process.poll()
            yield process
        finally:
            process.process.kill()
            process.wait()

    return begin


@pytest.mark.parametrize("settings", [[], ["ppo.learning_rate=1e-4"], ["seeds=2"]])
def test_a_second_launcher_is_refused_with_whatever_settings(tmp_path, another_launcher, settings):
    out = tmp_path / "run"
    with another_launcher(out) as process:
        with pytest.raises(OutputError, match=rf"process {process.pid} on {socket.gethostname()} is at work there"):
            run(load_config("demo", settings), out)
        assert [path.name for path in out.iterdir()] == [LAUNCHER_LOCK], "nothing was written"


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path, another_launcher):
    with another_launcher(tmp_path) as process:
        process.process.kill()
        process.wait()
        assert (tmp_path / LAUNCHER_LOCK).exists()
        with launched_alone(tmp_path, ALONE, SILENT):
            pass
    assert list(tmp_path.iterdir()) == []


def test_ranks_are_told_by_the_main_one(tmp_path, another_launcher):
    told = []

    class Rank:
        def __init__(self, is_main):
            self.is_main = is_main

        def agree(self, value):
            told.append(value) if self.is_main else None
            return told[-1]

    with another_launcher(tmp_path):
        for is_main in (True, False):
            with pytest.raises(OutputError, match="is at work there"), launched_alone(tmp_path, Rank(is_main), SILENT):
                pass
    with launched_alone(tmp_path, Rank(True), SILENT), launched_alone(tmp_path, Rank(False), SILENT):
        assert told[-1] is None


def test_a_folder_of_something_else_gets_no_lock_and_a_new_one_goes_if_nothing_comes_of_it(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(OutputError, match="not empty and holds no run"):
        run(load_config("demo", []), tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
    with pytest.raises(OutputError, match=r"cannot be written: File name too long\. Name another folder"):
        run(load_config("demo", []), tmp_path / ("x" * 300))
    with pytest.raises(RuntimeError), launched_alone(tmp_path / "new" / "run", ALONE, SILENT):
        raise RuntimeError
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("left", [".run.json.abcd1234.tmp", ".rejects.jsonl.ab_d1234.tmp", ".stages.unfinished"])
def test_a_folder_in_which_a_process_was_killed_at_its_first_file_is_as_good_as_new(tmp_path, left):
    config = load_config("demo", ["seeds=2"])
    check_is_run(tmp_path)
    (tmp_path / LAUNCHER_LOCK).write_text("")
    (tmp_path / left).write_text("")
    check_is_run(tmp_path)
    check_seeds_folder(tmp_path, config)
    assert to_do(load_study("averaging"), tmp_path)
    (tmp_path / "notes.tmp").write_text("")
    for check in (
        lambda: check_is_run(tmp_path),
        lambda: check_seeds_folder(tmp_path, config),
        lambda: to_do(load_study("averaging"), tmp_path),
    ):
        with pytest.raises(OutputError, match="is not empty and holds no"):
            check()


def test_leftovers_are_deleted_within_the_folder_and_nowhere_else(tmp_path):
    out, outside = tmp_path / "out", tmp_path / "outside"
    leftovers = [
        out / ".run.json.abcd1234.tmp",
        out / "stages" / "ppo-1.unfinished" / ".metrics.jsonl.a_c_12x4.tmp",
        out / "stages" / ".sft-1.linked" / "model.safetensors",
        out / "stages" / "ppo-1.unfinished" / ".checkpoint-7.unfinished" / "optimizer.pt",
        out / "embeddings" / ".x.npy.abcd1234.tmp",
    ]
    kept = [
        out / "notes.tmp",
        out / ".notes.tmp",
        out / "stages" / "ppo-1.unfinished" / "checkpoint-5" / "optimizer.pt",
        out / "seeds" / "0" / ".run.json.abcd1234.tmp",
        outside / ".run.json.abcd1234.tmp",
    ]
    for path in (*leftovers, *kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    for name in (".linked.linked", "policy"):
        (out / "stages" / name).symlink_to(outside)
    said = []

    class Says:
        task = SILENT.task
        say = said.append

    with launched_alone(out, ALONE, Says):
        pass
    assert not any(path.exists() for path in leftovers)
    assert all(path.exists() for path in kept)
    assert said == ["Deleted 6 unfinished files or folders of a process that was killed"]


def test_a_link_replaces_its_copy_and_nothing_else(tmp_path):
    target = tmp_path / "stages" / "sft-1"
    target.mkdir(parents=True)
    (target / "model").write_text("weights")
    place = tmp_path / "sft"
    for _ in range(2):
        link(place, target)
        assert place.readlink().as_posix() == "stages/sft-1"
    place.unlink()
    shutil.copytree(target, place)
    link(place, target)
    assert place.is_symlink()
    place.unlink()
    place.mkdir()
    (place / "model").write_text("others")
    with pytest.raises(OutputError, match=r"holds something else\. Move it away"):
        link(place, target)
    assert (place / "model").read_text() == "others"
    shutil.rmtree(place)
    outside = tmp_path / "outside"
    outside.mkdir()
    place.symlink_to(outside)
    link(place, target)
    assert outside.is_dir()
