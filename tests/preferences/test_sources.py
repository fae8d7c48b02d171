from __future__ import annotations

import os
from pathlib import Path

import pytest

from frft.errors import UnreadableError
from frft.preferences.sources import FileSource, HubSource, find_sources


@pytest.fixture
def tree(tmp_path) -> Path:
    for name in (
        "b.jsonl",
        "a.csv.gz",
        "deep/c.parquet",
        "deep/.hidden.jsonl",
        ".git/d.jsonl",
        "notes.txt",
        "deep/e.JSON.zst",
        "f.parquet.gz",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def names(sources, root) -> list[str]:
    return [source.path.relative_to(root).as_posix() for source in sources.found]


def test_a_folder_gives_its_data_files_in_order_and_says_what_it_leaves(tree):
    (tree / "loop").symlink_to(tree, target_is_directory=True)
    sources = find_sources(str(tree))
    assert names(sources, tree) == ["a.csv.gz", "b.jsonl", "deep/c.parquet", "deep/e.JSON.zst"]
    ignored = {Path(path).relative_to(tree).as_posix(): why for path, why in sources.ignored.items()}
    assert ignored == {
        "notes.txt": "ending not known",
        "f.parquet.gz": "ending not known",
        "loop": "link to a folder",
    }
    kinds = [(source.kind, source.codec) for source in sources.found]
    assert kinds == [("csv", "gzip"), ("jsonl", None), ("parquet", None), ("json", "zstd")]


def test_globs_and_lists(tree):
    assert names(find_sources(f"{tree}/*.jsonl"), tree) == ["b.jsonl"]
    assert names(find_sources(f"{tree}/**/*.parquet"), tree) == ["deep/c.parquet"]
    sources = find_sources([str(tree / "deep"), f"{tree}/b.*", str(tree / "b.jsonl")])
    assert names(sources, tree) == ["deep/c.parquet", "deep/e.JSON.zst", "b.jsonl"]
    assert sources.ignored == {str(tree / "b.jsonl"): "named twice, read once"}


def test_a_path_with_magic_characters_that_exists_is_that_path(tmp_path):
    path = tmp_path / "a[1].jsonl"
    path.touch()
    assert find_sources(path).found == (FileSource(path, "jsonl", None),)


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_folder_gives_one_split_and_says_what_it_leaves_aside(tmp_path):
    touch(tmp_path, "data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet", "dev/a.jsonl", "more.csv")
    sources = find_sources(tmp_path)
    assert names(sources, tmp_path) == ["more.csv", "data/train-00000-of-00001.parquet"]
    aside = {split: [file.path.name for file in files] for split, files in sources.left_aside.items()}
    assert aside == {"test": ["test-00000-of-00001.parquet"], "validation": ["a.jsonl"]}
    assert names(find_sources(tmp_path, split="test"), tmp_path) == ["data/test-00000-of-00001.parquet"]
    with pytest.raises(
        UnreadableError, match=r"no split 'gen'; by their names, its files are of train \(2 files\), test \(1 "
    ):
        find_sources(tmp_path, split="gen")
    both = find_sources([tmp_path, tmp_path / "dev" / "a.jsonl", f"{tmp_path}/data/te*"])
    assert names(both, tmp_path)[2:] == ["dev/a.jsonl", "data/test-00000-of-00001.parquet"]
    assert both.left_aside == {}


def test_files_that_describe_data_are_no_data_unless_named(tmp_path):
    touch(tmp_path, "dataset_infos.json", "train/state.json", "train/data-00000-of-00001.arrow", "dataset_dict.json")
    sources = find_sources(tmp_path)
    assert names(sources, tmp_path) == ["train/data-00000-of-00001.arrow"]
    assert len(sources.ignored) == 3
    assert names(find_sources(tmp_path / "dataset_infos.json"), tmp_path) == ["dataset_infos.json"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.jsonl", "does not exist. Give a file"),
        ("owner/missing.jsonl", "does not exist. Give a file"),
        ("notes.txt", "cannot be read. Convert it"),
        ("*.nothing", "No file matches"),
        ("empty", "holds no data file"),
        ("*.txt", "holds no data file"),
        ("x" * 5000, "cannot be looked up"),
    ],
)
def test_what_cannot_be_found_is_an_error(tree, monkeypatch, name, message):
    (tree / "empty").mkdir()
    monkeypatch.chdir(tree)
    with pytest.raises(UnreadableError, match=message):
        find_sources(name)


def test_a_folder_that_cannot_be_listed_is_an_error(tree, monkeypatch):
    import os

    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # tests may run as root, whom nothing is closed to
    with pytest.raises(UnreadableError, match=r"cannot be looked up: .*Permission denied"):
        find_sources(tree)


def test_owner_and_name_that_is_no_path_is_a_data_set_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (source,) = find_sources("Anthropic/hh-rlhf", split="test").found
    assert source == HubSource("Anthropic/hh-rlhf", "test")
    assert source.name == "hf://datasets/Anthropic/hh-rlhf (test)"
    (tmp_path / "Anthropic" / "hh-rlhf").mkdir(parents=True)
    (tmp_path / "Anthropic" / "hh-rlhf" / "x.jsonl").touch()
    (source,) = find_sources("Anthropic/hh-rlhf").found
    assert isinstance(source, FileSource)


def test_pipes_and_devices_are_not_read(tmp_path):
    """To open a pipe that nobody writes to waits for ever."""
    (tmp_path / "rows.jsonl").write_text("{}\n")
    os.mkfifo(tmp_path / "pipe.jsonl")
    for place in (tmp_path, tmp_path / "*.jsonl"):
        sources = find_sources(place)
        assert [source.path.name for source in sources.found] == ["rows.jsonl"]
        assert sources.ignored == {str(tmp_path / "pipe.jsonl"): "a pipe, a socket or a device"}
    with pytest.raises(UnreadableError, match=r"pipe.jsonl is no file, but a pipe, a socket or a device"):
        find_sources(tmp_path / "pipe.jsonl")
    (tmp_path / "zero.jsonl").symlink_to("/dev/zero")
    with pytest.raises(UnreadableError, match=r"zero.jsonl is no file"):
        find_sources(tmp_path / "zero.jsonl")
