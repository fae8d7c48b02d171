"""How a command reads preference pairs: the same options for every verb that takes them."""

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
    """The field of that name in the `data` section of a run: its default, limits and description."""
    return DataConfig.model_fields[name]


class PoolOptions(Section):
    """Command-line options for reading preference pairs."""

    split: str = as_in_a_run("split")
    prompt_key: str | None = as_in_a_run("prompt_key")
    chosen_key: str | None = as_in_a_run("chosen_key")
    rejected_key: str | None = as_in_a_run("rejected_key")
    max_rejected: float = as_in_a_run("max_rejected")

    def load(self, pairs: Sequence[str], progress: Progress, *, rejects_path: Path | None = None) -> Pool:
        """The pool; see `frft.preferences.load_pool`."""
        from frft.preferences import load_pool

        return load_pool(pairs, **self.model_dump(), rejects_path=rejects_path, progress=progress)

    def load_any(self, pairs: Sequence[str], progress: Progress, *, rejects_path: Path | None = None) -> Pool:
        """The pool without a limit on unusable rows, for a command that describes them."""
        from frft.preferences import load_pool

        options = {**self.model_dump(), "max_rejected": None}
        return load_pool(pairs, **options, rejects_path=rejects_path, progress=progress)


def check_store(store: str | None) -> None:
    """Refuse a store that cannot be written, before anything is read.

    Raises:
        OutputError: it cannot.
    """
    from frft.store import open_store

    open_store(store)


@contextmanager
def vectors_folder(store: str | None, progress: Progress) -> Iterator[tuple[Path, SharedStore | None]]:
    """Where a command without a folder of its own keeps vectors: in the store, or nowhere for longer than it runs.

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
"""The type of a verb's parameter that gives it these options, as `--split` and so on."""
