"""Artifacts: equal inputs share a folder, and a folder with a manifest is whole."""

import json
import subprocess
import sys
import threading

import pytest

from frft import __version__
from frft.errors import ArtifactError
from frft.store import ArtifactStore, digest_of
from frft.store import artifact as artifact_module
from frft.store.artifact import LOCKS, MANIFEST
from frft.store.code import library_versions


class Build:
    """A stage that writes two files and counts how often it ran."""

    def __init__(self, info=None):
        self.runs = 0
        self.info = {"rows": 3} if info is None else info

    def __call__(self, path):
        self.runs += 1
        (path / "model").mkdir()
        (path / "model" / "weights.bin").write_bytes(b"weights")
        (path / "rows.txt").write_text("1\n2\n3\n")
        return self.info


@pytest.fixture
def root(tmp_path):
    return tmp_path / "artifacts"


def test_a_stage_is_built_once_and_found_again(root):
    build = Build()
    first = ArtifactStore(root).make("sft", {"seed": 0}, build)
    again = ArtifactStore(root).make("sft", {"seed": 0}, build)
    assert build.runs == 1
    assert first == again == ArtifactStore(root).find("sft", {"seed": 0}, Build())
    assert first.path == ArtifactStore(root).nowhere("sft", {"seed": 0}, Build()).path
    assert first.info == {"rows": 3}
    assert (first.path / "model" / "weights.bin").read_bytes() == b"weights"


def test_the_digest_is_that_of_kind_and_inputs(root):
    made = ArtifactStore(root).make("sft", {"b": (1, 2), "a": 0.5}, Build())
    assert made.digest == digest_of(
        {
            "kind": "sft",
            "inputs": {"a": 0.5, "b": [1, 2]},
            "code": {"frft": __version__, "libraries": library_versions()},
        }
    )
    assert made.path.name == f"sft-{made.digest[:12]}"


@pytest.mark.parametrize(
    ("kind", "inputs"), [("sft", {"seed": 1}), ("sft", {"seed": "0"}), ("sft", {}), ("ppo", {"seed": 0})]
)
def test_other_inputs_are_another_artifact(root, kind, inputs):
    store, build = ArtifactStore(root), Build()
    one = store.make("sft", {"seed": 0}, build)
    other = store.make(kind, inputs, build)
    assert build.runs == 2
    assert one.path != other.path
    assert one.digest != other.digest


def test_an_artifact_depends_on_its_parents_inputs(root):
    store = ArtifactStore(root)
    parents = [store.make("sft", {"seed": seed}, Build()) for seed in (0, 1)]
    digests = {store.make("ppo", {"from": parent, "parts": [parent]}, Build()).digest for parent in parents}
    assert len(digests) == 2
    moved = ArtifactStore(root.with_name("elsewhere")).make("sft", {"seed": 0}, Build())
    assert store.find("ppo", {"from": moved, "parts": [moved]}, Build()), "where a parent lies makes no difference"


def test_the_manifest_records_everything(root):
    store = ArtifactStore(root)
    parent = store.make("sft", {"seed": 0}, Build())
    child = store.make("ppo", {"from": parent, "steps": 4}, Build())
    manifest = json.loads((child.path / MANIFEST).read_text())
    assert manifest["kind"] == "ppo"
    assert manifest["inputs"] == {"from": {"artifact": "sft", "digest": parent.digest}, "steps": 4}
    assert manifest["info"] == {"rows": 3}
    assert manifest["seconds"] >= 0
    assert {name: entry["bytes"] for name, entry in manifest["files"].items()} == {
        "model/weights.bin": 7,
        "rows.txt": 6,
    }


def test_what_is_not_there_is_not_found(root):
    assert ArtifactStore(root).find("sft", {"seed": 0}, Build()) is None


