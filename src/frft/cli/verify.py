"""`frft verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from frft.errors import UsageError
from frft.progress import for_terminal

if TYPE_CHECKING:
    from frft.results.verification import Verification

_SHOWN = 5
"""Files without a digest that are named; --json has all."""


def verify_command(*paths: Path, json: bool = False) -> int:
    """Verify every checksum of runs, models, stores, files of labels and studies, and name what is damaged.

    Nothing is changed. A run may be at work meanwhile. Exit status: 0 nothing is damaged; 1 something is; 2 there is
    nothing to verify.

    Parameters
    ----------
    paths
        Folders of runs, studies, saved reward models or a store; files of labels.
    json
        Print all counts, damaged files and files without a checksum as JSON.
    """
    from frft.cli.output import print_json
    from frft.results.verification import verify

    if not paths:
        raise UsageError("Name what to verify: the folder of a run, a model, a store or a study, or a file of labels.")
    found = verify(paths, for_terminal())
    if json:
        print_json(found.as_dict())
    else:
        _print(found)
    return 1 if found.damaged else 0


def _print(found: Verification) -> None:
    from frft.cli.output import print_text
    from frft.store import readable_bytes

    for each in found.damaged:
        print_text(f"DAMAGED {each.message}")
    print_text(
        f"{len(found.damaged)} damaged; {found.files} files ({readable_bytes(found.bytes)}) are whole, in "
        f"{found.folders} folders with a manifest and beside them."
    )
    if found.older:
        print_text(f"{len(found.older)} are of older versions, whose figures have no checksum: {_named(found.older)}.")
    if found.without:
        print_text(f"{len(found.without)} files have no checksum and were not verified: {_named(found.without)}.")


def _named(paths: list[str]) -> str:
    more = f" and {len(paths) - _SHOWN} more (--json names all)" if len(paths) > _SHOWN else ""
    return f"{', '.join(paths[:_SHOWN])}{more}"
