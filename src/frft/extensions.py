"""What installed packages add to this one by entry points: where it is found, how it is loaded, and what identifies it.

A package names an object in its metadata, under a group of this package (`frft.strategies`, `frft.judges`); it is
imported when the object is first asked for, not before.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, TypeVar

from frft.errors import UsageError

Extension = TypeVar("Extension")


def installed_extensions(group: str) -> dict[str, tuple[EntryPoint, ...]]:
    """The entry points of a group by name, in the order of their names; more than one where packages clash."""
    # What is installed changes with the path alone, unless something is installed while this process runs.
    return _by_name(group, tuple(sys.path))


def load_extension(entry: EntryPoint, kind: type[Extension], what: str) -> Extension:
    """The object that an entry point names.

    Args:
        entry: one of `installed_extensions`.
        kind: what it must be an instance of.
        what: what such an object is called in messages ("strategy").

    Raises:
        UsageError: it cannot be imported, or is something else.
    """
    where = f"The {what} {entry.name!r} of {described_extension(entry)}"
    try:
        found = entry.load()
    # What a stranger's module raises while it is imported can be anything.
    except Exception as error:
        raise UsageError(
            f"{where} cannot be loaded: {type(error).__name__}: {error}. Repair the package or uninstall it."
        ) from error
    if not isinstance(found, kind):
        wanted = f"{kind.__module__.rpartition('.')[0]}.{kind.__name__}"
        raise UsageError(
            f"{where} is a {type(found).__name__}; it must be a {wanted}. Name the object in the entry point."
        )
    return found


def described_extension(entry: EntryPoint) -> str:
    """Where an extension comes from, for messages: its package, and what the entry point names."""
    package = "an unnamed package" if entry.dist is None else f"the package {entry.dist.name}"
    return f"{package} ({entry.group}: {entry.value})"


def extension_origin(entry: EntryPoint) -> dict[str, Any]:
    """What decides what an extension does, JSON-able: its package, the version, and the content of the code.

    What was made with an extension is found again only as long as this is the same. The code of the packages that it
    imports in turn is not looked at.
    """
    return {
        "entry_point": entry.value,
        "package": None if entry.dist is None else entry.dist.name,
        "version": None if entry.dist is None else entry.dist.version,
        "code": _code(entry.module.partition(".")[0]),
    }


@lru_cache(maxsize=8)
def _by_name(group: str, path: tuple[str, ...]) -> dict[str, tuple[EntryPoint, ...]]:
    del path
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for entry in sorted(importlib.metadata.entry_points(group=group), key=lambda entry: entry.name):
        found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


def _code(module: str) -> str | None:
    """SHA-256 over the files of a module, or of all modules in a package; None where it has no files."""
    spec = importlib.util.find_spec(module)
    if spec is None:
        return None
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = sorted((file.relative_to(folder).as_posix(), file) for folder in folders for file in folder.rglob("*.py"))
    if not folders and spec.origin is not None and Path(spec.origin).is_file():
        files = [(Path(spec.origin).name, Path(spec.origin))]
    if not files:
        return None
    total = sha256()
    for name, file in files:
        total.update(f"{name} {sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()
