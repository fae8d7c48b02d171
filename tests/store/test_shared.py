"""The shared store: a stage is built once for several folders, and nothing that happens to the store breaks one."""

import errno
import json
import os
import pickle
import shutil
import subprocess
import sys
import time

import pytest

from frft.errors import OutputError, UsageError
from frft.store import MANIFEST, ArtifactStore, SharedStore, locked, open_store, parse_bytes, readable_bytes

from .test_artifact import together


class Build:
    def __init__(self, size=7):
        self.runs, self.size = 0, size

    def __call__(self, path):
        self.runs += 1
        (path / "model").mkdir()
        (path / "model" / "weights.bin").write_bytes(b"w" * self.size)
        (path / "rows.txt").write_text("1\n2\n3\n")
        return {"rows": 3}


@pytest.fixture
def said():
    return []


@pytest.fixture
def shared(tmp_path, said):
    return SharedStore(tmp_path / "store", say=said.append)


@pytest.fixture
def folder(tmp_path, shared):
    """Makes the store of one run."""
    return lambda name, **more: ArtifactStore(tmp_path / name / "stages", shared=shared, **more)


def test_a_second_run_takes_what_the_first_has_built(folder, said):
    build, heard = Build(), []
    first = folder("one").make("sft", {"seed": 0}, build)
    second = folder("two", listener=lambda artifact, found: heard.append(found)).make("sft", {"seed": 0}, build)
    assert build.runs == 1
    assert heard == [True]
    assert second.path == folder("two").nowhere("sft", {"seed": 0}, Build()).path != first.path
    assert (second.digest, second.info, second.seconds) == (first.digest, first.info, first.seconds)
    for name in ("rows.txt", "model/weights.bin", MANIFEST):
        assert (second.path / name).read_bytes() == (first.path / name).read_bytes()
        assert (second.path / name).samefile(first.path / name), "a hard link, no second copy"
    assert not said
    assert folder("two").find("sft", {"seed": 0}, Build()), "verified like any other"


def test_the_own_folder_comes_first(folder, shared):
    build = Build()
    made = folder("one").make("sft", {}, build)
    shutil.rmtree(shared.root)
    assert folder("one").make("sft", {}, build) == made
    assert build.runs == 1
    assert not shared.root.exists(), "nothing to look for there"


def test_pruning_and_deleting_the_store_break_no_run(folder, shared):
    made = folder("one").make("sft", {}, Build())
    assert [entry.path.name for entry in shared.prune(0)] == [made.path.name]
    assert shared.entries() == []
    assert folder("one").find("sft", {}, Build()) == made
    shutil.rmtree(shared.root)
    assert folder("one").find("sft", {}, Build()) == made


@pytest.mark.parametrize("error", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_where_links_cannot_be_made_files_are_copied(folder, monkeypatch, error):
    def refuse(source, target):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "link", refuse)
    build = Build()
    first, second = (folder(name).make("sft", {}, build) for name in ("one", "two"))
    assert build.runs == 1
    assert not (first.path / "rows.txt").samefile(second.path / "rows.txt")
    assert folder("two").find("sft", {}, Build()) == second


def test_shared_files_are_read_only(folder):
    for name in ("one", "two"):
        made = folder(name).make("sft", {}, Build())
        assert all(file.stat().st_mode & 0o222 == 0 for file in made.path.rglob("*") if file.is_file())


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: (entry / "rows.txt").unlink(),
        lambda entry: (entry / MANIFEST).unlink(),
        lambda entry: (entry / MANIFEST).write_text("{"),
        lambda entry: replace(entry / "rows.txt", b"1\n2\n4\n"),
        lambda entry: replace(entry / MANIFEST, (entry / MANIFEST).read_bytes().replace(b'"rows": 3', b'"rows": 4')),
    ],
    ids=["a file gone", "no manifest", "half a manifest", "another content", "another figure"],
)
def test_what_is_damaged_in_the_store_is_said_deleted_and_built_anew(folder, shared, said, damage):
    name = folder("one").make("sft", {}, Build()).path.name
    damage(shared.root / "stages" / name)
    build = Build()
    made = folder("two").make("sft", {}, build)
    assert build.runs == 1
    assert folder("two").find("sft", {}, Build()) == made
    assert len(said) == 1
    assert f"{name} in the store {shared.root} is damaged and was deleted" in said[0]
    assert folder("three").make("sft", {}, build).info == {"rows": 3}
    assert build.runs == 1, "the new one has taken its place"


def replace(path, content):
    path.unlink()
    path.write_bytes(content)


