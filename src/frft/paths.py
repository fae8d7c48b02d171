"""Names of files and folders that are not there: which of them can be no name on the Hub, and what lies near them."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

NEAR = 2
"""Most paths that a message offers."""
LOOKED_AT = 20_000
"""Most entries of a folder that are compared with a name, so that an error in a folder of millions comes at once."""
_HUB_NAME = re.compile(r"(?:\w[\w.-]*/)?\w[\w.-]*")


def only_a_path(name: str) -> bool:
    """Whether a name cannot be one on the Hub, which are `name` and `owner/name`: it is absolute, say, or deeper."""
    return _HUB_NAME.fullmatch(name) is None


def is_below_a_folder(name: str) -> bool:
    """Whether a name has the form `owner/name` of the Hub, and the folder `owner` is here: a path, most likely."""
    owner, slash, _ = name.partition("/")
    return bool(slash) and not only_a_path(name) and Path(owner).is_dir()


def near_paths(path: Path, wanted: Callable[[Path], bool] = os.path.lexists) -> list[Path]:
    """Existing paths that may have been meant by one that does not exist, the nearest first, at most `NEAR`.

    A file of the same name with another ending (`pairs.jsonl.gz` for `pairs.jsonl`) is nearest. Where a folder of the
    path does not exist, either, it goes on in the folders that are near that one.

    Args:
        path: the path as the user named it.
        wanted: whether an existing path could have been meant.
    """
    whole = path.expanduser()
    if whole != path and wanted(whole):  # `~` is for the shell to read, and was quoted
        return [whole]
    parts = whole.parts[1:] if whole.anchor else whole.parts
    return list(islice(dict.fromkeys(_near(Path(whole.anchor), parts, wanted)), NEAR))


def did_you_mean(path: str | Path, wanted: Callable[[Path], bool] = os.path.lexists) -> str:
    """A sentence with a space before it that offers `near_paths` for a message; empty where there is none."""
    near = [repr(str(each)) for each in near_paths(Path(path), wanted)]
    return f" Did you mean {' or '.join(near)}?" if near else ""


def if_missing(folder: Path) -> str:
    """A sentence with a space before it: a folder that holds nothing does not exist, and what lies near; or nothing."""
    return "" if folder.exists() else f" There is no such folder.{did_you_mean(folder, Path.is_dir)}"


def _near(folder: Path, parts: Sequence[str], wanted: Callable[[Path], bool]) -> Iterator[Path]:
    if not parts:
        return
    name, rest = parts[0], parts[1:]
    if not rest:
        yield from (folder / each for each in _close(name, _entries(folder, wanted)))
    elif (folder / name).is_dir():
        yield from _near(folder / name, rest, wanted)
    else:
        for each in _close(name, _entries(folder, Path.is_dir)):
            whole = (folder / each).joinpath(*rest)
            yield from [whole] if whole.exists() and wanted(whole) else _near(folder / each, rest, wanted)


def _entries(folder: Path, wanted: Callable[[Path], bool]) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(each.name for each in islice(entries, LOOKED_AT) if wanted(folder / each.name))
    except OSError:  # it is not there, or closed to the user
        return []


def _close(name: str, entries: Iterable[str]) -> list[str]:
    """The entries that are near a name: those that differ from it by their endings alone come first."""

    def unlike(entry: str) -> float:
        return -difflib.SequenceMatcher(None, name.lower(), entry.lower()).ratio()

    by_stem: dict[str, list[str]] = {}
    for entry in entries:
        by_stem.setdefault(_stem(entry), []).append(entry)
    # The stem itself, where it is there, is its own closest match. Endings alone are not to make two names alike.
    stems = difflib.get_close_matches(_stem(name), by_stem, n=NEAR)
    return [entry for stem in stems for entry in sorted(by_stem[stem], key=unlike)]


def _stem(name: str) -> str:
    """A name without its endings (`.jsonl.gz`), in lower case."""
    return name[:1].lower() + name[1:].lower().partition(".")[0]
