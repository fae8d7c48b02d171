"""Manifests: whatever they say is covered by a checksum."""

import hashlib
import json

import pytest

from frft.errors import ArtifactError
from frft.store import MANIFEST, ArtifactStore, read_manifest


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
        assert read_manifest(made.path, older=True)["info"]["accuracy"] == 0.5
    else:
        with pytest.raises(ArtifactError, match=said):
            read_manifest(made.path, older=True)
