"""Fit text and tables to a width: lines break between words, and never between a number and its unit."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import chain
from typing import TextIO

_NUMBER = r"(?<![^\s(])[-+\u2212~<>\u2264\u2265]?\d[\d.,:]*(?<![.,:])"
_GLUED = tuple(
    re.compile(pattern)
    for pattern in (
        # Intervals: [48.2, 53.8], [95 %]
        r"\[[-+\u2212]?\d[^\[\]]{0,40}\]",
        # 12 / 3 / 5, and 38 of 60
        rf"{_NUMBER}(?: (?:/|of) {_NUMBER})+",
        # 3 min 05 s
        rf"{_NUMBER} (?:h|min) \d\d (?:min|s)\b",
        # d* = 1.25, p < 0.05
        rf"[^\s\d]\S* [=<>~\u2248] {_NUMBER}",
        # A number and what it counts: 51.0 %, 1.2 GiB, 24 pairs
        rf"{_NUMBER} [\w%\u2030\u00b0]\S*",
    )
)
"""Patterns of text with spaces that is never broken, such as a number and its unit; overlapping matches merge."""
_HANGING = re.compile(r"\s*(?:[\u2022\-*] +)?(?:\S(?:\S| (?! ))*:? {2,}(?=\S))?")
"""The start of a line (indentation, bullet, label) to whose width its continuation lines are indented."""

CELL_BORDERS, TABLE_BORDER = 3, 1
"""Width that the borders and padding of a table take: for each column of the table, and once in all."""


def line_width(stream: TextIO) -> int | None:
    """Largest width of a line of output: the variable COLUMNS if set, else the terminal's width; None: no limit.

    A file or a pipe has no width: whatever reads it can break the lines itself.
    """
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    if not stream.isatty():
        return None
    try:
        # 0 columns: a terminal of unknown width.
        return os.get_terminal_size(stream.fileno()).columns or None
    except OSError:
        return None


def pieces(text: str) -> list[str]:
    """The unbreakable parts of a line, without the spaces between them: words, and numbers with their units."""
    return [piece for piece, _ in _pieces(text)]


def wrapped(text: str, width: int | None) -> list[str]:
    """Each line of a text as lines of at most `width` columns; a single piece that is longer stands alone, whole.

    Args:
        text: lines that may begin with an indentation, a bullet, or a label and two spaces or more; what does not fit
            goes on under what follows these.
        width: None: there is no limit.
    """
    lines = text.split("\n")
    return lines if width is None else list(chain.from_iterable(_wrapped_line(line, width) for line in lines))


def table_lines(columns: Sequence[str], rows: Sequence[Sequence[str]], texts: int, width: int | None) -> list[str]:
    """A table of at most `width` columns of a terminal.

    Where it does not fit, its cells are broken into lines, between pieces. Where that is not enough, it is turned on
    its side; and where that is not enough either, its rows stand below each other, a line for each cell.

    Args:
        columns: the heads.
        rows: a cell for each head.
        texts: number of columns, from the left, that hold words and are aligned left; others are aligned right.
        width: None: there is no limit.
    """
    as_it_is = _fitted(columns, rows, texts, width)
    if as_it_is is not None:
        return as_it_is
    # A row for each column, so that what is compared stays side by side.
    turned = [list(line) for line in zip(columns, *rows, strict=True)]
    return _fitted(turned[0], turned[1:], 1, width) or _stacked(columns, rows, width or 0)


def _fitted(columns: Sequence[str], rows: Sequence[Sequence[str]], texts: int, width: int | None) -> list[str] | None:
    """A table of at most `width` columns of a terminal; None: its unbreakable pieces are too long for that."""
    cells = [columns, *rows]
    natural = [max(_width(row[n]) for row in cells) for n in range(len(columns))]
    borders = CELL_BORDERS * len(columns) + TABLE_BORDER
    if width is None or sum(natural) + borders <= width:
        return _grid(columns, rows, texts, natural)
    least = [max(_longest_piece(row[n]) for row in cells) for n in range(len(columns))]
    spare = width - borders - sum(least)
    if spare < 0:
        return None
    # Columns that need little more get it first, so that as many as possible stay on one line.
    widths = list(least)
    for n in sorted(range(len(columns)), key=lambda n: natural[n] - least[n]):
        more = min(spare, natural[n] - least[n])
        widths[n] += more
        spare -= more
    return _grid(columns, rows, texts, widths)


def _grid(columns: Sequence[str], rows: Sequence[Sequence[str]], texts: int, widths: Sequence[int]) -> list[str]:
    def folded(row: Sequence[str]) -> list[list[str]]:
        cells = [_folded(cell, width) for cell, width in zip(row, widths, strict=True)]
        height = max(map(len, cells))
        return [[cell[line] if line < len(cell) else "" for cell in cells] for line in range(height)]

    def line(cells: Sequence[str], bar: str) -> str:
        padded = [_padded(cell, width, n < texts) for n, (cell, width) in enumerate(zip(cells, widths, strict=True))]
        return f"{bar} " + f" {bar} ".join(padded) + f" {bar}"

    def rule(left: str, dash: str, cross: str, right: str) -> str:
        return left + cross.join(dash * (width + 2) for width in widths) + right

    body = [folded(row) for row in rows]
    between = [rule("├", "─", "┼", "┤")] if any(len(lines) > 1 for lines in body) else []
    parts: list[list[str]] = []
    for lines in body:
        parts += [between] if parts else []
        parts.append([line(cells, "│") for cells in lines])
    return [
        rule("┏", "━", "┳", "┓"),
        *(line(cells, "┃") for cells in folded(columns)),
        rule("┡", "━", "╇", "┩"),
        *chain.from_iterable(parts),
        rule("└", "─", "┴", "┘"),
    ]


def _stacked(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Every row as a block of its own: its first cell, and below it a line for each of the others."""
    label = max(map(_width, columns)) + 2
    lines: list[str] = []
    for row in rows:
        for n, (column, cell) in enumerate(zip(columns, row, strict=True)):
            indent = "  " if n else ""
            room = width - label - 2
            if _longest_piece(cell) <= room:
                first, *more = _folded(cell, room)
                lines.append(f"{indent}{_padded(column, label + 2 - len(indent), left=True)}{first}")
                lines += [" " * (label + 2) + line for line in more]
            else:
                # The head on a line of its own leaves the whole width to the cell.
                lines += [f"{indent}{column}".rstrip(), *(f"{indent}  {line}" for line in _folded(cell, width - 4))]
        lines.append("")
    return lines[:-1]


