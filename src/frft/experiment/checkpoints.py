"""Checkpoints of a policy training: folders `checkpoint-STEP` in the training's folder, of which the newest is kept.

A checkpoint gets its name only when all of its files are on disk, so the newest one is always complete. The last one is
not deleted here: the caller deletes what `PATTERN` matches once the finished training is stored.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from frft.stopping import asked_to_end, end_now
from frft.store import Peers, atomic_folder, remove

PREFIX = "checkpoint-"
PATTERN = f"{PREFIX}*"
_NAME = re.compile(rf"{PREFIX}\d+")
SHARE_OF_TIME = 0.02
"""By default, the largest fraction of the training time that may go into saving checkpoints. A stopped training then
loses at most the time of 50 saves: a few seconds for a small model."""


class Checkpoints:
    """Decides when a training saves a checkpoint, and keeps only the newest.

    Args:
        folder: the folder of the training, in which checkpoints lie.
        save_steps: number of steps between two checkpoints; None: as often as `SHARE_OF_TIME` allows.
        peers: the processes that train together. The main one decides and renames; all of them write.
    """

    def __init__(self, folder: Path, save_steps: int | None, peers: Peers) -> None:
        self._folder, self._save_steps, self._peers = folder, save_steps, peers
        self._last = time.monotonic()
        self._cost = 0.0

    def newest(self) -> Path | None:
        """The checkpoint to resume from, the same in all processes; None: there is none, start from step 0."""
        names = [path.name for path in saved_in(self._folder)]
        name = self._peers.agree(names[-1] if names else None)
        return None if name is None else self._folder / name

    def step_done(self, step: int, write: Callable[[Path], None]) -> None:
        """Save a checkpoint after this step if one is due, and delete the older ones.

        If a signal has told the main process to end (stopping.py), one is due, and all processes end with it.

        Args:
            step: number of steps completed.
            write: fills the folder that it is given with the training's state; called in every process.

        Raises:
            StoppedBySignal: the main process was told to end.
        """
        if self._save_steps is None:
            # A save that took c seconds is due again after c / SHARE_OF_TIME seconds, whatever a step takes.
            due = time.monotonic() - self._last >= self._cost / SHARE_OF_TIME
        else:
            due = step % self._save_steps == 0
        # Clocks differ between processes, and saving is collective: the main process decides for all of them.
        due, ends = self._peers.agree((due or asked_to_end() is not None, asked_to_end()))
        if not due:
            return
        started = time.monotonic()
        older = saved_in(self._folder)
        path = self._folder / f"{PREFIX}{step}"
        with atomic_folder(path) if self._peers.is_main else nullcontext(path) as folder:
            write(folder)
        if self._peers.is_main:
            # A process that is killed here leaves an older checkpoint half deleted. That does no harm: `newest` takes
            # the highest step, which is the one just saved.
            for each in older:
                remove(each)
        self._last = time.monotonic()
        self._cost = self._last - started
        end_now(ends)


def saved_in(folder: Path) -> list[Path]:
    """The checkpoints in the folder of a training, the newest last."""
    # A link was not saved here: what it points to is not for this training to read, or to delete.
    found = [path for path in folder.glob(PATTERN) if _NAME.fullmatch(path.name) and not path.is_symlink()]
    return sorted(found, key=lambda path: int(path.name.removeprefix(PREFIX)))
