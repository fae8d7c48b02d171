"""Checkpoints are saved when due, and only the newest stays."""

from __future__ import annotations

import signal

import pytest

from frft.experiment import checkpoints as module
from frft.experiment.checkpoints import Checkpoints
from frft.stopping import StoppedBySignal, ends_in_order, saves_before_it_ends
from frft.store import ALONE


def write(folder):
    (folder / "weights.bin").write_bytes(b"x")


def test_every_so_many_steps(tmp_path):
    checkpoints = Checkpoints(tmp_path, 3, ALONE)
    assert checkpoints.newest() is None
    names = []
    for step in range(1, 13):
        checkpoints.step_done(step, write)
        names.append([path.name for path in tmp_path.iterdir()])
    assert names[1] == []
    assert names[2] == names[4] == ["checkpoint-3"]
    assert names[11] == ["checkpoint-12"]
    assert checkpoints.newest() == tmp_path / "checkpoint-12"


def test_killed_while_an_older_one_is_deleted_it_goes_on_from_the_newest(tmp_path, monkeypatch):
    def killed(path):
        (path / "weights.bin").unlink()
        raise KeyboardInterrupt

    checkpoints = Checkpoints(tmp_path, 3, ALONE)
    checkpoints.step_done(9, write)
    monkeypatch.setattr(module, "remove", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.step_done(12, write)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-9", "checkpoint-12"}
    newest = Checkpoints(tmp_path, 3, ALONE).newest()
    assert newest == tmp_path / "checkpoint-12", "and not checkpoint-9, which sorts after it"
    assert (newest / "weights.bin").exists()


@pytest.mark.parametrize(("save_s", "step_s"), [(0.1, 1.0), (2.0, 1.0), (30.0, 4.0)])
def test_saving_takes_its_share_of_the_time_and_no_more(tmp_path, monkeypatch, save_s, step_s):
    now = 0.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    saves = []

    def slow(folder):
        nonlocal now
        now += save_s
        saves.append(folder)

    checkpoints = Checkpoints(tmp_path, None, ALONE)
    for step in range(1, 1001):
        now += step_s
        checkpoints.step_done(step, slow)
    assert len(saves) * save_s <= module.SHARE_OF_TIME * now + save_s
    # No later than needed: one step beyond what the share asks for.
    longest = save_s / module.SHARE_OF_TIME + step_s + save_s
    assert len(saves) >= now / longest


def test_a_signal_makes_a_checkpoint_due_and_ends_the_training_after_it(tmp_path):
    checkpoints = Checkpoints(tmp_path, 1000, ALONE)
    with ends_in_order(), saves_before_it_ends():
        checkpoints.step_done(1, write)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(StoppedBySignal):
            checkpoints.step_done(2, write)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-2"]
    assert (tmp_path / "checkpoint-2" / "weights.bin").exists()


def test_a_process_that_trains_along_saves_and_ends_with_the_main_one(tmp_path):
    class Rank:
        is_main = False

        def agree(self, value):
            assert value == (False, None), "what this process says"
            return True, signal.SIGTERM

    saved = []
    with ends_in_order(), pytest.raises(StoppedBySignal, match="SIGTERM"):
        Checkpoints(tmp_path, 1000, Rank()).step_done(2, saved.append)
    assert saved == [tmp_path / "checkpoint-2"]
