"""Tables and JSON lines."""

from __future__ import annotations

import json

from benchmarks import results


def test_rows_are_written_as_a_table_and_in_full(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    rows = [{"model": "0.5M", "seconds": 1.234, "all": [1, 2]}, {"model": "[red]", "seconds": 5.0, "all": []}]
    results.report("speed", ["A note."], rows, {"model": "{model}", "time, s": "{seconds:.1f}"})
    table = "# speed\n\nA note.\n\n| model | time, s |\n| --- | --- |\n| 0.5M | 1.2 |\n| [red] | 5.0 |\n"
    assert (tmp_path / "results" / "speed.md").read_text() == table
    assert table in capsys.readouterr().out
    assert [json.loads(line) for line in (tmp_path / "results" / "speed.jsonl").read_text().splitlines()] == rows


def test_the_machine_is_named():
    assert "cores; torch " in results.machine()
