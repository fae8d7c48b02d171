"""The folder of a run: who is at work in it, what killed processes left in it, and the links that it shows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from frft.errors import OutputError
from frft.progress import Progress
from frft.store import Peers, folder_digest, remove, sole_launcher, sweep

EMBEDDINGS = "embeddings"
"""Name of the folder of vectors, in which a diagnosis may be at work beside the run."""
SEEDS_FOLDER = "seeds"
"""Name of the folder of the runs with several seeds, each of which has a launcher's lock of its own."""


@contextmanager
def launched_alone(out: Path, together: Peers, progress: Progress) -> Iterator[None]:
    """Be the only launcher of the run in `out` during a block, and begin by deleting what killed processes left there.

    Of processes that were launched together, the main one holds the lock and tells the others; worker processes are
    started by one that holds it.

    Raises:
        OutputError: another launcher is at work there, with whatever configuration; the message names it. In all
            processes.
    """
    with ExitStack() as held:
        refused = None
        if together.is_main:
            try:
                held.enter_context(sole_launcher(out))
            except OutputError as error:
                refused = str(error)
        if (refused := together.agree(refused)) is not None:
            raise OutputError(refused)
        if together.is_main:
            own = out.resolve()
            gone = [*sweep(own, spare=(EMBEDDINGS, SEEDS_FOLDER)), *sweep(own / EMBEDDINGS, others_at_work=True)]
            if gone:
                progress.say(f"Deleted {len(gone)} unfinished files or folders of a process that was killed")
        yield


def link(path: Path, target: Path) -> None:
    """Make `path` a relative link to `target`, so that the folder of the run can be moved.

    Where the run was copied with its links followed (cp -rL, scp -r, zip), a copy of what the link showed stands in its
    place; it is replaced.

    Raises:
        OutputError: a folder that is not such a copy has the link's name.
    """
    if path.is_dir() and not path.is_symlink() and folder_digest(path) != folder_digest(target):
        raise OutputError(
            f"{path} is a folder, where the run puts a link to {target}, and holds something else. Move it away, or "
            "delete it, and run the same command again: all stages are kept."
        )
    remove(path)
    path.symlink_to(os.path.relpath(target, path.parent))
