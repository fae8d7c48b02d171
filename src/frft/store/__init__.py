"""Durable files: atomic writes, content digests, artifacts, the store that runs share, journals."""

from frft.store.artifact import ALONE, Artifact, ArtifactStore, Build, Peers, plain_inputs
from frft.store.chained import ChainedJournal
from frft.store.code import Code, code_of_modules, source_of
from frft.store.files import (
    atomic_folder,
    atomic_write,
    digest_of,
    folder_digest,
    named_in_errors,
    names_in,
    peak_memory,
    read_json,
    remove,
    sha256_file,
    sweep,
    write_json,
)
from frft.store.journal import Journal, append_rows, read_rows, rows_at
from frft.store.lock import LAUNCHER_LOCK, locked, sole_launcher
from frft.store.manifest import MANIFEST, is_ours, is_whole, read_manifest, seal, stamped, verify_beside, verify_files
from frft.store.sealed import is_sealed, listed_files, read_sealed, verify_listed, write_sealed
from frft.store.shared import SharedStore, StoreEntry, link_or_copy, open_store, parse_bytes, readable_bytes
from frft.store.stored import OMITTED, RESULTS_FORMAT, OpenValue, StoredValue, fault, format_of, plain

__all__ = [
    "ALONE",
    "LAUNCHER_LOCK",
    "MANIFEST",
    "OMITTED",
    "RESULTS_FORMAT",
    "Artifact",
    "ArtifactStore",
    "Build",
    "ChainedJournal",
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
    "is_ours",
    "is_sealed",
    "is_whole",
    "link_or_copy",
    "listed_files",
    "locked",
    "named_in_errors",
    "names_in",
    "open_store",
    "parse_bytes",
    "peak_memory",
    "plain",
    "plain_inputs",
    "read_json",
    "read_manifest",
    "read_rows",
    "read_sealed",
    "readable_bytes",
    "remove",
    "rows_at",
    "seal",
    "sha256_file",
    "sole_launcher",
    "source_of",
    "stamped",
    "sweep",
    "verify_beside",
    "verify_files",
    "verify_listed",
    "write_json",
    "write_sealed",
]
