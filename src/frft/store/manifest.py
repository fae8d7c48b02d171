"""manifest.json: what a finished folder holds, with a checksum of every file and one of the manifest's own content.

    {"format": 2, ..., "files": {NAME: {"bytes": ..., "sha256": ...}}, "sha256": of all of the above}

The manifest of an artifact also has "kind", "digest", "inputs", "code", "info", "seconds" and "peak_memory", that of a
training's state has what the training says of itself. The checksum of the content covers these and the list of files: a
changed figure, or a file struck from the list, is detected as surely as a changed file.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from frft.errors import ArtifactError
from frft.store.files import digest_of, parse_json, read_json, sha256_file, sync_below, write_json

MANIFEST = "manifest.json"
FORMAT = 2
"""Format number of manifests. Format 1 had neither a number nor a checksum of its content."""
OLD_FIELDS = {"kind", "digest", "inputs", "info", "seconds", "peak_memory", "files"}
"""Keys of an artifact's manifest of format 1."""
FIELDS = {*OLD_FIELDS, "code"}
"""Keys of an artifact's manifest of format 2, besides its format number and checksum."""
_KNOWN = {*FIELDS, "format", "sha256"}
_FRESH_S = 2.0
"""Seconds for which a change of a file may leave its time of change as it was: clocks of file systems are coarse."""
RUN_AGAIN = "Delete the folder {folder} and run again to make it anew."
"""What to do about a damaged artifact; {folder} stands for its folder."""

_RESTORE = (
    "Make the folder {folder} anew (in a run: delete it and run again), or restore it from a copy. If it was changed "
    f"on purpose, delete its {MANIFEST}."
)


def seal(folder: Path, content: Mapping[str, Any], parts: Collection[Path] | None = None) -> dict[str, Any]:
    """Write the manifest of a folder that is complete, after all of its files are on disk; returns the manifest.

    Args:
        folder: the folder.
        content: what the manifest says besides the files, JSON-able.
        parts: the files and folders in it that it consists of; None: all of them.
    """
    entries = set(folder.iterdir() if parts is None else parts) - {folder / MANIFEST}
    manifest = stamped({"format": FORMAT, **content, "files": list_files(folder, entries)})
    sync_below(folder)
    write_json(folder / MANIFEST, manifest)
    return manifest


def read_manifest(
    folder: Path, *, older: bool = False, fields: Collection[str] = FIELDS, remedy: str = RUN_AGAIN
) -> dict[str, Any]:
    """Read the manifest of a folder and verify its checksum; `verify_files` verifies the files.

    Args:
        folder: the folder.
        older: whether to accept an artifact's manifest of format 1, which has no checksum.
        fields: keys that it must have.
        remedy: what to do if it is damaged, a sentence; {folder} stands for the folder.

    Raises:
        ArtifactError: there is none, it is of another format, or it was changed after it was written.
    """
    path, advice = folder / MANIFEST, remedy.format(folder=folder)
    manifest = read_json(path, advice)
    if not isinstance(manifest, dict) or not manifest.keys() >= {*fields} - {"code"}:
        raise ArtifactError(f"{path} is not a manifest. {advice}")
    # Format 1 has exactly these keys: one of format 2 whose number was damaged must not pass for one of format 1.
    if older and manifest.keys() == OLD_FIELDS:
        check_listed(manifest["files"], path, advice)
        return manifest
    number = manifest.get("format", 1)
    if number != FORMAT or not manifest.keys() >= {*fields}:
        raise ArtifactError(
            f"{path} has format {number}; this version of frft reads format {FORMAT}. Use the version that wrote it. "
            f"Or: {advice}"
        )
    if not is_whole(manifest):
        raise ArtifactError(
            f"{path} was changed after it was written: its checksum does not fit its content (figures, inputs, list "
            f"of files). {advice}"
        )
    if "files" in manifest:
        check_listed(manifest["files"], path, advice)
    return manifest


