"""Printing for commands. Control characters in data, names and paths are escaped, so that no terminal obeys them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from frft.errors import printable
from frft.layout import line_width, table_lines, wrapped


def escaped(text: str) -> str:
    """`text` with its line breaks, and all other characters that a terminal might obey escaped."""
    return "\n".join(printable(line) for line in text.split("\n"))


def print_text(text: str | None) -> None:
    """Print prose on standard output; None prints nothing.

    Long lines are broken between words (see `frft.layout.wrapped`), and control characters escaped.
    """
    if text is not None:
        print("\n".join(wrapped(escaped(text), line_width(sys.stdout))))


def print_error(text: str) -> None:
    """Print prose on standard error, apart from the output of a command."""
    print("\n".join(wrapped(escaped(text), line_width(sys.stderr))), file=sys.stderr)


def print_verbatim(text: str) -> None:
    """Print the text of a file on standard output without breaking its lines."""
    print(text.removesuffix("\n"))


def print_json(value: Any) -> None:
    """Print one JSON document on standard output; a command prints nothing else there."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    # json.dumps escapes control characters below U+0020 only. Escaping the others as \\uXXXX keeps the value the same.
    print("".join(c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] for c in text))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, texts: int = 1) -> None:
    """Print a table on standard output: the first `texts` columns hold words, the others figures.

    No cell is ever cut: see `frft.layout.table_lines` for what happens where it is too wide.
    """
    heads, cells = [printable(column) for column in columns], [[printable(cell) for cell in row] for row in rows]
    print("\n".join(table_lines(heads, cells, texts, line_width(sys.stdout))))
