"""Artifacts: equal inputs share a folder, and a folder with a manifest is whole."""

import json

import pytest

from frft import __version__
from frft.errors import ArtifactError
from frft.store import ArtifactStore, digest_of
from frft.store import artifact as artifact_module
from frft.store.artifact import MANIFEST


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
    assert first == again == ArtifactStore(root).find("sft", {"seed": 0})
    assert first.path == ArtifactStore(root).path_of("sft", {"seed": 0})
    assert first.info == {"rows": 3}
    assert (first.path / "model" / "weights.bin").read_bytes() == b"weights"


def test_the_digest_is_that_of_kind_and_inputs(root):
    made = ArtifactStore(root).make("sft", {"b": (1, 2), "a": 0.5}, Build())
    assert made.digest == digest_of({"frft": __version__, "kind": "sft", "inputs": {"a": 0.5, "b": [1, 2]}})
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
    assert store.find("ppo", {"from": moved, "parts": [moved]}), "where a parent lies makes no difference"


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
    assert ArtifactStore(root).find("sft", {"seed": 0}) is None


def test_a_failed_stage_leaves_nothing_that_is_found(root):
    def fail(path):
        (path / "half.bin").write_bytes(b"half")
        raise RuntimeError("out of luck")

    store = ArtifactStore(root)
    with pytest.raises(RuntimeError, match="out of luck"):
        store.make("sft", {"seed": 0}, fail)
    assert store.find("sft", {"seed": 0}) is None
    made = store.make("sft", {"seed": 0}, Build())
    assert not (made.path / "half.bin").exists()
    assert [entry.name for entry in root.iterdir()] == [made.path.name], "the unfinished folder is gone"


def test_a_crash_between_the_files_and_the_manifest_makes_the_stage_run_again(root, monkeypatch):
    def crash(path, value):
        raise KeyboardInterrupt

    build = Build()
    monkeypatch.setattr(artifact_module, "write_json", crash)
    with pytest.raises(KeyboardInterrupt):
        ArtifactStore(root).make("sft", {"seed": 0}, build)
    monkeypatch.undo()
    store = ArtifactStore(root)
    assert (store.path_of("sft", {"seed": 0}) / "rows.txt").exists()
    assert store.find("sft", {"seed": 0}) is None
    store.make("sft", {"seed": 0}, build)
    assert build.runs == 2
    assert ArtifactStore(root).find("sft", {"seed": 0})


def test_info_that_is_not_json_is_refused(root):
    with pytest.raises(ValueError, match="not JSON compliant"):
        ArtifactStore(root).make("sft", {"seed": 0}, Build({"loss": float("nan")}))
    assert ArtifactStore(root).find("sft", {"seed": 0}) is None


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
        ArtifactStore(root).find("sft", {"seed": 0})
    with pytest.raises(ArtifactError, match="Delete the folder"):
        ArtifactStore(root).make("sft", {"seed": 0}, Build())


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"digest": "x"}'])
def test_a_damaged_manifest_is_an_artifact_error(root, content):
    made = ArtifactStore(root).make("sft", {"seed": 0}, Build())
    (made.path / MANIFEST).write_text(content)
    with pytest.raises(ArtifactError, match=r"manifest\.json"):
        ArtifactStore(root).find("sft", {"seed": 0})


def test_a_folder_of_other_inputs_is_refused(root):
    store = ArtifactStore(root)
    made = store.make("sft", {"seed": 0}, Build())
    made.path.rename(store.path_of("sft", {"seed": 1}))
    with pytest.raises(ArtifactError, match="belongs to other inputs"):
        store.find("sft", {"seed": 1})


def test_one_store_checks_an_artifact_once_and_tells_its_listener(root):
    heard = []
    for _ in range(2):
        store = ArtifactStore(root, lambda artifact, found: heard.append((artifact.kind, found)))
        for _ in range(3):
            store.make("sft", {"seed": 0}, Build())
    assert heard == [("sft", False), ("sft", True)]


def test_what_another_version_made_is_not_found(tmp_path, monkeypatch):
    made = ArtifactStore(tmp_path).make("sft", {"a": 1}, lambda path: {})
    monkeypatch.setattr("frft.store.artifact.__version__", "999.0")
    assert ArtifactStore(tmp_path).find("sft", {"a": 1}) is None
    assert ArtifactStore(tmp_path).path_of("sft", {"a": 1}) != made.path
