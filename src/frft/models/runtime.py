"""Threads and seeds."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

SMALL_MODEL_PARAMETERS = 50_000_000
"""Below this, the kernels are so short that a second thread costs more than it brings."""


def seed_for(seed: int, *names: str | int) -> int:
    """A seed of its own for every stage: the run's seed and the stage's name, hashed to 32 bits."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run a block with Python's, NumPy's and torch's global generators seeded, and restore them after it.

    For libraries that draw from the global generators (weight initialisation, TRL's trainers).
    """
    import numpy as np
    import torch

    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


def choose_threads(parameters: int, asked: int | None) -> int:
    """CPU threads for a model of this many parameters: what was asked for, else 1 if small, else all cores."""
    if asked is not None:
        return asked
    return 1 if parameters < SMALL_MODEL_PARAMETERS else (os.cpu_count() or 1)


def use_threads(threads: int) -> None:
    """Set the CPU threads of torch's arithmetic for this process."""
    import torch

    torch.set_num_threads(threads)
