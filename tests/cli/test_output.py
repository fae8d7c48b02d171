from __future__ import annotations

import json

import pytest

from frft.cli.output import escaped, print_json, print_table, print_text

HOSTILE = "\x1b[31mred\x07\x9b2J\u202etxt\r"


def harmless(text):
    return all(c == "\n" or c.isprintable() for c in text)


def test_lines_stay_and_what_a_terminal_obeys_is_escaped(capsys):
    assert escaped("one\ntwo \x1b") == "one\ntwo \\x1b"
    print_text(f"Wrote {HOSTILE}\nand [bold]more[/bold]")
    printed = capsys.readouterr().out
    assert harmless(printed)
    assert printed.endswith("\nand [bold]more[/bold]\n")


def test_json_is_harmless_and_still_says_the_same(capsys):
    value = {"text": HOSTILE, "emoji \U0001f600": ["é", 1.5, None], "tag": "\U000e0041", "half": "\udc80"}
    print_json(value)
    printed = capsys.readouterr().out
    assert harmless(printed)
    assert json.loads(printed) == value
    assert "é" in printed
    with pytest.raises(ValueError, match="not JSON compliant"):
        print_json(float("nan"))


def test_cells_of_a_table_are_neither_obeyed_nor_markup(capsys):
    print_table(("column", f"figure {HOSTILE}"), [(HOSTILE, "[red]1[/red]")])
    printed = capsys.readouterr().out
    assert harmless(printed)
    assert "[red]1[/red]" in printed
    assert "\\x1b[31mred\\x07" in printed
