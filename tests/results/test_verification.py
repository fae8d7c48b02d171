"""frft verify: every kind of thing that has a digest, whole and damaged."""

from __future__ import annotations

import hashlib
import json
import os

import pytest

from frft.cli import main
from frft.errors import DataError, UnreadableError
from frft.experiment.checkpoints import saved_in
from frft.results.verification import verify
from frft.store import MANIFEST, ArtifactStore, Journal, atomic_folder, read_json, seal, write_json, write_sealed
from frft.store.chained import write_chained

TEXT = b"some content of a file"


@pytest.fixture
def out(tmp_path):
    """A folder with one of each kind, as runs, studies and commands write them, and links to them."""
    out = tmp_path / "out"

    def build(folder):
        (folder / "policy").mkdir()
        (folder / "policy" / "model.safetensors").write_bytes(TEXT)
        return {"accuracy": 0.75}

    made = ArtifactStore(out / "stages").make("sft", {}, build)
    under_way = out / "stages" / "ppo-1.unfinished"
    under_way.mkdir()
    journal = Journal.create(under_way / "metrics.jsonl")
    journal.append([{"step": 1}, {"step": 2}])
    with atomic_folder(under_way / "checkpoint-2") as folder:
        (folder / "optimizer.pt").write_bytes(TEXT)
        _ = seal(folder, {"along": {"journals": {"metrics.jsonl": journal.mark()}}})
    journal.append([{"step": 3}])
    (out / "arms" / "frft").mkdir(parents=True)
    (out / "arms" / "frft" / "policy").symlink_to(made.path / "policy")
    (out / "arms" / "frft" / "selection-1.parquet").write_bytes(TEXT)
    (out / "metrics.jsonl").write_text('{"step": 1}\n')
    write_sealed(out / "run.json", {"config": {}})
    write_sealed(
        out / "results.json", {"format": 1}, [out / "metrics.jsonl", *(out / "arms" / "frft").glob("*.parquet")]
    )
    write_sealed(out / "cells" / "centre-0.json", {"seconds": 1.5})
    (out / "embeddings").mkdir()
    (out / "embeddings" / f"{'a' * 24}-{hashlib.sha256(TEXT).hexdigest()}.npy").write_bytes(TEXT)
    write_chained(out / "labels.jsonl", [{"head": 1}, {"label": "A"}, {"label": "B"}])
    (out / "config.yaml").write_text("seed: 1\n")
    return out


def test_what_is_whole_is_counted(out):
    found = verify([out])
    assert (found.damaged, found.older) == ([], [])
    # Folders: a stage and a checkpoint. Files: of these, the checkpoint's journal, metrics and selection that results
    # list, results.json, run.json, a cell, vectors, labels.
    assert (found.folders, found.files) == (2, 2 + 1 + 2 + 3 + 2)
    assert found.without == [str(out / "config.yaml")]
    assert found.bytes > 4 * len(TEXT)


DIGESTED = [
    "stages/sft-*/policy/model.safetensors",
    "stages/sft-*/manifest.json",
    "stages/ppo-1.unfinished/checkpoint-2/optimizer.pt",
    "stages/ppo-1.unfinished/checkpoint-2/manifest.json",
    "stages/ppo-1.unfinished/metrics.jsonl",
    "arms/frft/selection-1.parquet",
    "metrics.jsonl",
    "run.json",
    "results.json",
    "cells/centre-0.json",
    "embeddings/*.npy",
    "labels.jsonl",
]