def test_a_crash_while_taking_or_putting_leaves_nothing_that_is_found(folder, shared, monkeypatch):
    from frft.store import shared as module

    real, calls = module.link_or_copy, []

    def killed(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(source, target)

    build = Build()
    monkeypatch.setattr(module, "link_or_copy", killed)
    with pytest.raises(KeyboardInterrupt):
        folder("one").make("sft", {}, build)  # while it is put
    assert shared.entries() == []
    assert folder("one").find("sft", {}, Build()), "the run has it"
    folder("two").make("sft", {}, build)
    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        folder("three").make("sft", {}, build)  # while it is taken
    assert folder("three").find("sft", {}, Build()) is None
    monkeypatch.undo()
    assert folder("three").make("sft", {}, build).info == {"rows": 3}
    assert build.runs == 2


def test_what_a_stopped_build_left_is_dropped_when_another_run_has_finished_it(folder):
    def stopped(path):
        (path / "kept-1").mkdir()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder("one").make("ppo", {}, stopped, scratch="kept-*")
    folder("two").make("ppo", {}, Build(), scratch="kept-*")
    made = folder("one").make("ppo", {}, stopped, scratch="kept-*")
    assert {path.name for path in made.path.parent.iterdir()} == {made.path.name, ".locks"}


def test_checkpoints_are_not_shared(folder, shared):
    def build(path):
        (path / "kept-1").mkdir()
        (path / "kept-1" / "half.bin").write_bytes(b"half")
        (path / "whole.bin").write_bytes(b"whole")
        return {}

    made = folder("one").make("ppo", {}, build, scratch="kept-*")
    assert {path.name for path in (shared.root / "stages" / made.path.name).iterdir()} == {"whole.bin", MANIFEST}


def test_over_its_size_the_least_recently_used_goes_and_it_is_said(tmp_path, said):
    shared = SharedStore(tmp_path / "store", 10**6, said.append)
    store = ArtifactStore(tmp_path / "run", shared=shared)
    made = [store.make("sft", {"seed": seed}, Build(1)) for seed in range(3)]
    size = shared.entries()[0].bytes
    shared = SharedStore(tmp_path / "store", 3 * size + size // 2, said.append)
    for age, artifact in zip((30, 20, 10), made, strict=True):
        os.utime(shared.root / "stages" / artifact.path.name, (time.time() - age,) * 2)
    # Taken by another run, the oldest is the newest.
    ArtifactStore(tmp_path / "other", shared=shared).make("sft", {"seed": 0}, Build(1))
    ArtifactStore(tmp_path / "run", shared=shared).make("sft", {"seed": 3}, Build(1))
    left = {entry.path.name for entry in shared.entries()}
    assert made[1].path.name not in left
    assert {made[0].path.name, made[2].path.name} < left
    assert len(said) == 1
    assert said[0].startswith(f"  pruned from the store {shared.root}: {made[1].path.name}, ")
    assert sum(entry.bytes for entry in shared.entries()) <= shared.max_bytes


def test_what_is_larger_than_the_store_is_left_out_and_said(tmp_path, said):
    shared = SharedStore(tmp_path / "store", 1000, said.append)
    build = Build(5000)
    ArtifactStore(tmp_path / "run", shared=shared).make("sft", {}, build)
    assert shared.entries() == []
    assert "is larger than the store may be" in said[0]


def test_what_a_process_is_using_is_not_pruned(folder, shared):
    made = [folder("one").make("sft", {"seed": seed}, Build()) for seed in range(2)]
    with locked(shared.root / ".locks" / made[0].path.name):
        assert [entry.path.name for entry in shared.prune(0)] == [made[1].path.name]
    assert [entry.path.name for entry in shared.prune(0)] == [made[0].path.name]


def test_pruned_by_age(folder, shared):
    old, new = (folder("one").make("sft", {"seed": seed}, Build()) for seed in range(2))
    os.utime(shared.root / "stages" / old.path.name, (time.time() - 3600,) * 2)
    assert [entry.path.name for entry in shared.prune(older_than_s=1800)] == [old.path.name]
    assert [entry.path.name for entry in shared.entries()] == [new.path.name]


def test_what_killed_processes_left_is_swept_but_not_what_is_under_way(folder, shared):
    folder("one").make("sft", {}, Build())
    for name, age in (("old", 2 * 86400), ("new", 10)):
        left = shared.root / "stages" / f".ppo-{name}.unfinished"
        left.mkdir()
        os.utime(left, (time.time() - age,) * 2)
    shared.prune(shared.max_bytes)
    assert {path.name for path in (shared.root / "stages").glob(".*")} == {".ppo-new.unfinished"}


def test_a_store_that_cannot_be_written_fails_no_run(folder, said, monkeypatch):
    def full(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("frft.store.shared.link_or_copy", full)
    made = folder("one").make("sft", {}, Build())
    assert folder("one").find("sft", {}, Build()) == made
    assert len(said) == 1
    assert "cannot be added to the store" in said[0]
    assert "No space left" in said[0]


PROCESS = """
import os, sys, time
from pathlib import Path
from frft.store import ArtifactStore, SharedStore

root, run = Path(sys.argv[1]), sys.argv[2]

def build(path):
    with (root / "builds.txt").open("a") as log:
        log.write(f"{run}\\n")
    (path / "rows.txt").write_text("1")
    time.sleep(0.5)
    if run == "dies":
        os.kill(os.getpid(), 9)
    return {"run": run}

shared = SharedStore(root / "store")
store = ArtifactStore(root / run / "stages", on_wait=lambda name: print("waits for", name), shared=shared)
print(store.make("sft", {"seed": 0}, build).info["run"])
"""


def start(root, *runs):
    started = [
        subprocess.Popen([sys.executable, "-c", PROCESS, str(root), run], stdout=subprocess.PIPE, text=True)
        for run in runs
    ]
    return [process.communicate(timeout=60)[0].splitlines() for process in started]


def test_of_two_runs_at_once_one_builds_and_the_other_waits_and_takes_it(tmp_path):
    said = start(tmp_path, "one", "two")
    assert len((tmp_path / "builds.txt").read_text().splitlines()) == 1
    assert said[0][-1] == said[1][-1]
    assert all((tmp_path / run / "stages").is_dir() for run in ("one", "two"))


def test_a_builder_that_is_killed_leaves_the_store_to_the_others(tmp_path):
    assert start(tmp_path, "dies") == [[]]
    assert start(tmp_path, "one") == [["one"]]
    assert start(tmp_path, "two") == [["one"]]


def test_of_processes_that_train_together_the_main_one_takes_and_puts(tmp_path, shared):
    for run, builders in (("one", [0, 1]), ("two", [])):
        built, made = together([tmp_path / run] * 2, shared)
        assert [number for number, _ in built] == builders
        assert made[0] == made[1]
        assert made[0].path.parent == tmp_path / run
    assert len(shared.entries()) == 1


def test_a_plan_looks_at_the_store_and_changes_nothing(folder, shared):
    made = folder("one").make("sft", {}, Build())
    plan = folder("two")
    found = plan.in_shared_store("sft", {}, Build())
    assert found is not None
    assert (found.path, found.info) == (plan.nowhere("sft", {}, Build()).path, made.info)
    assert plan.in_shared_store("sft", {"seed": 1}, Build()) is None
    assert not plan.root.exists()


def test_where_the_store_is(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FRFT_STORE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert open_store().root == tmp_path / "home" / ".cache" / "frft" / "store"
    assert open_store().max_bytes == 10 * 2**30
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert open_store().root == tmp_path / "cache" / "frft" / "store"
    monkeypatch.setenv("FRFT_STORE", str(tmp_path / "named"))
    monkeypatch.setenv("FRFT_STORE_SIZE", "500M")
    assert (open_store().root, open_store().max_bytes) == (tmp_path / "named", 500 * 2**20)
    assert open_store(tmp_path / "given").root == tmp_path / "given"
    monkeypatch.setenv("FRFT_STORE", "none")
    assert open_store() is None
    assert open_store(tmp_path / "given") is not None
    assert open_store("none") is None
    assert list(tmp_path.iterdir()) == [], "nothing is written by opening it"


def test_a_place_that_cannot_be_written_is_refused_if_it_was_named(tmp_path, monkeypatch, said):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        open_store(tmp_path / "file" / "store")
    monkeypatch.delenv("FRFT_STORE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert open_store(say=said.append) is None
    assert "Stages are not shared with other runs" in said[0]


def test_sizes(monkeypatch):
    for text, size in {"0": 0, "500": 500, "500M": 500 * 2**20, "1.5GiB": 1.5 * 2**30, "2 gb": 2 * 2**31 / 2}.items():
        assert parse_bytes(text, "size") == size
    for text in ("", "much", "-1G", "inf", "nan"):
        with pytest.raises(UsageError, match=r"size: .* is not a size"):
            parse_bytes(text, "size")
    assert [readable_bytes(size) for size in (0, 1023, 2**10, 1.5 * 2**30)] == ["0 B", "1023 B", "1.0 KiB", "1.5 GiB"]
    monkeypatch.setenv("FRFT_STORE_SIZE", "plenty")
    with pytest.raises(UsageError, match="FRFT_STORE_SIZE: 'plenty'"):
        open_store("somewhere")


def test_a_store_travels_to_worker_processes(shared):
    moved = pickle.loads(pickle.dumps(shared))
    assert (moved.root, moved.max_bytes) == (shared.root, shared.max_bytes)


def test_the_manifest_in_the_store_is_the_runs(folder, shared):
    made = folder("one").make("sft", {"seed": 0}, Build())
    stored = json.loads((shared.root / "stages" / made.path.name / MANIFEST).read_text())
    assert stored["inputs"] == {"seed": 0}
