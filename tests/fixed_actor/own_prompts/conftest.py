"""A pool of two domains whose scoring policies are opposed: kind answers win on cooking, curt ones on computers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from frft.fixed_actor import PairsOfDomains

TOPICS = {
    "cooking": ["bread", "soup", "salad", "pasta", "cake", "stew", "rice", "pie"],
    "computers": ["printers", "laptops", "routers", "compilers", "keyboards", "servers", "drivers", "backups"],
}
ASKED = ["How do I start with", "Tell me about", "Who likes", "What is odd about", "Why are there"]
KIND = ["What a lovely question about {}, my dear friend!", "I would be so happy to help you with {}, thank you!"]
CURT = ["{}: no. Go away.", "Not my job. Read a manual on {}."]


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