def check_listed(files: object, path: Path, advice: str) -> None:
    """Check that a list of files is one as `list_files` makes it, of files in the folder of the file that lists them.

    Args:
        files: what is read as such a list.
        path: the file that holds it.
        advice: what to do if it is none, a sentence.

    Raises:
        ArtifactError: it is another thing, or names a file elsewhere.
    """
    if not isinstance(files, dict):
        raise ArtifactError(f"{path}: its list of files is none ({files!r:.60}). {advice}")
    for name, sums in files.items():
        known = isinstance(sums, dict) and type(sums.get("bytes")) is int and isinstance(sums.get("sha256"), str)
        inside = not Path(name).is_absolute() and ".." not in Path(name).parts and "\0" not in name
        if not known or not inside:
            why = "has no size and checksum" if not known else "lies outside of its folder"
            raise ArtifactError(f"{path} lists {name!a:.80}, which {why}. {advice}")


def stamped(content: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with a checksum of all that it holds; for `is_whole`."""
    return {**content, "sha256": digest_of(content)}


def is_whole(found: Mapping[str, Any]) -> bool:
    """Whether an object that was read holds what it held when it was `stamped`."""
    try:
        return digest_of({key: value for key, value in found.items() if key != "sha256"}) == found.get("sha256")
    except ValueError:  # NaN or half a surrogate, which no such object is written with
        return False


def verify_files(
    folder: Path, manifest: Mapping[str, Any], *, remedy: str = RUN_AGAIN, by: str = "the manifest"
) -> None:
    """Compare the size and checksum of all files of a folder with its manifest.

    A file that this process has found whole is not read again until its size or time of change is another.

    Args:
        folder: the folder.
        manifest: an object whose field `files` lists them.
        remedy: what to do if one differs, a sentence; see `read_manifest`.
        by: what lists them, for the message.

    Raises:
        ArtifactError: a file is missing or differs.
    """
    for name, recorded in manifest["files"].items():
        file = folder / name
        if not file.is_file() or file.stat().st_size != recorded["bytes"] or _sum_of(file) != recorded["sha256"]:
            raise ArtifactError(
                f"{file} differs from {by} written with it (damaged, edited or cut short). "
                f"{remedy.format(folder=folder)}"
            )


def verify_beside(path: Path) -> None:
    """Verify a file or folder by the manifest in its folder or in the one above; without one of frft's, do nothing.

    For whoever reads a file that it did not get from an `ArtifactStore`, which has verified it: the weights of a model
    that somebody names, journals of a finished stage.

    Raises:
        ArtifactError: the manifest, or a file at or below `path` that it lists, is missing or was changed.
    """
    path = path.resolve()
    for folder in (path, path.parent):
        if (folder / MANIFEST).is_file() and is_ours(folder / MANIFEST):
            manifest = read_manifest(folder, older=True, fields={"files"}, remedy=_RESTORE)
            files = {name: of for name, of in manifest["files"].items() if (folder / name).is_relative_to(path)}
            verify_files(folder, {"files": files}, remedy=_RESTORE)
            return


def is_ours(path: Path) -> bool:
    """Whether it is a manifest of frft, whole or damaged: other software has files of that name.

    Raises:
        ArtifactError: it is no JSON, and no JSON Lines, as which others write theirs.
    """
    try:
        found = read_json(path, _RESTORE.format(folder=path.parent))
    except ArtifactError:
        # The first line of frft's is a brace alone.
        if _is_json(path):
            return False
        raise
    return isinstance(found, dict) and len(found.keys() & _KNOWN) > 2


def _is_json(path: Path) -> bool:
    """Whether the first line of a file is JSON by itself."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            parse_json(file.readline())
    except ValueError:
        return False
    return True


def _sum_of(file: Path) -> str:
    status = file.stat()
    key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    if key not in _sums:
        found = sha256_file(file)
        if time.time() - max(status.st_mtime, status.st_ctime) < _FRESH_S:
            return found
        _sums[key] = found
    return _sums[key]


_sums: dict[tuple[int, ...], str] = {}


def list_files(folder: Path, entries: Collection[Path]) -> dict[str, dict[str, Any]]:
    """Size in bytes and SHA-256 of all files among and below the entries of a folder, by relative path."""
    return {
        file.relative_to(folder).as_posix(): {"bytes": file.stat().st_size, "sha256": sha256_file(file)}
        for entry in sorted(entries)
        for file in (sorted(entry.rglob("*")) if entry.is_dir() else [entry])
        if file.is_file()
    }
