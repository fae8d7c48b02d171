"""How commands print. Nothing that is printed here can make a terminal do anything."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from frft.errors import printable


def escaped(text: str) -> str:
    """`text` with its lines as they are, and everything else that a terminal might obey escaped."""
    return "\n".join(printable(line) for line in text.split("\n"))


def print_text(text: str | None) -> None:
    """Text on standard output, which may quote data, names and paths; None: nothing."""
    if text is not None:
        print(escaped(text))


def print_json(value: Any) -> None:
    """One JSON document on standard output, and nothing else there."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    # JSON itself escapes only half of what a terminal might obey; its own escapes keep the value the same.
    print("".join(c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] for c in text))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, texts: int = 1) -> None:
    """A table on standard output: the first `texts` columns hold words, the others figures; none is markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table()
    for number, column in enumerate(columns):
        grid.add_column(Text(printable(column)), justify="left" if number < texts else "right")
    for row in rows:
        grid.add_row(*(Text(printable(cell)) for cell in row))
    # A pipe has no width; wide enough that no cell is folded there.
    Console(width=None if sys.stdout.isatty() else 160).print(grid)
