"""Durable files: atomic writes, content digests, artifacts, the store that runs share, journals."""

from frft.store.artifact import ALONE, Artifact, ArtifactStore, Build, Peers, plain_inputs
from frft.store.code import Code, code_of_modules, source_of
from frft.store.files import (
    atomic_folder,
    atomic_write,
    digest_of,
    folder_digest,
    peak_memory,
    read_json,
    remove,
    sha256_file,
    write_json,
)
from frft.store.journal import Journal, append_rows, read_rows
from frft.store.lock import locked
from frft.store.manifest import MANIFEST, read_manifest, seal, verify_files
from frft.store.shared import SharedStore, StoreEntry, link_or_copy, open_store, parse_bytes, readable_bytes
from frft.store.stored import OMITTED, RESULTS_FORMAT, OpenValue, StoredValue, fault, format_of, plain

__all__ = [
    "ALONE",
    "MANIFEST",
    "OMITTED",
    "RESULTS_FORMAT",
    "Artifact",
    "ArtifactStore",
    "Build",
    "Code",
    "Journal",
    "OpenValue",
    "Peers",
    "SharedStore",
    "StoreEntry",
    "StoredValue",
    "append_rows",
    "atomic_folder",
    "atomic_write",
    "code_of_modules",
    "digest_of",
    "fault",
    "folder_digest",
    "format_of",
    "link_or_copy",
    "locked",
    "open_store",
    "parse_bytes",
    "peak_memory",
    "plain",
    "plain_inputs",
    "read_json",
    "read_manifest",
    "read_rows",
    "readable_bytes",
    "remove",
    "seal",
    "sha256_file",
    "source_of",
    "verify_files",
    "write_json",
]
