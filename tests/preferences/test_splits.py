from __future__ import annotations

from pathlib import PurePath

import pytest

from frft.preferences.splits import split_of


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("pairs.jsonl", "train"),
        ("train.jsonl", "train"),
        ("pairs-Test.csv.gz", "test"),
        ("test-00000-of-00001.parquet", "test"),
        ("held_out.eval.jsonl", "test"),
        ("latest.jsonl", "train"),
        ("validation/a.jsonl", "validation"),
        ("alpaca-eval/a.jsonl", "train"),
        ("data/train_prefs-00000-of-00002.parquet", "train_prefs"),
        ("data/data-00000-of-00002.arrow", "data"),
        ("test/data-00000-of-00002.arrow", "test"),
    ],
)
def test_the_split_of_a_file_is_said_by_its_name(name, split):
    assert split_of(PurePath(name)) == split


@pytest.mark.parametrize(
    "names",
    [
        ["train.jsonl", "test.jsonl"],
        ["data/train-00000-of-00001.jsonl", "data/test-00000-of-00001.jsonl"],
        ["pairs_train.jsonl", "pairs_validation.jsonl", "pairs-test.jsonl"],
        ["train/a.jsonl", "dev/b.jsonl"],
        ["data/train_prefs-00000-of-00001.jsonl", "data/test_prefs-00000-of-00001.jsonl"],
        ["a.jsonl", "b.jsonl"],
    ],
    ids=lambda names: names[0],
)
def test_splits_are_those_of_the_datasets_library(tmp_path, names):
    from datasets.data_files import DataFilesDict, get_data_patterns

    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    patterns = get_data_patterns(str(tmp_path))
    theirs = {
        str(split): {PurePath(path).relative_to(tmp_path).as_posix() for path in files}
        for split, files in DataFilesDict.from_patterns(patterns, base_path=str(tmp_path)).items()
    }
    ours: dict[str, set[str]] = {}
    for name in names:
        ours.setdefault(split_of(PurePath(name)), set()).add(name)
    assert ours == theirs
