"""Single keys of a terminal, or single characters of a pipe."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

END = "end"
"""What is read at the end of the input: Ctrl-D, or the end of a pipe."""
RESIZED = "resized"
"""What is read when the window of the terminal has another size than before."""
_ESCAPE = b"\x1b"
_ESCAPE_WAIT_S = 0.05
"""Time in which the rest of an arrow key's sequence arrives; a lone Esc key has none."""
_LOOK_S = 0.25
"""How often the size of the window is looked at while no key is pressed."""
_ARROWS = {
    start + end: name
    for start in (b"[", b"O")  # ESC [ A, or ESC O A where the terminal is in its application mode
    for end, name in ((b"A", "up"), (b"B", "down"), (b"C", "right"), (b"D", "left"))
}


@contextmanager
def single_keys() -> Iterator[Callable[[], str]]:
    """A block in which a key counts when it is pressed; yields a function that waits for one.

    The function returns the character in lower case, "left", "right", "up" or "down" for an arrow, `RESIZED` and `END`.
    All other keys that a terminal sends as a sequence (function keys, an arrow with Shift) are none. Ctrl-C interrupts
    as ever. The terminal is as before after the block. Where standard input is no terminal, its characters
    are the keys, and line breaks and spaces between them count for nothing.
    """
    if not sys.stdin.isatty():
        yield _character
        return
    try:
        import termios
        import tty
    except ImportError:
        # A system without termios (Windows): keys count after the return key.
        yield _character
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield _Keys(descriptor).next
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _character() -> str:
    while character := sys.stdin.read(1):
        if not character.isspace():
            return character.lower()
    return END


class _Keys:
    """The keys of a terminal whose characters arrive one by one.

    Args:
        descriptor: of the terminal, for reading.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = os.get_terminal_size(descriptor)

    def next(self) -> str:
        """Wait for a key, or for another size of the window."""
        while True:
            if not self._ready(_LOOK_S):
                if (size := os.get_terminal_size(self._descriptor)) != self._size:
                    self._size = size
                    return RESIZED
                continue
            pressed = os.read(self._descriptor, 1)
            if pressed in (b"", b"\x04"):
                return END
            if pressed == _ESCAPE:
                if (sequence := self._sequence()) in _ARROWS:
                    return _ARROWS[sequence]
            elif pressed.isascii() and pressed.decode().isprintable():
                return pressed.decode().lower()

    def _sequence(self) -> bytes:
        """What follows Esc, to its end: of F9, `ESC [ 20 ~`, the 0 would else be read as a key.

        A sequence is one character, O or a second [ and one character, or [ and all up to the first from @ to ~
        (ECMA-48, section 5.4).
        """
        sequence = self._soon()
        if sequence == b"O":
            return sequence + self._soon()
        if sequence == b"[":
            while character := self._soon():
                sequence += character
                if sequence == b"[[":  # function keys of the Linux console: ESC [ [ A
                    return sequence + self._soon()
                if b"@" <= character <= b"~":
                    break
        return sequence

    def _soon(self) -> bytes:
        return os.read(self._descriptor, 1) if self._ready(_ESCAPE_WAIT_S) else b""

    def _ready(self, seconds: float) -> bool:
        return bool(select.select([self._descriptor], [], [], seconds)[0])
