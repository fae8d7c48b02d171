"""Durable files: atomic writes, content digests, artifacts with a manifest, append-only journals."""

from frft.store.artifact import ALONE, Artifact, ArtifactStore, Build, Peers, plain_inputs
from frft.store.files import (
    atomic_folder,
    atomic_write,
    digest_of,
    folder_digest,
    peak_memory,
    read_json,
    sha256_file,
    write_json,
)
from frft.store.journal import append_rows, keep_rows, read_rows
from frft.store.lock import locked
from frft.store.manifest import MANIFEST, read_manifest

__all__ = [
    "ALONE",
    "MANIFEST",
    "Artifact",
    "ArtifactStore",
    "Build",
    "Peers",
    "append_rows",
    "atomic_folder",
    "atomic_write",
    "digest_of",
    "folder_digest",
    "keep_rows",
    "locked",
    "peak_memory",
    "plain_inputs",
    "read_json",
    "read_manifest",
    "read_rows",
    "sha256_file",
    "write_json",
]
