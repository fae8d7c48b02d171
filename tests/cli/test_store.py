"""`frft store`: what is there, and what goes."""

from __future__ import annotations

import json
import os
import time

import pytest

from frft.cli import main
from frft.store import ArtifactStore, SharedStore


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store of two SFT models, one of them a week old, and a reward model; what FRFT_STORE names."""
    shared = SharedStore(tmp_path / "store")

    def build(path):
        (path / "weights.bin").write_bytes(b"w" * 100_000)
        return {}

    made = [
        ArtifactStore(tmp_path / "run", shared=shared).make(kind, {"seed": seed}, build)
        for kind, seed in (("sft", 0), ("sft", 1), ("reward", 0))
    ]
    for days, artifact in zip((7, 2, 1), made, strict=True):
        os.utime(shared.root / "stages" / artifact.path.name, (time.time() - days * 86400,) * 2)
    monkeypatch.setenv("FRFT_STORE", str(shared.root))
    return shared


def listed(capsys, *options):
    assert main(["store", "list", "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


def test_list_says_what_is_there_by_kind_and_one_by_one(store, capsys):
    found = listed(capsys)
    assert (found["store"], found["max_bytes"]) == (str(store.root), 10 * 2**30)
    assert [entry["kind"] for entry in found["entries"]] == ["reward", "sft", "sft"]
    assert found["bytes"] == sum(entry["bytes"] for entry in found["entries"]) > 300_000
    assert main(["store", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1:4:2] for line in lines if "│ sft" in line] == [["sft", "2"]]
    assert f"{store.root}: 3 entries, " in lines[-1]
    assert "of at most 10.0 GiB" in lines[-1]
    assert main(["store", "list", "--entries"]) == 0
    shown = capsys.readouterr().out
    assert all(entry["name"] in shown for entry in found["entries"])


def test_an_empty_store_is_listed_too(tmp_path, capsys):
    assert listed(capsys, "--store", str(tmp_path / "new"))["entries"] == []
    assert main(["store", "list", "--store", str(tmp_path / "new")]) == 0
    assert "0 entries, 0 B" in capsys.readouterr().out
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ([], 3),
        (["--older-than", "3d"], 2),
        (["--older-than", "36h"], 1),
        (["--max-size", "250K"], 2),
        (["--max-size", "0"], 0),
        (["--older-than", "1w", "--max-size", "150K"], 1),
    ],
)
def test_prune_deletes_what_was_asked_for_and_no_run_loses_anything(store, capsys, tmp_path, options, left):
    assert main(["store", "prune", *options]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith(f"{3 - left} entries deleted (")
    assert f"; {left} are left (" in said
    assert len(store.entries()) == left
    assert len(list((tmp_path / "run").glob("*/weights.bin"))) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prune", "--older-than", "soon"], "--older-than: 'soon' is not a duration"),
        (["prune", "--max-size", "big"], "--max-size: 'big' is not a size"),
        (["list", "--store", "none"], "switched off"),
    ],
)
def test_what_is_wrong_is_named(store, capsys, arguments, message):
    assert main(["store", *arguments]) == 2
    assert message in capsys.readouterr().err