def test_a_failed_stage_leaves_nothing_that_is_found(root):
    def fail(path):
        (path / "half.bin").write_bytes(b"half")
        raise RuntimeError("out of luck")

    store = ArtifactStore(root)
    with pytest.raises(RuntimeError, match="out of luck"):
        store.make("sft", {"seed": 0}, fail)
    assert store.find("sft", {"seed": 0}, Build()) is None
    made = store.make("sft", {"seed": 0}, Build())
    assert not (made.path / "half.bin").exists()
    left = {entry.name for entry in root.iterdir()}
    assert left == {made.path.name, LOCKS}, "the unfinished folder is gone"


def test_a_crash_between_the_files_and_the_manifest_makes_the_stage_run_again(root, monkeypatch):
    def crash(*given):
        raise KeyboardInterrupt

    build = Build()
    monkeypatch.setattr(artifact_module, "seal", crash)
    with pytest.raises(KeyboardInterrupt):
        ArtifactStore(root).make("sft", {"seed": 0}, build)
    monkeypatch.undo()
    store = ArtifactStore(root)
    assert store.find("sft", {"seed": 0}, Build()) is None
    store.make("sft", {"seed": 0}, build)
    assert build.runs == 2
    assert ArtifactStore(root).find("sft", {"seed": 0}, Build())


def test_info_that_is_not_json_is_refused(root):
    with pytest.raises(ValueError, match="not JSON compliant"):
        ArtifactStore(root).make("sft", {"seed": 0}, Build({"loss": float("nan")}))
    assert ArtifactStore(root).find("sft", {"seed": 0}, Build()) is None


def edited(path):
    (path / "rows.txt").write_text("1\n2\n4\n")


def cut_short(path):
    (path / "model" / "weights.bin").write_bytes(b"weig")


def removed(path):
    (path / "rows.txt").unlink()


@pytest.mark.parametrize("damage", [edited, cut_short, removed])
def test_damage_is_detected_and_named(root, damage):
    made = ArtifactStore(root).make("sft", {"seed": 0}, Build())
    damage(made.path)
    with pytest.raises(ArtifactError, match=r"(rows\.txt|weights\.bin) differs from the manifest"):
        ArtifactStore(root).find("sft", {"seed": 0}, Build())
    with pytest.raises(ArtifactError, match="Delete the folder"):
        ArtifactStore(root).make("sft", {"seed": 0}, Build())


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"digest": "x"}'])
def test_a_damaged_manifest_is_an_artifact_error(root, content):
    made = ArtifactStore(root).make("sft", {"seed": 0}, Build())
    (made.path / MANIFEST).write_text(content)
    with pytest.raises(ArtifactError, match=r"manifest\.json"):
        ArtifactStore(root).find("sft", {"seed": 0}, Build())


def test_a_folder_of_other_inputs_is_refused(root):
    store = ArtifactStore(root)
    made = store.make("sft", {"seed": 0}, Build())
    made.path.rename(store.nowhere("sft", {"seed": 1}, Build()).path)
    with pytest.raises(ArtifactError, match="belongs to other inputs"):
        store.find("sft", {"seed": 1}, Build())


def test_one_store_checks_an_artifact_once_and_tells_its_listener(root):
    heard = []
    for _ in range(2):
        store = ArtifactStore(root, lambda artifact, found: heard.append((artifact.kind, found)))
        for _ in range(3):
            store.make("sft", {"seed": 0}, Build())
    assert heard == [("sft", False), ("sft", True)]


@pytest.mark.parametrize(
    "code", [{"frft": "edited", "libraries": {"torch": "1"}}, {"frft": "source", "libraries": {"torch": "2"}}]
)
def test_what_other_code_made_is_not_found_and_stays(root, monkeypatch, code):
    build = Build()
    monkeypatch.setattr(artifact_module, "code_of", lambda build: {"frft": "source", "libraries": {"torch": "1"}})
    made = ArtifactStore(root).make("sft", {"a": 1}, build)
    monkeypatch.setattr(artifact_module, "code_of", lambda build: code)
    assert ArtifactStore(root).find("sft", {"a": 1}, build) is None
    other = ArtifactStore(root).make("sft", {"a": 1}, build)
    assert build.runs == 2
    assert other.path != made.path
    monkeypatch.undo()
    assert json.loads((other.path / MANIFEST).read_text())["code"] == code
    assert ArtifactStore(root).read(made.path.name) == made, "readable by its name all the same"


