"""Durable files: atomic writes, content digests, artifacts with a manifest, append-only journals."""

from frft.store.artifact import MANIFEST, Artifact, ArtifactStore, plain
from frft.store.files import atomic_write, digest_of, folder_digest, peak_memory, read_json, sha256_file, write_json
from frft.store.journal import append_rows, read_rows

__all__ = [
    "MANIFEST",
    "Artifact",
    "ArtifactStore",
    "append_rows",
    "atomic_write",
    "digest_of",
    "folder_digest",
    "peak_memory",
    "plain",
    "read_json",
    "read_rows",
    "sha256_file",
    "write_json",
]
