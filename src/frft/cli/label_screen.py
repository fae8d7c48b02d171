"""How `frft label answer` shows a question. Texts come from data and models: what a terminal might obey is escaped."""

from __future__ import annotations

import os
import sys
import unicodedata
from typing import TYPE_CHECKING

from frft.conversation import content_of, parse_dialogue
from frft.errors import printable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from frft.labels import LabelQuestion

SIDE_BY_SIDE = 100
"""Columns of a terminal from which on two texts stand side by side; below, one above the other."""
KEYS = "1 ← first   2 → second   t tie   s skip   u take back   q stop"
_TAB = 4
_JOINERS = "\u200c\u200d"
"""Zero-width joiners, which Persian, Indian scripts and emoji are written with. No terminal obeys them."""
_SPEAKERS = {"system": "System", "user": "User", "assistant": "Assistant"}


def shown_text(text: str) -> str:
    """A text as a person can read it: spaces of all kinds as spaces, and what a terminal might obey escaped."""
    return "".join(map(_shown, text.replace("\r\n", "\n").expandtabs(_TAB)))


def _shown(character: str) -> str:
    if character == "\n" or character in _JOINERS:
        return character
    return " " if unicodedata.category(character) == "Zs" else printable(character)


class LabelScreen:
    """A terminal, or a file, that questions are shown on."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(highlight=False, markup=False, emoji=False)

    def show(self, question: LabelQuestion, progress: str) -> None:
        """Show a question, and how far the labeller is, in one sentence; a terminal is cleared before."""
        from rich.console import Group
        from rich.rule import Rule
        from rich.text import Text

        self._fit()
        spoken = [self._spoken(_SPEAKERS[each["role"]], each["content"]) for each in parse_dialogue(question.prompt)]
        asked = Text(f"Which one is better?\n{KEYS}")
        shown = Group(Rule(progress, align="left", characters="─"), *spoken, self._texts(question), asked)
        if self._console.is_terminal:
            self._console.clear()
        self._console.print(shown)
        # The cursor stands on a line of its own below them.
        if self._console.is_terminal and len(self._console.render_lines(shown)) >= self._console.height:
            self.say("This is longer than the window: scroll up for its beginning.")

    def say(self, text: str) -> None:
        """Print a remark below the question."""
        self._console.print(text)

    def _fit(self) -> None:
        """Take the size of the window as it is now.

        LINES and COLUMNS, where a shell or a library has exported them, are of the window that was there then, and
        Rich takes them first. Where the terminal does not know its size, they are all there is.
        """
        if not self._console.is_terminal:
            return
        try:
            size = os.get_terminal_size(sys.stdout.fileno())
        except OSError:
            return
        if all(size):
            self._console.size = size

    def _texts(self, question: LabelQuestion) -> RenderableType:
        from rich.console import Group
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        panels = [
            Panel(Text(shown_text(content_of(question.prompt, text)), overflow="fold"), title=title, title_align="left")
            for title, text in (("1", question.left), ("2", question.right))
        ]
        if self._console.width < SIDE_BY_SIDE:
            return Group(*panels)
        grid = Table.grid(expand=True)
        for _ in panels:
            grid.add_column(ratio=1)
        grid.add_row(*panels)
        return grid

    def _spoken(self, speaker: str, content: str) -> RenderableType:
        from rich.text import Text

        return Text.assemble((f"{speaker}: ", "bold"), shown_text(content), "\n", overflow="fold")
