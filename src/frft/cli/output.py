"""How commands print."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any


def print_json(value: Any) -> None:
    """One JSON document on standard output, and nothing else there."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
    print()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, texts: int = 1) -> None:
    """A table on standard output: the first `texts` columns hold words, the others figures; none is markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table()
    for number, column in enumerate(columns):
        grid.add_column(Text(column), justify="left" if number < texts else "right")
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    # A pipe has no width; wide enough that no cell is folded there.
    Console(width=None if sys.stdout.isatty() else 160).print(grid)
