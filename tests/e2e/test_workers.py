"""Arms in several processes: the same results, the same errors, and nothing left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from frft.cli import main
from frft.config import load_config
from frft.errors import FrftError
from frft.experiment import run
from frft.store import read_json

from ..processes import is_running
from .comparison import everything_in
from .processes import hears_ctrl_c

pytestmark = pytest.mark.slow


def test_workers_make_the_same_to_the_bit(finished_run, pairs_file, settings_file, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["run", str(settings_file), f"data.pairs={pairs_file}", "workers=2", "--out", str(out)]
    capsys.readouterr()
    assert main(command) == 0
    told = capsys.readouterr()
    assert everything_in(out) == everything_in(finished_run)
    results, alone = read_json(out / "results.json"), read_json(finished_run / "results.json")
    assert results["workers"] == {"count": 2, "reason": "as configured", "speedups": {}}
    assert [stage["stage"] for stage in results["stages"]] == [stage["stage"] for stage in alone["stages"]]
    assert not any(stage["reused"] for stage in results["stages"])
    assert "2 worker processes: as configured" in told.err
    # Every stage is told of once, by whoever made it.
    assert all(told.err.count(f"  {stage['stage']}  ") == 1 for stage in results["stages"])
    assert "in each of 2 worker processes (predicted" in told.out


def test_an_error_in_a_worker_is_the_error_of_the_run(pairs_file, settings_file, tmp_path, capsys):
    said = []
    for workers in (1, 2):
        command = ["run", str(settings_file), f"data.pairs={pairs_file}", f"workers={workers}"]
        hopeless = "{selection: {strategy: part1, threshold: 0.999}}"
        broken = [f"arms={{vanilla: {{alpha: 0}}, hopeless: {hopeless}}}", "arms.random=null"]
        status = main([*command, *broken, "arms.part1=null", "--out", str(tmp_path / f"out{workers}")])
        said.append((status, capsys.readouterr().err.splitlines()[-1]))
    assert said[0] == said[1]
    assert said[0][0] == 1
    assert "No pair" in said[0][1] or "qualif" in said[0][1]


def children_of(pid: int) -> set[int]:
    return {int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def test_ctrl_c_stops_all_and_says_how_to_go_on(pairs_file, settings_file, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "frft", "run", str(settings_file), f"data.pairs={pairs_file}", "workers=2"]
    # A terminal sends Ctrl-C to the whole group of processes.
    process = subprocess.Popen(
        [*command, "--out", str(out)], stderr=subprocess.PIPE, start_new_session=True, preexec_fn=hears_ctrl_c
    )
    deadline = time.monotonic() + 120
    while not list(out.glob("stages/ppo-*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    workers = children_of(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    errors = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 130, errors
    # The last word is ours, not that of Python's watcher over semaphores.
    assert errors.splitlines()[-1] == "frft: interrupted. The same command goes on where this one stopped."
    assert "resource_tracker" not in errors
    assert "Traceback" not in errors
    assert len(workers) >= 2
    # The process that watches over the workers' semaphores ends when it sees that the last of them has.
    deadline = time.monotonic() + 20
    while any(is_running(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_running(worker) for worker in workers)


@pytest.mark.parametrize(
    ("number", "stage"),
    # A worker that is told to end saves a checkpoint of its policy first; of one that is killed, any stage will do.
    [(signal.SIGKILL, "sft"), (signal.SIGTERM, "ppo")],
)
def test_no_process_outlives_the_one_that_started_it(number, stage, pairs_file, settings_file, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "frft", "run", str(settings_file), f"data.pairs={pairs_file}", "workers=2"]
    process = subprocess.Popen(
        [*command, "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not list(out.glob(f"stages/{stage}-*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    ours = of_session(process.pid)
    assert len(ours) >= 4, "the run, the fork server and two workers"
    # To the run alone, and not to its group, as `kill` and the out-of-memory killer do.
    process.send_signal(number)
    process.wait(timeout=60)
    deadline = time.monotonic() + 10
    while any(map(is_running, ours)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in ours if is_running(pid)]


def of_session(leader: int) -> list[int]:
    """All processes of the session that this process leads, itself among them."""
    found = []
    for pid in (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()):
        try:
            if os.getsid(pid) == leader and is_running(pid):
                found.append(pid)
        except ProcessLookupError:
            continue
    return found


def test_a_worker_that_is_killed_is_an_error_that_says_so(pairs_file, settings_file, tmp_path):
    out = tmp_path / "out"
    config = load_config(str(settings_file), [f"data.pairs={pairs_file}", "workers=2"])

    def kill_one():
        while not list(out.glob("stages/sft-*")):
            time.sleep(0.02)
        os.kill(next(iter(multiprocessing.active_children())).pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    with pytest.raises(FrftError, match="killed, perhaps because memory ran out"):
        run(config, out)
    killer.join()
