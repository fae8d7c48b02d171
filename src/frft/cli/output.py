"""How commands print. Nothing that is printed here can make a terminal do anything."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from frft.cli.layout import table_lines, wrapped
from frft.errors import printable


def line_width(stream: TextIO) -> int | None:
    """Columns that a line of output may have: COLUMNS, where it is set, else those of the terminal; None: no limit.

    A file or a pipe has no width: whatever reads it can break the lines itself.
    """
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    if not stream.isatty():
        return None
    try:
        # 0: the terminal does not know.
        return os.get_terminal_size(stream.fileno()).columns or None
    except OSError:
        return None


def escaped(text: str) -> str:
    """`text` with its lines as they are, and everything else that a terminal might obey escaped."""
    return "\n".join(printable(line) for line in text.split("\n"))


def print_text(text: str | None) -> None:
    """Prose on standard output, which may quote data, names and paths; None: nothing.

    Too long lines are broken between words (see `frft.cli.layout.wrapped`).
    """
    if text is not None:
        print("\n".join(wrapped(escaped(text), line_width(sys.stdout))))


def print_error(text: str) -> None:
    """Prose on standard error, where it does not mix with what a command prints."""
    print("\n".join(wrapped(escaped(text), line_width(sys.stderr))), file=sys.stderr)


def print_verbatim(text: str) -> None:
    """The text of a file on standard output, line by line as it is."""
    print(text.removesuffix("\n"))


def print_json(value: Any) -> None:
    """One JSON document on standard output, and nothing else there."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    # JSON itself escapes only half of what a terminal might obey; its own escapes keep the value the same.
    print("".join(c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] for c in text))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, texts: int = 1) -> None:
    """A table on standard output: the first `texts` columns hold words, the others figures.

    No cell is ever cut: see `frft.cli.layout.table_lines` for what happens where it is too wide.
    """
    heads, cells = [printable(column) for column in columns], [[printable(cell) for cell in row] for row in rows]
    print("\n".join(table_lines(heads, cells, texts, line_width(sys.stdout))))
