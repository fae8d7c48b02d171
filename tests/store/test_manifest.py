"""Manifests: whatever they say is covered by a checksum."""

import hashlib
import json
import os
import shutil
import time

import pytest

from frft.errors import ArtifactError
from frft.store import MANIFEST, ArtifactStore, read_manifest, seal, verify_beside
from frft.store import manifest as manifest_module


def build(path):
    (path / "one.txt").write_text("1")
    (path / "two.txt").write_text("2")
    return {"accuracy": 0.5, "losses": [0.1, 2]}


@pytest.fixture
def made(tmp_path):
    return ArtifactStore(tmp_path).make("reward", {"seed": 0, "rows": [1, 2]}, build)


def find(made):
    return ArtifactStore(made.path.parent).find("reward", {"seed": 0, "rows": [1, 2]}, build)


def rewrite(folder, change):
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2))


def test_the_checksum_is_that_of_the_content_in_canonical_json(made):
    manifest = json.loads((made.path / MANIFEST).read_text())
    stated = manifest.pop("sha256")
    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert stated == hashlib.sha256(canonical.encode()).hexdigest()
    assert read_manifest(made.path)["info"] == {"accuracy": 0.5, "losses": [0.1, 2]}


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest["info"].update(accuracy=0.9),
        lambda manifest: manifest["info"]["losses"].append(3),
        lambda manifest: manifest["files"].pop("two.txt"),
        lambda manifest: manifest["inputs"].update(seed=1),
        lambda manifest: manifest.update(seconds=0),
        lambda manifest: manifest["code"].update(frft="another"),
        lambda manifest: manifest.pop("sha256"),
    ],
    ids=[
        "a figure",
        "a nested figure",
        "a file struck from the list",
        "an input",
        "the time",
        "the code",
        "the checksum",
    ],
)
def test_a_changed_manifest_is_an_error(made, change):
    rewrite(made.path, change)
    with pytest.raises(ArtifactError, match=r"manifest\.json was changed after it was written.*Delete the folder"):
        find(made)
    with pytest.raises(ArtifactError, match="was changed"):
        read_manifest(made.path)


def test_a_file_that_goes_with_its_line_is_an_error_too(made):
    (made.path / "two.txt").unlink()
    rewrite(made.path, lambda manifest: manifest["files"].pop("two.txt"))
    with pytest.raises(ArtifactError, match="was changed"):
        find(made)


def test_layout_is_not_content(made):
    rewrite(made.path, lambda manifest: None)
    assert find(made) == made


@pytest.mark.parametrize(("number", "said"), [(None, "format 1"), (3, "format 3")])
def test_other_formats_are_recognised_by_their_number(made, number, said):
    rewrite(made.path, lambda manifest: manifest.pop("format") if number is None else manifest.update(format=number))
    with pytest.raises(ArtifactError, match=f"{said}; this version of frft reads format 2"):
        find(made)
    if number is None:
        rewrite(made.path, lambda manifest: [manifest.pop(key) for key in ("sha256", "code")])
        assert read_manifest(made.path, older=True)["info"]["accuracy"] == 0.5
    else:
        with pytest.raises(ArtifactError, match=said):
            read_manifest(made.path, older=True)


def test_a_damaged_format_number_does_not_pass_for_an_older_manifest(made):
    """One of format 1 has no checksum, so whatever lost its number would be taken unverified."""
    rewrite(made.path, lambda manifest: (manifest.pop("format"), manifest["info"].update(accuracy=0.9)))
    with pytest.raises(ArtifactError, match="has format 1; this version"):
        read_manifest(made.path, older=True)


def test_a_flipped_bit_anywhere_is_an_error_or_harmless(made):
    file = made.path / MANIFEST
    whole, content = file.read_bytes(), json.loads(file.read_bytes())
    detected = 0
    for place in range(len(whole)):
        # One bit of each byte, the eight of them in turn; the campaign `flips` has more.
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        try:
            found = read_manifest(made.path, older=True)
        except ArtifactError:
            detected += 1
        else:
            assert found == content, f"byte {place}"
    assert detected > 0.95 * len(whole)


