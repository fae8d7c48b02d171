"""The comparison of chat models, over one architecture."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import chat_templates, results


@pytest.mark.slow
def test_all_that_is_compared_stands_in_one_table(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    # All of them are compared in tests/models/test_chat_matrix.py.
    families = {name: chat_templates.FAMILIES[name] for name in ("qwen2", "llama3")}
    monkeypatch.setattr(chat_templates, "FAMILIES", families)
    monkeypatch.setattr(chat_templates, "GREEDY", [case for case in chat_templates.GREEDY if case.family == "llama3"])
    monkeypatch.setattr(sys, "argv", ["chat_templates", "--architectures", "qwen2", "--conversations", "700"])
    chat_templates.main()
    rows = [json.loads(line) for line in (tmp_path / "results" / "chat_templates.jsonl").read_text().splitlines()]
    by_kind = {kind: [row for row in rows if row["compared"] == kind] for kind in ("scores", "tokens", "greedy")}
    (scores,) = by_kind["scores"]
    # 7 templates, 2 padding sides, 3 batch sizes; Qwen2 has one kind of tokenizer.
    assert (scores["name"], scores["cells"], scores["sequences"]) == ("qwen2", 42, 42 * 7)
    assert 0 <= scores["difference"] <= 1e-5 < scores["least_spread"]
    assert sum(row["sequences"] for row in by_kind["tokens"]) >= 700
    assert {row["name"] for row in by_kind["greedy"]} >= {"llama-llama3-llama3-own"}
    assert all(row["wrong"] == 0 for row in rows)
    printed = capsys.readouterr().out
    assert "0 wrong" in printed
    assert f"| scores | qwen2 | 42 | 294 | 0 | {scores['difference']:.1e} |" in printed