@pytest.mark.parametrize("name", DIGESTED)
def test_every_flipped_bit_is_found_and_the_file_named_with_a_remedy(out, name, capsys):
    (path,) = out.glob(name)
    whole = path.read_bytes()
    for position in range(0, len(whole) * 8, 7):
        # Rows beyond the checkpoint are made again, whatever is in them.
        if name.endswith("unfinished/metrics.jsonl") and position // 8 >= whole.index(b'{"step": 3}'):
            break
        damaged = bytearray(whole)
        damaged[position // 8] ^= 1 << position % 8
        path.chmod(0o644)
        path.write_bytes(damaged)
        found = verify([out])
        if not found.damaged:
            # The same content: other white space, or an escape for the same character.
            assert json.loads(damaged) == json.loads(whole)
            continue
        assert str(path) in {each.path for each in found.damaged}
        assert all(str(path) in each.message for each in found.damaged if each.path == str(path))
    path.write_bytes(whole[: len(whole) // 2])
    assert main(["verify", str(out)]) == 1
    said = capsys.readouterr().out
    assert "DAMAGED" in said
    assert str(path) in said.replace("\n", "")
    assert any(word in said for word in ("again", "estore", "anew", "computes"))


def test_each_damaged_file_of_a_folder_has_a_line(out, shown, fits, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    (out / "metrics.jsonl").write_text("")
    (out / "arms" / "frft" / "selection-1.parquet").unlink()
    (out / "cells" / "centre-0.json").write_text("{")
    assert main(["verify", str(out)]) == 1
    said = capsys.readouterr().out
    fits(shown)
    assert said.count("DAMAGED") == 3
    assert "3 damaged; 7 files" in said
    assert "this cell, and no other, is run anew" in " ".join(said.split())
    assert max(len(line) for line in said.splitlines() if " " in line.strip()) <= 80
    assert main(["verify", str(out), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert {each["path"] for each in found["damaged"]} == {
        str(out / name) for name in ("metrics.jsonl", "arms/frft/selection-1.parquet", "cells/centre-0.json")
    }
    assert (found["folders"], found["files"]) == (2, 7)


def test_nothing_waits_for_a_pipe(out):
    (out / "labels.jsonl").unlink()
    (out / "results.json").unlink()
    (out / "stages" / "other").mkdir()
    for name in ("labels.jsonl", "results.json", f"stages/other/{MANIFEST}"):
        os.mkfifo(out / name)
    assert {each.path for each in verify([out]).damaged} == {
        str(out / name) for name in ("labels.jsonl", "results.json", f"stages/other/{MANIFEST}")
    }


@pytest.mark.parametrize("content", ["{}", "[" * 100_000])
def test_what_stands_in_place_of_a_manifest_or_a_sealed_file_is_damage(out, content):
    places = ("stages/sft-*/manifest.json", "stages/*/checkpoint-2/manifest.json", "results.json", "run.json")
    damaged = [path for place in places for path in out.glob(place)]
    assert len(damaged) == 4
    for path in damaged:
        path.chmod(0o644)
        path.write_text(content)
    assert {each.path for each in verify([out]).damaged} >= {str(path) for path in damaged}


def test_older_folders_and_files_are_counted_apart(out):
    (path,) = out.glob(f"stages/sft-*/{MANIFEST}")
    manifest = read_json(path)
    path.chmod(0o644)
    write_json(path, {name: each for name, each in manifest.items() if name not in ("format", "sha256", "code")})
    write_json(out / "results.json", {"format": 1})
    found = verify([out])
    assert (found.damaged, found.older) == ([], [str(out / "results.json"), str(path.parent)])
    assert str(out / "results.json") in found.without


def test_manifests_of_others_and_folders_without_digests(tmp_path, capsys):
    with pytest.raises(UnreadableError, match="does not exist"):
        verify([tmp_path / "missing"])
    write_json(tmp_path / MANIFEST, {"name": "a web page", "icons": []})
    with pytest.raises(DataError, match=r"has a digest \(1 files\)"):
        verify([tmp_path])
    assert main(["verify"]) == 2
    assert "Name what to verify" in capsys.readouterr().err


def test_files_are_verified_by_name(out, tmp_path):
    labels = (out / "labels.jsonl").rename(tmp_path / "labels.queue")
    assert verify([labels, out / "run.json"]).files == 2
    labels.write_text(labels.read_text().replace("A", "B", 1))
    (damage,) = verify([labels]).damaged
    assert "line 2: damaged" in damage.message


def test_a_checkpoint_that_a_run_deletes_meanwhile_is_no_damage(out, monkeypatch):
    """The training saved the next one when the folder had been listed."""
    from frft.results import verification
    from frft.store import remove

    real = verification.read_manifest

    def reading(folder, **more):
        manifest = real(folder, **more)
        if folder.name.startswith("checkpoint"):
            remove(folder)
        return manifest

    monkeypatch.setattr(verification, "read_manifest", reading)
    assert saved_in(out / "stages" / "ppo-1.unfinished")
    assert verify([out]).damaged == []
    assert not saved_in(out / "stages" / "ppo-1.unfinished")