def test_a_resumable_stage_goes_on_in_the_folder_that_it_left(root):
    def half(path):
        (path / "first.bin").write_bytes(b"first")
        raise KeyboardInterrupt

    def rest(path):
        assert not (path / MANIFEST).exists()
        (path / "second.bin").write_bytes(b"second")
        return {"found": (path / "first.bin").exists()}

    store = ArtifactStore(root)
    for seed in (0, 1):
        with pytest.raises(KeyboardInterrupt):
            store.make("ppo", {"seed": seed}, half, scratch="kept-*")
    # A manifest that was written just before the process was killed says nothing of what comes now.
    (root / f"{store.nowhere('ppo', {'seed': 0}, half).path.name}.unfinished" / MANIFEST).write_text("{}")
    made = store.make("ppo", {"seed": 0}, rest, scratch="kept-*")
    assert made.info == {"found": True}
    assert set(json.loads((made.path / MANIFEST).read_text())["files"]) == {"first.bin", "second.bin"}
    assert store.make("ppo", {"seed": 1}, rest).info == {"found": False}, "anew, where nobody asked to resume"


def test_what_a_stage_goes_on_from_stays_until_the_artifact_is_there(root, monkeypatch):
    def build(path):
        found = (path / "kept-1" / "half.bin").exists()
        (path / "kept-1").mkdir(exist_ok=True)
        (path / "kept-1" / "half.bin").write_bytes(b"half")
        (path / "whole.bin").write_bytes(b"whole")
        return {"found": found}

    def killed(*given):
        raise KeyboardInterrupt

    store = ArtifactStore(root)
    monkeypatch.setattr(artifact_module, "seal", killed)
    with pytest.raises(KeyboardInterrupt):
        store.make("ppo", {}, build, scratch="kept-*")
    monkeypatch.undo()
    made = store.make("ppo", {}, build, scratch="kept-*")
    assert made.info == {"found": True}, "killed after it was built, it went on from there"
    assert {path.name for path in made.path.iterdir()} == {"whole.bin", MANIFEST}
    assert set(json.loads((made.path / MANIFEST).read_text())["files"]) == {"whole.bin"}
    assert ArtifactStore(root).find("ppo", {}, Build()) == made


def test_the_peak_is_that_of_the_stage(root):
    def build(megabytes):
        def fill(path):
            block = bytearray(megabytes * 2**20)
            block[::4096] = b"x" * len(block[::4096])
            return {}

        return fill

    store = ArtifactStore(root)
    large, small = (store.make("sft", {"mb": mb}, build(mb)).peak_memory for mb in (200, 1))
    assert large - small > 150 * 2**20


PROCESS = """
import os, sys, time
from pathlib import Path
from frft.store import ArtifactStore

root, how = Path(sys.argv[1]), sys.argv[2]

def build(path):
    with (root / "builds.txt").open("a") as log:
        log.write(f"{os.getpid()}\\n")
    (path / "rows.txt").write_text("1")
    if how == "dies":
        os.kill(os.getpid(), 9)
    time.sleep(0.3)
    return {"pid": os.getpid()}

made = ArtifactStore(root, on_wait=lambda name: print("waits for", name)).make("sft", {"seed": 0}, build)
print(made.info["pid"])
"""


def processes(root, *how):
    root.mkdir()
    started = [
        subprocess.Popen([sys.executable, "-c", PROCESS, str(root), each], stdout=subprocess.PIPE, text=True)
        for each in how
    ]
    return [process.communicate(timeout=60)[0].splitlines() for process in started]


