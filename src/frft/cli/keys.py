"""Single keys of a terminal, or single characters of a pipe."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

END = "end"
"""What is read at the end of the input: Ctrl-D, or the end of a pipe."""
_ESCAPE = b"\x1b"
_ESCAPE_WAIT_S = 0.05
"""Time in which the rest of an arrow key's sequence arrives; a lone Esc key has none."""
_ARROWS = {b"A": "up", b"B": "down", b"C": "right", b"D": "left"}


@contextmanager
def single_keys() -> Iterator[Callable[[], str]]:
    """A block in which a key counts when it is pressed; yields a function that waits for one.

    The function returns the character in lower case, "left", "right", "up" or "down" for an arrow, and `END`. Ctrl-C
    interrupts as ever. The terminal is as before after the block. Where standard input is no terminal, its characters
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
        yield lambda: _key(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _character() -> str:
    while character := sys.stdin.read(1):
        if not character.isspace():
            return character.lower()
    return END


def _key(descriptor: int) -> str:
    while True:
        pressed = os.read(descriptor, 1)
        if pressed in (b"", b"\x04"):
            return END
        if pressed == _ESCAPE:
            sequence = _rest(descriptor)
            # ESC [ A, or ESC O A where the terminal is in its application mode.
            if len(sequence) == 2 and sequence[:1] in (b"[", b"O") and sequence[1:] in _ARROWS:
                return _ARROWS[sequence[1:]]
        elif pressed.isascii() and pressed.decode().isprintable():
            return pressed.decode().lower()


def _rest(descriptor: int) -> bytes:
    sequence = b""
    while len(sequence) < 2 and select.select([descriptor], [], [], _ESCAPE_WAIT_S)[0]:
        sequence += os.read(descriptor, 1)
    return sequence
