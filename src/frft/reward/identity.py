"""What names pairs and models in the inputs of an artifact: equal identities mean equal content."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from frft.store import Artifact, digest_of, folder_digest

if TYPE_CHECKING:
    import pyarrow as pa


def pairs_identity(table: pa.Table, *more: str) -> str:
    """A digest of a table of pairs: ids, texts and, where there are, margins, requests and `more` columns, in order."""
    names = ("id", "prompt", "chosen", "rejected", "margin", "request", *more)
    return digest_of([[name, table[name].to_pylist()] for name in names if name in table.column_names])


def model_identity(source: Artifact | str | Path) -> Any:
    """What a model depends on: an artifact stands for itself, a folder for its files, a name on the Hub for itself."""
    if isinstance(source, Artifact) or not Path(source).is_dir():
        return source
    return {"files": folder_digest(Path(source))}


def model_path(source: Artifact | str | Path) -> str | Path:
    """Where a model lies, or its name."""
    return source.path if isinstance(source, Artifact) else source
