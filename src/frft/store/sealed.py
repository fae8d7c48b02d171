"""JSON files that carry a checksum of what they hold, and may list other files with theirs.

    {..., "files": {NAME: {"bytes": ..., "sha256": ...}}, "sha256": of all of the above}

For what is read back and is no part of a folder with a manifest: results, records of cells, settings. Files from before
there were such checksums are read as they are: nothing in them can tell whether they were changed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from frft.errors import ArtifactError
from frft.store.files import digest_of, read_json, write_json
from frft.store.manifest import check_listed, is_whole, list_files, stamped, verify_files

CHECKSUM = "sha256"
"""The field with the checksum."""
LISTED = "files"
"""The field with the files that are listed."""
AGAIN = "Delete it and run again."
"""What to do about a damaged file, where its reader knows nothing better."""


def write_sealed(path: Path, value: Mapping[str, Any], files: Collection[Path] = ()) -> None:
    """Write a JSON object with its checksum, atomically.

    Args:
        path: the file.
        value: the object, JSON-able, without the fields `files` and `sha256`.
        files: files below the folder of `path` that are listed with their checksums; folders stand for all in them.

    Raises:
        ValueError: the object has one of these fields.
    """
    if own := value.keys() & {LISTED, CHECKSUM}:
        raise ValueError(
            f"{path}: the fields {', '.join(sorted(own))} are those of the seal. Name the value's otherwise."
        )
    listed = {LISTED: list_files(path.parent, files)} if files else {}
    write_json(path, stamped({**value, **listed}))


def read_sealed(path: Path, remedy: str = AGAIN) -> dict[str, Any]:
    """Read what `write_sealed` wrote, without its seal, or an older file that has none; listed files are not looked at.

    Args:
        path: the file.
        remedy: what to do if it is damaged, a sentence.

    Raises:
        ArtifactError: the file is missing, is no JSON object, or was changed after it was written.
    """
    found = _read(path, remedy)
    return {key: value for key, value in found.items() if key != CHECKSUM and (key != LISTED or CHECKSUM not in found)}


def is_sealed(path: Path, remedy: str = AGAIN) -> bool:
    """Whether a file has a checksum, which fits; raises as `read_sealed`."""
    return CHECKSUM in _read(path, remedy)


def verify_listed(path: Path, of: Path | None = None, *, remedy: str = AGAIN) -> int:
    """Compare files with what a JSON file of `write_sealed` lists; of an older one, nothing is known.

    Args:
        path: the file that lists them.
        of: one of the files; None: all.
        remedy: what to do if one is damaged or missing, a sentence.

    Returns:
        Number of files that were compared.

    Raises:
        ArtifactError: a file, or the list itself, was changed or is missing.
    """
    listed = listed_files(path, remedy)
    files = {name: sums for name, sums in listed.items() if of is None or path.parent / name == of}
    verify_files(path.parent, {LISTED: files}, remedy=remedy.replace("{", "{{").replace("}", "}}"), by=path.name)
    return len(files)


def listed_files(path: Path, remedy: str = AGAIN) -> dict[str, dict[str, Any]]:
    """Size in bytes and SHA-256 of the files that `write_sealed` listed, by relative path; raises as `read_sealed`."""
    found = _read(path, remedy)
    return found.get(LISTED, {}) if CHECKSUM in found else {}


def _read(path: Path, remedy: str) -> dict[str, Any]:
    found = read_json(path, remedy)
    if not isinstance(found, dict):
        raise ArtifactError(f"{path} is no JSON object: it was damaged or edited. {remedy}")
    if is_whole(found) if CHECKSUM in found else not _lost_its_name(found):
        if CHECKSUM in found and LISTED in found:
            check_listed(found[LISTED], path, remedy)
        return found
    raise ArtifactError(
        f"{path} was changed after it was written (damaged or edited): its checksum does not fit its content. {remedy}"
    )


def _lost_its_name(found: Mapping[str, Any]) -> bool:
    """Whether the last field holds the checksum of the others: its name alone was damaged, and the file is no older."""
    if not found:
        return False
    name, value = list(found.items())[-1]
    if not isinstance(value, str) or len(value) != len(digest_of({})):
        return False
    try:
        return digest_of({key: each for key, each in found.items() if key != name}) == value
    except ValueError:
        return True
