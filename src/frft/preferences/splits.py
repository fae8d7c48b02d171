"""Which split a file of a folder belongs to, by its name, as data sets on the Hugging Face Hub have it.

| name in the folder | split |
|---|---|
| data/train_prefs-00000-of-00002.parquet | train_prefs: whatever stands before the shard's number |
| test.jsonl, pairs_test.csv, test/pairs.jsonl | test: a keyword in the file's name, or a folder's whole name |
| pairs.jsonl | train: no name of a split |

Two things differ from the Hub's rule: a keyword must be all of a folder's name (the Hub reads alpaca-eval/ as a test
split), and files without the name of a split stay in train beside others (the Hub would not read them at all).
"""

from __future__ import annotations

import re
from pathlib import PurePath

DEFAULT_SPLIT = "train"

METADATA_FILES = frozenset(("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"))
"""Files that the `datasets` library writes beside the data, and that hold no rows."""

_KEYWORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SPLIT_OF_KEYWORD = {keyword: split for split, keywords in _KEYWORDS.items() for keyword in keywords}
_SHARD = re.compile(r"(?P<split>\w+(?:\.\w+)*)-\d{5}-of-\d{5}\b")
_PARTS = re.compile(r"[-._ 0-9]+")


def split_of(path: PurePath) -> str:
    """The name of the split that a file belongs to; `path` is relative to the folder that the user named."""
    if path.parent.name == "data":
        shard = _SHARD.match(path.name)
        if shard:
            return shard["split"]
    names = [*(part.lower() for part in path.parts[:-1]), *_PARTS.split(path.name.lower())]
    return next((_SPLIT_OF_KEYWORD[name] for name in names if name in _SPLIT_OF_KEYWORD), DEFAULT_SPLIT)
