"""The strategies that there are: those that come with the package, and those that installed packages bring.

To add a strategy of your own, in a package of your own:

1. Write a rank function, from `Candidates` to the rows that qualify, best first, and make a `Strategy` of it that says
   what it reads (strategy.py explains every attribute; built_in.py has eleven examples).
2. Name it in the package's pyproject.toml, under the name that settings are to call it by, and install the package:

       [project.entry-points."frft.strategies"]
       longest = "my_strategies:LONGEST"

Nothing else: `frft select --strategy longest`, `selection.strategy: longest` in a run and
`frft bench fixed-actor --strategies longest` find it, and the name is checked like any other. A strategy that is to
come with frft goes into `BUILT_IN` in built_in.py instead.

A package is imported when its strategy is first asked for, not before.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import importlib.util
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from frft.errors import UsageError
from frft.strategies.built_in import BUILT_IN
from frft.strategies.strategy import Strategy

GROUP = "frft.strategies"
_BUILT_IN = {strategy.name: strategy for strategy in BUILT_IN}


def strategy_names() -> list[str]:
    """The names of all strategies: the built-in ones in their order, then those of installed packages."""
    return [*_BUILT_IN, *sorted(set(_installed()) - set(_BUILT_IN))]


def get_strategy(name: str) -> Strategy:
    """The strategy of this name.

    Raises:
        UsageError: there is none; or an installed package claims the name that another strategy has; or what it names
            cannot be imported, or is no strategy.
    """
    entries = _installed().get(name, ())
    built_in = _BUILT_IN.get(name)
    if len(entries) + (built_in is not None) > 1:
        claims = [*(["frft itself"] if built_in is not None else []), *map(_described, entries)]
        raise UsageError(
            f"Several strategies are named {name}: of {', and of '.join(claims)}. Rename one in its package's "
            f"entry points ({GROUP}), or uninstall the package."
        )
    if built_in is not None:
        return built_in
    if not entries:
        raise UsageError(_unknown(name))
    return _loaded(entries[0])


def strategy_origin(name: str) -> dict[str, Any] | None:
    """What else decides what a strategy of an installed package does: the package, its version, its file's content.

    None for those that come with frft. What was made by a strategy is found again only as long as this is the same.
    """
    if name in _BUILT_IN:
        return None
    get_strategy(name)
    (entry,) = _installed()[name]
    from frft.store import sha256_file

    spec = importlib.util.find_spec(entry.module)
    file = None if spec is None or spec.origin is None else Path(spec.origin)
    return {
        "entry_point": entry.value,
        "package": None if entry.dist is None else entry.dist.name,
        "version": None if entry.dist is None else entry.dist.version,
        "file": sha256_file(file) if file is not None and file.is_file() else None,
    }


def described_strategies() -> str:
    """All strategies in one paragraph: the built-in ones with their descriptions, those of packages by name.

    Nothing is imported for it.
    """
    text = "; ".join(f"{strategy.name}: {strategy.description}" for strategy in BUILT_IN)
    own = [f"{name}: of {_described(entries[0])}" for name, entries in sorted(_installed().items())]
    return "; ".join([text, *own]) + f". An installed package can bring others (entry points {GROUP})."


def _installed() -> dict[str, tuple[importlib.metadata.EntryPoint, ...]]:
    return _entry_points(tuple(sys.path))


@lru_cache(maxsize=1)
def _entry_points(path: tuple[str, ...]) -> dict[str, tuple[importlib.metadata.EntryPoint, ...]]:
    """The entry points of all packages on this path, by name."""
    del path
    found: dict[str, tuple[importlib.metadata.EntryPoint, ...]] = {}
    for entry in importlib.metadata.entry_points(group=GROUP):
        found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


def _loaded(entry: importlib.metadata.EntryPoint) -> Strategy:
    try:
        strategy = entry.load()
    # What a stranger's module raises while it is imported can be anything.
    except Exception as error:
        raise UsageError(
            f"The strategy {entry.name} of {_described(entry)} cannot be loaded: {type(error).__name__}: {error}. "
            "Repair the package or uninstall it."
        ) from error
    if not isinstance(strategy, Strategy):
        raise UsageError(
            f"The strategy {entry.name} of {_described(entry)} is a {type(strategy).__name__}, not a "
            "frft.strategies.Strategy. Name the object in the entry point."
        )
    if strategy.name != entry.name:
        raise UsageError(
            f"The strategy {entry.name} of {_described(entry)} calls itself {strategy.name}. Give both one name."
        )
    return strategy


def _described(entry: importlib.metadata.EntryPoint) -> str:
    package = "an unnamed package" if entry.dist is None else f"the package {entry.dist.name}"
    return f"{package} ({entry.value})"


def _unknown(name: str) -> str:
    names = strategy_names()
    near = difflib.get_close_matches(name, names, n=3)
    guess = f"Did you mean {' or '.join(near)}? " if near else ""
    return (
        f"{name!r} is no strategy. {guess}The strategies are {', '.join(names)}; one of your own must be installed "
        f"(entry point {GROUP})."
    )
