"""manifest.json, the description of an artifact: figures, a checksum of every file, and one of its own content.

    {"format": 2, "kind": ..., "digest": ..., "inputs": ..., "code": ..., "info": ..., "seconds": ...,
     "peak_memory": ..., "files": {NAME: {"bytes": ..., "sha256": ...}}, "sha256": of all of the above}

The checksum of the content covers the figures in `info` and the list of files: a changed figure, or a file struck from
the list, is detected as surely as a changed file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frft.errors import ArtifactError
from frft.store.files import digest_of, read_json, sha256_file, write_json

MANIFEST = "manifest.json"
FORMAT = 2
"""Format number of manifests. Format 1 had neither a number nor a checksum of its content."""
OLD_FIELDS = {"kind", "digest", "inputs", "info", "seconds", "peak_memory", "files"}
"""Keys of a manifest of format 1."""
FIELDS = {*OLD_FIELDS, "code"}
"""Keys of a manifest of format 2, besides its format number and checksum."""


def write_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the manifest of a folder, atomically. `content` holds `FIELDS`; the format and the checksum are added."""
    stamped = {"format": FORMAT, **content}
    write_json(folder / MANIFEST, {**stamped, "sha256": digest_of(stamped)})


def read_manifest(folder: Path, *, older: bool = False) -> dict[str, Any]:
    """Read the manifest of a folder and verify its checksum; `verify_files` verifies the files.

    Args:
        folder: the artifact.
        older: whether to accept a manifest of format 1, which has no checksum.

    Raises:
        ArtifactError: there is none, it is of another format, or it was changed after it was written.
    """
    path = folder / MANIFEST
    manifest = read_json(path)
    if not isinstance(manifest, dict) or not manifest.keys() >= OLD_FIELDS:
        raise ArtifactError(f"{path} is not a manifest. Delete the folder {folder} and run again.")
    number = manifest.get("format", 1)
    if older and number == 1:
        return manifest
    if number != FORMAT or "code" not in manifest:
        raise ArtifactError(
            f"{path} has format {number}; this version of frft reads format {FORMAT}. Use the version that wrote it, "
            "or delete the folder and run again."
        )
    content = {key: value for key, value in manifest.items() if key != "sha256"}
    if digest_of(content) != manifest.get("sha256"):
        raise ArtifactError(
            f"{path} was changed after it was written: its checksum does not fit its content (figures in info, inputs, "
            f"list of files). Delete the folder {folder} and run again to make it anew."
        )
    return manifest


def list_files(folder: Path, *, apart_from: set[Path]) -> dict[str, dict[str, Any]]:
    """Size in bytes and SHA-256 of all files below a folder, by relative path; `apart_from`: entries to leave out."""
    return {
        file.relative_to(folder).as_posix(): {"bytes": file.stat().st_size, "sha256": sha256_file(file)}
        for entry in sorted(set(folder.iterdir()) - apart_from)
        for file in (sorted(entry.rglob("*")) if entry.is_dir() else [entry])
        if file.is_file()
    }


def verify_files(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Compare the size and checksum of all files of an artifact with its manifest.

    Raises:
        ArtifactError: a file is missing or differs.
    """
    for name, recorded in manifest["files"].items():
        file = folder / name
        if not file.is_file() or file.stat().st_size != recorded["bytes"] or sha256_file(file) != recorded["sha256"]:
            raise ArtifactError(
                f"{file} differs from the manifest written with it (damaged, edited or cut short). "
                f"Delete the folder {folder} and run again to make it anew."
            )