@pytest.mark.parametrize("value", ["NaN", "Infinity", '"\\ud800"'])
def test_what_no_manifest_is_written_with_is_an_error(made, value):
    file = made.path / MANIFEST
    file.write_text(file.read_text().replace('"accuracy": 0.5', f'"accuracy": {value}'))
    with pytest.raises(ArtifactError, match=r"manifest\.json is not valid JSON"):
        read_manifest(made.path)


def test_files_and_folders_are_on_disk_before_the_manifest_is_there(tmp_path, monkeypatch):
    """A power cut must not leave a manifest whose files are empty."""
    (tmp_path / "below").mkdir()
    for name in ("one.txt", "below/two.txt"):
        (tmp_path / name).write_text("1")
    synced, fsync = [], os.fsync

    def watch(descriptor):
        synced.append((os.fstat(descriptor).st_ino, (tmp_path / MANIFEST).exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    seal(tmp_path, {})
    before = {inode for inode, is_there in synced if not is_there}
    paths = (tmp_path, tmp_path / "below", tmp_path / "one.txt", tmp_path / "below" / "two.txt")
    assert {path.stat().st_ino for path in paths} <= before
    assert (tmp_path.stat().st_ino, True) in synced, "the manifest's own name, too"


@pytest.fixture
def sealed(tmp_path):
    """A folder with a file, a model below it, and a manifest."""
    folder = tmp_path / "sealed"
    (folder / "policy").mkdir(parents=True)
    for name in ("rows.jsonl", "policy/weights", "policy/config"):
        (folder / name).write_text("whole")
    seal(folder, {"kind": "ppo", "digest": "0", "info": {}})
    return folder


def test_whoever_reads_a_file_verifies_it_by_the_manifest_beside_it_or_above_it(sealed, tmp_path):
    (tmp_path / "link").symlink_to(sealed / "policy")
    places = {"": sealed, "rows": sealed / "rows.jsonl", "policy": sealed / "policy", "link": tmp_path / "link"}
    for path in places.values():
        verify_beside(path)
    (sealed / "policy" / "weights").write_text("whale")
    found = {}
    for name, path in places.items():
        try:
            verify_beside(path)
        except ArtifactError as error:
            found[name] = str(error)
    assert found.keys() == {"", "policy", "link"}, "the rows are whole"
    for message in found.values():
        assert f"{sealed / 'policy' / 'weights'} differs from the manifest" in message
        assert "If it was changed on purpose, delete its manifest.json" in message


@pytest.mark.parametrize("content", ["[]", "{}", '{"files": {}, "name": "an app"}', None])
def test_a_folder_without_a_manifest_of_frft_is_not_verified(sealed, content):
    (sealed / MANIFEST).unlink()
    if content is not None:
        (sealed / MANIFEST).write_text(content)
    (sealed / "rows.jsonl").write_text("whale")
    verify_beside(sealed)


def test_a_damaged_manifest_does_not_pass_for_a_foreign_one(sealed):
    whole = (sealed / MANIFEST).read_bytes()
    detected = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        (sealed / MANIFEST).write_bytes(damaged)
        try:
            verify_beside(sealed)
        except ArtifactError:
            detected += 1
        else:
            assert json.loads(bytes(damaged)) == json.loads(whole), f"byte {place}"
    assert detected > 0.99 * len(whole)


def test_a_file_is_read_once_until_it_changes(sealed, monkeypatch):
    read, sha256_file = [], manifest_module.sha256_file

    def counts(file):
        read.append(file.name)
        return sha256_file(file)

    monkeypatch.setattr(manifest_module, "sha256_file", counts)
    monkeypatch.setattr(manifest_module.time, "time", lambda now=time.time: now() + 60)
    for _ in range(3):
        verify_beside(sealed / "rows.jsonl")
    assert read == ["rows.jsonl"]
    os.utime(sealed / "rows.jsonl")
    verify_beside(sealed / "rows.jsonl")
    assert read == ["rows.jsonl"] * 2
    monkeypatch.undo()
    monkeypatch.setattr(manifest_module, "sha256_file", counts)
    shutil.copy(sealed / "rows.jsonl", sealed / "new")
    (sealed / "new").replace(sealed / "rows.jsonl")
    for _ in range(2):
        verify_beside(sealed / "rows.jsonl")
    assert len(read) == 4, "changed a moment ago: it may change again without a trace in its times"