def _pieces(text: str) -> list[tuple[str, str]]:
    """The unbreakable pieces of a line, each with the spaces before it."""
    glued = {place for each in _GLUED for match in each.finditer(text) for place in range(*match.span())}
    found: list[tuple[str, str]] = []
    blanks, piece = "", ""
    for place, character in enumerate(text):
        if character != " " or place in glued:
            piece += character
            continue
        if piece:
            found.append((piece, blanks))
            blanks, piece = "", ""
        blanks += character
    return [*found, (piece, blanks)] if piece else found


def _folded(text: str, width: int) -> list[str]:
    """A text as lines of at most `width` columns, broken between pieces and without indentation."""
    lines = [""]
    for piece, blanks in _pieces(text):
        if lines[-1] and _width(lines[-1] + blanks + piece) > width:
            lines.append(piece)
        else:
            lines[-1] += (blanks if lines[-1] else "") + piece
    return lines


def _wrapped_line(text: str, width: int) -> list[str]:
    if _width(text) <= width:
        return [text]
    found = _HANGING.match(text)
    start = text[: found.end()] if found else ""
    # A label that takes half of the width leaves too little beside it: then only the indentation hangs.
    if _width(start) > width // 2:
        start = text[: len(text) - len(text.lstrip(" "))]
    first, *more = _folded(text[len(start) :], width - _width(start))
    return [start + first, *(" " * _width(start) + line for line in more)]


def _longest_piece(text: str) -> int:
    return max(map(_width, pieces(text)), default=0)


def _padded(text: str, width: int, left: bool) -> str:
    blanks = " " * (width - _width(text))
    return text + blanks if left else blanks + text


def _width(text: str) -> int:
    """Width of a text in columns of a terminal: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
