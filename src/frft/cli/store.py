"""`frft store`: list and prune the shared store."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cyclopts import App, Parameter

from frft.errors import UsageError

if TYPE_CHECKING:
    from frft.store import SharedStore

store_app = App(
    name="store",
    help="The finished stages and embeddings that runs, studies and commands share.",
    default_parameter=Parameter(negative="", consume_multiple=1),
)

AGES = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
"""Seconds in each unit of `--older-than`."""


@store_app.command(name="list")
def list_command(*, store: str | None = None, entries: bool = False, json: bool = False) -> None:
    """List the content of the store: number and size of entries of each kind, and when they were last used.

    Parameters
    ----------
    store
        Folder of the store. Default: the environment variable FRFT_STORE, or ~/.cache/frft/store.
    entries
        Print a line for every stage and file of vectors, the most recently used first.
    json
        Print every entry as JSON.
    """
    from frft.cli.output import print_json, print_table, print_text
    from frft.store import readable_bytes

    shared = _opened(store)
    found = shared.entries()[::-1]
    size = sum(entry.bytes for entry in found)
    if json:
        rows = [
            {"name": entry.path.name, "kind": entry.kind, "bytes": entry.bytes, "used": round(entry.used, 3)}
            for entry in found
        ]
        print_json({"store": str(shared.root), "bytes": size, "max_bytes": shared.max_bytes, "entries": rows})
        return
    if entries:
        lines = [(entry.path.name, readable_bytes(entry.bytes), _when(entry.used)) for entry in found]
        print_table(("entry", "size", "last used"), lines)
    else:
        kinds = {kind: [entry for entry in found if entry.kind == kind] for kind in sorted({e.kind for e in found})}
        sums = [
            (kind, str(len(own)), readable_bytes(sum(e.bytes for e in own)), _when(own[0].used))
            for kind, own in kinds.items()
        ]
        print_table(("kind", "entries", "size", "last used"), sums)
    print_text(
        f"{shared.root}: {len(found)} entries, {readable_bytes(size)} of at most {readable_bytes(shared.max_bytes)} "
        "(FRFT_STORE_SIZE)."
    )


@store_app.command
def prune(*, store: str | None = None, older_than: str | None = None, max_size: str | None = None) -> None:
    """Delete old entries of the store. Run folders stay complete; a later run rebuilds what it needs.

    Without options, the store is reduced to its size limit (FRFT_STORE_SIZE). Entries that another process is building
    or taking are kept.

    Parameters
    ----------
    store
        Folder of the store. Default: the environment variable FRFT_STORE, or ~/.cache/frft/store.
    older_than
        Delete entries that were not used for this long, such as 12h, 30d, 8w.
    max_size
        Delete the least recently used entries until the store is at most this large, such as 500M, 5G; 0 empties it.
    """
    from frft.cli.output import print_text
    from frft.store import parse_bytes, readable_bytes

    shared = _opened(store)
    age = None if older_than is None else _seconds(older_than)
    size = parse_bytes(max_size, "--max-size") if max_size is not None else shared.max_bytes if age is None else None
    gone = shared.prune(size, age)
    left = shared.entries()
    print_text(
        f"{len(gone)} entries deleted ({readable_bytes(sum(entry.bytes for entry in gone))}); {len(left)} are left "
        f"({readable_bytes(sum(entry.bytes for entry in left))}). Files that runs have links to take up space until "
        "the last of those runs is deleted."
    )


def _opened(store: str | None) -> SharedStore:
    from frft.store import open_store

    shared = open_store(store)
    if shared is None:
        raise UsageError("The store is switched off (none), or its folder cannot be written. Name one by --store.")
    return shared


def _when(used: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(used))


def _seconds(age: str) -> float:
    number, unit = age[:-1], age[-1:]
    try:
        return float(number) * AGES[unit]
    except (ValueError, KeyError):
        raise UsageError(f"--older-than: {age!r} is not a duration. Write it like 12h, 30d or 8w.") from None
