"""A world's files: whole, and readable by everything that reads preference data."""

from __future__ import annotations

import json

import pytest

from frft.config.sections import WorldConfig
from frft.errors import ArtifactError
from frft.preferences import load_pool, load_prompts, load_samples
from frft.preferences.sources import find_sources
from frft.results.verification import verify
from frft.worlds import World, write_world

DIALS = {"pool_size": 300, "demonstrations": 40, "train_prompts": 30, "evaluation_prompts": 20}


@pytest.fixture
def world():
    return World(WorldConfig(**DIALS, kappa=0.5, near_lambda=0.25))


def test_files_are_read_without_a_rejected_row(world, tmp_path):
    counts = write_world(world, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*counts, "manifest.json", "world.json"])
    pool = load_pool(tmp_path / "pairs.jsonl", max_rejected=0.0)
    assert (pool.report.read, pool.report.accepted, pool.report.rejected) == (300, 300, {})
    made = world.pairs(0, 300)
    for column in made.column_names[1:]:
        assert pool.table[column].to_pylist() == made[column].to_pylist()
    samples = load_samples(tmp_path / "demonstrations.jsonl", max_rejected=0.0)
    assert samples.completions == world.demonstrations(0, 40)["completion"].to_pylist()
    assert load_prompts(tmp_path / "train.jsonl") == world.prompts(0, 30)
    assert load_prompts(tmp_path / "evaluation.jsonl") == world.prompts(0, 20, "evaluation")


def test_the_folder_holds_the_world(world, tmp_path):
    write_world(world, tmp_path)
    again = World.load(tmp_path)
    assert again.config == world.config
    assert set(json.loads((tmp_path / "world.json").read_text())) == set(WorldConfig.model_fields)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("world.json", lambda path: World.load(path.parent)),
        ("pairs.jsonl", load_pool),
        ("pairs.jsonl", lambda path: load_pool(path.parent / "pairs*")),
        ("demonstrations.jsonl", load_samples),
        ("train.jsonl", load_prompts),
    ],
)
def test_what_was_changed_is_named(world, tmp_path, name, read):
    write_world(world, tmp_path)
    path = tmp_path / name
    whole = path.read_bytes()
    edits = {"world.json": (b'"kappa": 0.5', b'"kappa": 0.7')}
    path.write_bytes(whole.replace(*edits.get(name, (b"e", b"a")), 1))
    assert path.read_bytes() != whole
    with pytest.raises(ArtifactError, match=f"{name} differs from the manifest.*delete its manifest.json"):
        read(path)
    assert [each.path for each in verify([tmp_path]).damaged] == [str(path)]
    (tmp_path / "manifest.json").unlink()  # changed on purpose, or written by an older version
    read(path)


def test_a_manifest_of_frft_is_no_data_and_that_of_others_is(world, tmp_path):
    write_world(world, tmp_path / "world")
    found = find_sources(tmp_path / "world")
    assert str(tmp_path / "world" / "manifest.json") in found.ignored
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "manifest.json").write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n' * 2)
    assert [source.name for source in find_sources(tmp_path / "other").found] == [str(tmp_path / "other/manifest.json")]
    assert load_pool(tmp_path / "other").report.accepted == 2


def test_portions_change_nothing(world, tmp_path, monkeypatch):
    write_world(world, tmp_path / "whole")
    monkeypatch.setattr("frft.worlds.files.CHUNK", 7)
    write_world(world, tmp_path / "parts")
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "parts" / path.name).read_bytes()


def test_the_dials_are_written_last(world, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(world, "demonstrations", fail)
    with pytest.raises(OSError, match="disk full"):
        write_world(world, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.jsonl"]
