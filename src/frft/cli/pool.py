"""Options for reading preference pairs, shared by all commands that take them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from frft.config.sections import DataConfig, Section
from frft.progress import Progress

if TYPE_CHECKING:
    from frft.preferences import Pool
    from frft.store import SharedStore


def as_in_a_run(name: str) -> Any:
    """The field of that name in the section `data` of a run, with its default, limits and description."""
    return DataConfig.model_fields[name]


class PoolOptions(Section):
    """Command-line options for reading preference pairs."""

    split: str = as_in_a_run("split")
    prompt_key: str | None = as_in_a_run("prompt_key")
    chosen_key: str | None = as_in_a_run("chosen_key")
    rejected_key: str | None = as_in_a_run("rejected_key")
    max_rejected: float = as_in_a_run("max_rejected")

    def load(self, pairs: Sequence[str], progress: Progress, *, rejects_path: Path | None = None) -> Pool:
        """Read the pairs as a pool; see `frft.preferences.load_pool`."""
        from frft.preferences import load_pool

        return load_pool(pairs, **self.model_dump(), rejects_path=rejects_path, progress=progress)

    def load_any(self, pairs: Sequence[str], progress: Progress, *, rejects_path: Path | None = None) -> Pool:
        """Read the pairs as a pool, whatever the number of unusable rows, for a command that describes them."""
        from frft.preferences import load_pool

        options = {**self.model_dump(), "max_rejected": None}
        return load_pool(pairs, **options, rejects_path=rejects_path, progress=progress)


def check_store(store: str | None) -> None:
    """Check that the store can be written, before anything is read.

    Raises:
        OutputError: it cannot be written.
    """
    from frft.store import open_store

    open_store(store)


@contextmanager
def vectors_folder(store: str | None, progress: Progress) -> Iterator[tuple[Path, SharedStore | None]]:
    """The folder of vectors of a command, and the store: the store's folder, or a temporary one without a store.

    Raises:
        OutputError: the store cannot be written.
    """
    from frft.store import open_store

    shared = open_store(store, progress.say)
    if shared is not None:
        yield shared.embeddings, shared
        return
    with TemporaryDirectory() as folder:
        yield Path(folder), None


Reading = Annotated[PoolOptions, Parameter(name="*")]
"""Type of a command's parameter that adds these options to it (`--split`, ...)."""
