"""Preference pairs and policy samples small enough to train on in a test."""

from __future__ import annotations

import json

import pytest

PROMPT = "\n\nHuman: How do I bake bread?\n\nAssistant:"


@pytest.fixture
def write_rows(tmp_path):
    """Write rows as JSON Lines to a file of that name."""

    def write(name, rows):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


@pytest.fixture
def pairs():
    return [
        {
            "chosen": f"{PROMPT} Mix flour and water, number {n}.",
            "rejected": f"{PROMPT} No {n}.",
            "source": "ab"[n % 2],
        }
        for n in range(24)
    ]


@pytest.fixture
def pairs_file(write_rows, pairs):
    return write_rows("pairs.jsonl", pairs)


@pytest.fixture
def samples_file(write_rows):
    return write_rows("samples.jsonl", [{"prompt": PROMPT, "completion": f" Mix water {n}."} for n in range(8)])


@pytest.fixture
def conversations_file(write_rows):
    """Pairs on so many different prompts that a run has some for each of its purposes."""
    return write_rows(
        "conversations.jsonl",
        [
            {"chosen": f"\n\nHuman: q{n}\n\nAssistant: yes", "rejected": f"\n\nHuman: q{n}\n\nAssistant: no"}
            for n in range(60)
        ],
    )
