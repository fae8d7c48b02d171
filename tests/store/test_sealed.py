"""Sealed JSON files: whatever happened to one is found, and older ones are read."""

from __future__ import annotations

import json

import pytest

from frft.errors import ArtifactError
from frft.store import is_sealed, read_sealed, verify_listed, write_json, write_sealed

VALUE = {"format": 1, "name": "ä", "x": 0.1, "rows": [1, None, True], "empty": {}, "digest": "a" * 64}


@pytest.fixture
def sealed(tmp_path):
    (tmp_path / "arms").mkdir()
    for name in ("arms/a.bin", "arms/b.bin", "c.jsonl"):
        (tmp_path / name).write_bytes(name.encode())
    path = tmp_path / "results.json"
    write_sealed(path, VALUE, [tmp_path / "arms", tmp_path / "c.jsonl"])
    return path


def test_what_is_written_is_what_is_read(sealed, tmp_path):
    assert read_sealed(sealed) == VALUE
    assert is_sealed(sealed)
    assert list(json.loads(sealed.read_text()))[-2:] == ["files", "sha256"]
    assert verify_listed(sealed) == 3
    assert verify_listed(sealed, tmp_path / "c.jsonl") == 1
    assert verify_listed(sealed, tmp_path / "not-listed") == 0


def test_every_flipped_bit_is_an_error(sealed):
    whole = sealed.read_bytes()
    for position in range(0, len(whole) * 8, 3):
        damaged = bytearray(whole)
        damaged[position // 8] ^= 1 << position % 8
        sealed.write_bytes(damaged)
        with pytest.raises(ArtifactError, match=rf"{sealed} .*Delete it and run again"):
            read_sealed(sealed)


def test_cut_at_every_byte_it_is_an_error(sealed):
    whole = sealed.read_bytes()
    for length in range(len(whole) - 1):
        sealed.write_bytes(whole[:length])
        with pytest.raises(ArtifactError, match="not valid JSON"):
            read_sealed(sealed)


def test_older_files_have_no_seal_and_are_read(tmp_path):
    path = tmp_path / "older.json"
    write_json(path, {**VALUE, "files": ["its own"]})
    assert read_sealed(path) == {**VALUE, "files": ["its own"]}
    assert not is_sealed(path)
    assert verify_listed(path) == 0


@pytest.mark.parametrize("content", [[], None, 3, "x"])
def test_what_is_no_object_is_an_error(tmp_path, content):
    write_json(tmp_path / "x.json", content)
    with pytest.raises(ArtifactError, match=r"x.json is no JSON object.*Do so\."):
        read_sealed(tmp_path / "x.json", "Do so.")


def test_a_listed_file_that_was_changed_or_is_missing_is_named(sealed, tmp_path):
    (tmp_path / "arms" / "b.bin").write_bytes(b"arms/c.bin")
    for of in (None, tmp_path / "arms" / "b.bin"):
        with pytest.raises(ArtifactError, match=r"b.bin differs from results.json written with it.*Do {so}\."):
            verify_listed(sealed, of, remedy="Do {so}.")
    assert verify_listed(sealed, tmp_path / "c.jsonl") == 1
    (tmp_path / "c.jsonl").unlink()
    with pytest.raises(ArtifactError, match=r"c.jsonl differs"):
        verify_listed(sealed, tmp_path / "c.jsonl")


@pytest.mark.parametrize("name", ["files", "sha256"])
def test_the_fields_of_the_seal_are_not_written_over(tmp_path, name):
    with pytest.raises(ValueError, match=f"the fields {name} are those of the seal"):
        write_sealed(tmp_path / "x.json", {name: "its own"})
    assert not (tmp_path / "x.json").exists()
