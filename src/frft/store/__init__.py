"""Durable files: atomic writes, content digests, artifacts with a manifest, append-only journals."""

from frft.store.artifact import Artifact, ArtifactStore, plain
from frft.store.files import atomic_write, digest_of, read_json, sha256_file, write_json
from frft.store.journal import append_rows, read_rows

__all__ = [
    "Artifact",
    "ArtifactStore",
    "append_rows",
    "atomic_write",
    "digest_of",
    "plain",
    "read_json",
    "read_rows",
    "sha256_file",
    "write_json",
]
