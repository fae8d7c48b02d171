"""Folders: whether files can be written, locked and waited for where runs and the shared store put them."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from frft.doctor.health import Fitness, HealthCheck
from frft.errors import OutputError
from frft.store import atomic_write, open_store, readable_bytes
from frft.store.lock import locked_now
from frft.store.shared import NO_STORE, SIZE_VARIABLE, STORE_VARIABLE

LEAST_FREE = 2**30
"""Bytes that should be free on the disk of a folder: a run of small models takes some hundred MiB."""


def check_shared_store(where: str | None) -> HealthCheck:
    """The shared store: whether it can be used, and has room to grow as large as it may."""
    name = "store"
    named = where or os.environ.get(STORE_VARIABLE)
    remarks: list[str] = []
    try:
        store = open_store(where, remarks.append)
    except OutputError as error:
        return HealthCheck(name, "failed", str(error).rpartition(" Name another")[0], _elsewhere(named))
    if store is None:
        if named == NO_STORE:
            return HealthCheck(name, "ok", "switched off: runs share no stages", None, {"folder": None})
        return HealthCheck(name, "warning", "; ".join(remarks), _elsewhere(named), {"folder": None})
    # The store is made when the first stage is added, and a doctor makes nothing.
    nearest = next(each for each in (store.root, *store.root.parents) if each.is_dir())
    found = check_folder(name, nearest)
    size = sum(entry.bytes for entry in store.entries())
    figures = {**found.figures, "folder": str(store.root), "holds": size, "max_bytes": store.max_bytes}
    said = (
        f"{store.root} holds {readable_bytes(size)} of at most {readable_bytes(store.max_bytes)}"
        f"{'' if nearest == store.root else ' (it is made when it is first needed)'}; {found.found}"
    )
    status, advice = found.status, found.advice
    if status == "failed":
        status, advice = ("failed" if named else "warning"), _elsewhere(named)
    elif status == "ok" and found.figures["free"] < store.max_bytes - size:
        status = "warning"
        advice = f"The disk is full before the store is: set {SIZE_VARIABLE} to less, or name another folder."
    return HealthCheck(name, status, said, advice, figures)


def check_folder(name: str, folder: Path) -> HealthCheck:
    """Write, lock and link files in a new folder in this one, which is deleted again.

    Args:
        name: what it is called in the report.
        folder: an existing folder.
    """
    try:
        disk = shutil.disk_usage(folder)
        figures: dict[str, Any] = {"folder": str(folder), "free": disk.free, "total": disk.total}
        with tempfile.TemporaryDirectory(prefix=".frft-doctor-", dir=folder) as made:
            excludes, links = _exercise(Path(made))
    except (OSError, NotImplementedError) as error:
        why = getattr(error, "strerror", None) or error
        return HealthCheck(
            name,
            "failed",
            f"{folder} cannot be used: {why}",
            "Give runs another folder (`frft run CONFIG --out FOLDER`), or make this one writable.",
            {"folder": str(folder)},
        )
    figures |= {"locks": excludes, "hard_links": links}
    found = f"{folder} can be written and synced, {readable_bytes(disk.free)} of {readable_bytes(disk.total)} are free"
    found += "" if links else "; files cannot have two names, so that copies take their place"
    if not excludes:
        return HealthCheck(
            name,
            "failed",
            f"{found}; locks exclude nobody there",
            "Two runs could work in one folder. Use a file system with locks (NFS 4 has them), or a local disk.",
            figures,
        )
    status: Fitness = "ok" if disk.free >= LEAST_FREE else "warning"
    advice = None if status == "ok" else "Free some space, or write elsewhere: a full disk stops a run."
    return HealthCheck(name, status, f"{found}; locks work", advice, figures)


def _exercise(folder: Path) -> tuple[bool, bool]:
    """Whether locks exclude a second holder, and whether files can have a second name; writes as runs do."""
    with atomic_write(folder / "written") as file:
        file.write(b"frft doctor")
    if (folder / "written").read_bytes() != b"frft doctor":
        raise OSError("what was written is not what is read")
    with locked_now(folder / "lock") as first, locked_now(folder / "lock") as second:
        excludes = first and not second
    try:
        os.link(folder / "written", folder / "second")
    except OSError:
        return excludes, False
    return excludes, True


def _elsewhere(named: str | Path | None) -> str:
    what = "the folder that you named" if named else "your cache folder"
    return (
        f"Make {what} writable, set {STORE_VARIABLE} to a folder that is, or to {NO_STORE}: runs then share no stages."
    )
