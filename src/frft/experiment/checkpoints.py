"""Checkpoints of a training on its way: `checkpoint-STEP` in its folder, the newest one only, and that one is whole.

The last one stays: who needs it no more, because what it led to is safe, deletes what `PATTERN` names.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from frft.store import Peers, atomic_folder

PREFIX = "checkpoint-"
PATTERN = f"{PREFIX}*"
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
        """The checkpoint to go on from."""
        names = sorted((path.name for path in self._folder.glob(PATTERN)), key=_step_of)
        name = self._peers.agree(names[-1] if names else None)
        return None if name is None else self._folder / name

    def step_done(self, step: int, write: Callable[[Path], None]) -> None:
        """If a save is due after this step, fill a folder by `write` and make it the newest checkpoint."""
        if self._save_steps is None:
            # A save that took c seconds is due again after c / SHARE_OF_TIME seconds, whatever a step takes.
            due = time.monotonic() - self._last >= self._cost / SHARE_OF_TIME
        else:
            due = step % self._save_steps == 0
        if not self._peers.agree(due):
            return
        started = time.monotonic()
        older = list(self._folder.glob(PATTERN))
        path = self._folder / f"{PREFIX}{step}"
        with atomic_folder(path) if self._peers.is_main else nullcontext(path) as folder:
            write(folder)
        if self._peers.is_main:
            # Killed in here, it leaves one of them cut short; but `newest` is then already this one.
            for each in older:
                shutil.rmtree(each)
        self._last = time.monotonic()
        self._cost = self._last - started


def _step_of(name: str) -> int:
    return int(name.removeprefix(PREFIX))
