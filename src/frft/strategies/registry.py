"""All strategies by name: those that come with the package, and those of installed packages.

To add a strategy of your own, in a package of your own:

1. Write a rank function, from `Candidates` to the rows that qualify, best first, and make a `Strategy` of it that says
   what it reads (strategy.py explains every attribute; built_in.py has eleven examples).
2. Name it in the package's pyproject.toml, under the name that settings are to call it by, and install the package:

       [project.entry-points."frft.strategies"]
       lead = "my_strategies:LEAD"

Nothing else: `frft select --strategy lead`, `selection.strategy: lead` in a run and
`frft bench fixed-actor --strategies lead` find it, and the name is checked like any other. A strategy that is to come
with frft goes into `BUILT_IN` in built_in.py instead. CONTRIBUTING.md has this one written out.

A package is imported when its strategy is first asked for, not before.
"""

from __future__ import annotations

import difflib
from typing import Any

from frft.errors import UsageError
from frft.extensions import described_extension, extension_origin, installed_extensions, load_extension
from frft.strategies.built_in import BUILT_IN
from frft.strategies.strategy import Strategy

GROUP = "frft.strategies"
_BUILT_IN = {strategy.name: strategy for strategy in BUILT_IN}


def strategy_names() -> list[str]:
    """The names of all strategies: the built-in ones in their order, then those of installed packages."""
    return list(dict.fromkeys([*_BUILT_IN, *installed_extensions(GROUP)]))


def get_strategy(name: str) -> Strategy:
    """The strategy of this name.

    Raises:
        UsageError: there is none; several packages claim the name; or the package's entry point cannot be imported or
            is not a `Strategy`.
    """
    entries = installed_extensions(GROUP).get(name, ())
    built_in = _BUILT_IN.get(name)
    if len(entries) + (built_in is not None) > 1:
        claims = [*(["frft itself"] if built_in is not None else []), *map(described_extension, entries)]
        raise UsageError(
            f"Several strategies are named {name}: those of {' and '.join(claims)}. Rename one in its package's entry "
            "points, or uninstall the package."
        )
    if built_in is not None:
        return built_in
    if not entries:
        raise UsageError(_unknown(name))
    strategy = load_extension(entries[0], Strategy, "strategy")
    if strategy.name != name:
        raise UsageError(
            f"The entry point {name!r} of {described_extension(entries[0])} leads to a strategy with the name "
            f"{strategy.name!r}. Give both the same name."
        )
    return strategy


def strategy_origin(name: str) -> dict[str, Any] | None:
    """What decides what a strategy of an installed package does; see `frft.extensions.extension_origin`.

    None for those that come with frft, whose code changes with frft alone.
    """
    if name in _BUILT_IN:
        return None
    get_strategy(name)
    (entry,) = installed_extensions(GROUP)[name]
    return extension_origin(entry)


def described_strategies() -> str:
    """All strategies in one paragraph: the built-in ones with their descriptions, those of packages by name.

    Nothing is imported for it.
    """
    text = "; ".join(f"{strategy.name}: {strategy.description}" for strategy in BUILT_IN)
    own = [f"{name}: of {described_extension(entries[0])}" for name, entries in installed_extensions(GROUP).items()]
    return "; ".join([text, *own]) + f". An installed package can bring others (entry points {GROUP})."


def _unknown(name: str) -> str:
    names = strategy_names()
    near = difflib.get_close_matches(name, names, n=3)
    guess = f"Did you mean {' or '.join(near)}? " if near else ""
    return (
        f"There is no strategy {name!r}. {guess}The strategies are {', '.join(names)}; one of your own must be "
        f"installed (entry point {GROUP})."
    )