def test_of_several_processes_one_builds_and_the_others_wait_and_find_it(root):
    said = processes(root, *["builds"] * 3)
    assert len((root / "builds.txt").read_text().splitlines()) == 1
    assert len({lines[-1] for lines in said}) == 1
    waited = [lines for lines in said if len(lines) > 1]
    assert all(lines[0].startswith("waits for sft-") and len(lines) == 2 for lines in waited)


def test_a_builder_that_is_killed_frees_its_lock(root):
    assert processes(root, "dies") == [[]]
    store = ArtifactStore(root)
    build = Build()
    store.make("sft", {"seed": 0}, build)
    assert build.runs == 1


class Rank:
    """One of two peers that are threads: `agree` gives both the main one's value."""

    def __init__(self, is_main, barrier, board):
        self.is_main, self._barrier, self._board = is_main, barrier, board

    def agree(self, value):
        if self.is_main:
            self._board[0] = value
        self._barrier.wait(10)
        value = self._board[0]
        self._barrier.wait(10)
        return value


def together(roots, shared=None):
    """Make one artifact with a peer for each root; what each built, and what each was given or refused."""
    barrier, board, built, made = threading.Barrier(len(roots)), [None], [], {}

    def work(number):
        def build(path):
            built.append((number, path.name))
            if number == 0:
                (path / "weights.bin").write_bytes(b"x")
            return {"from": number}

        try:
            peers = Rank(number == 0, barrier, board)
            made[number] = ArtifactStore(roots[number], shared=shared).make("ppo", {"seed": 0}, build, peers=peers)
        except ArtifactError as error:
            made[number] = error

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(roots))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return sorted(built), made


def test_peers_build_together_and_the_main_ones_result_counts(root):
    built, made = together([root, root])
    assert [number for number, _ in built] == [0, 1]
    assert made[0] == made[1]
    assert made[0].info == {"from": 0}
    built, again = together([root, root])
    assert built == []
    assert again == made


def test_peers_that_share_no_folder_are_told_so(root):
    _, made = together([root, root.with_name("elsewhere")])
    assert made[0].info == {"from": 0}
    assert "folder that all of its processes share" in str(made[1])


@pytest.mark.parametrize("scratch", [None, "kept-*"])
def test_a_link_in_the_place_of_an_unfinished_folder_is_replaced_and_not_followed(root, tmp_path, scratch):
    """The next build would clear what it points to, and write there."""
    store, outside = ArtifactStore(root), tmp_path / "outside"
    outside.mkdir()
    for name in ("mine.txt", MANIFEST):
        (outside / name).write_text("mine")
    path = store.nowhere("sft", {}, Build()).path
    path.parent.mkdir(parents=True)
    path.with_name(f"{path.name}.unfinished").symlink_to(outside)
    made = store.make("sft", {}, Build(), scratch=scratch)
    assert not made.path.is_symlink()
    assert {file.name: file.read_text() for file in outside.iterdir()} == {"mine.txt": "mine", MANIFEST: "mine"}


def test_a_link_in_the_place_of_an_artifact_is_replaced_and_not_followed(root, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.txt").write_text("mine")
    path = ArtifactStore(root).nowhere("sft", {}, Build()).path
    path.parent.mkdir(parents=True)
    path.symlink_to(outside)
    made = ArtifactStore(root).make("sft", {}, Build())
    assert not made.path.is_symlink()
    assert (outside / "mine.txt").read_text() == "mine"


def test_checkpoints_that_a_killed_builder_left_in_a_finished_artifact_are_deleted(root):
    def build(path):
        (path / "kept-1").mkdir()
        (path / "rows.txt").write_text("1")
        return {}

    made = ArtifactStore(root).make("sft", {}, build, scratch="kept-*")
    (made.path / "kept-1").mkdir()  # killed after the artifact got its name, and before it deleted this
    (made.path / "kept-1" / "optimizer.pt").write_text("large")
    assert ArtifactStore(root).make("sft", {}, build, scratch="kept-*") == made
    assert [path.name for path in made.path.iterdir() if path.is_dir()] == []
