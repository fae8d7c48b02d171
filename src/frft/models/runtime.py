"""CPU threads, derived seeds, and silencing of the model libraries."""

from __future__ import annotations

import hashlib
import logging
import os
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from frft.models.launch import processes_here

SMALL_MODEL_PARAMETERS = 50_000_000
"""Number of parameters below which matrix products are so short that a second thread costs more time than it saves."""


def seed_for(seed: int, *names: str | int) -> int:
    """Derive the seed of a stage: SHA-256 of the run's seed and the stage's name, cut to 32 bits."""
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
    """Number of CPU threads for a model with `parameters` weights: `asked` if given, else 1 if small, else all cores.

    Processes that were launched together share the cores of their machine.
    """
    if asked is not None:
        return asked
    return 1 if parameters < SMALL_MODEL_PARAMETERS else max(1, (os.cpu_count() or 1) // processes_here())


def use_threads(threads: int) -> None:
    """Set the CPU threads of torch's arithmetic for this process."""
    import torch

    torch.set_num_threads(threads)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the model libraries' warnings, load reports and bars off the terminal while a block runs.

    What they would report is either expected (a new head on a language model) or raised here as an error. Levels, bars
    and warning filters are restored afterwards.
    """
    from transformers.utils import logging as transformers_logging

    bars = transformers_logging.is_progress_bar_enabled()
    loggers = [logging.getLogger(name) for name in ("transformers", "trl", "accelerate", "peft")]
    levels = [logger.level for logger in loggers]
    transformers_logging.disable_progress_bar()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            transformers_logging.enable_progress_bar()
