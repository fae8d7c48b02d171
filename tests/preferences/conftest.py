"""What the tests of preferences share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def write_lines(tmp_path):
    """Write a JSON Lines file of rows: objects, or lines as text or bytes. Returns its path."""

    def write(*rows, name: str = "pairs.jsonl") -> Path:
        lines = [json.dumps(row) if isinstance(row, dict) else row for row in rows]
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join((line.encode() if isinstance(line, str) else line) + b"\n" for line in lines))
        return path

    return write


@pytest.fixture
def pair():
    """A row with a prompt of its own, so that rows differ."""

    def make(number: int = 0, **fields) -> dict:
        return {"prompt": f"Question {number}?", "chosen": " Yes.", "rejected": " No.", **fields}

    return make
