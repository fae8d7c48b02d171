"""Processes that end with the one that started them."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib import import_module
from multiprocessing.context import BaseContext
from typing import Any

from tqdm import tqdm

from frft.errors import FrftError

PRELOADED = ("trl.trainer.sft_trainer", "trl.trainer.reward_trainer", "sentence_transformers", "sklearn.linear_model")
"""What stages import, and whatever these import."""


def start_method() -> BaseContext:
    """How processes are started: forked from a server that has imported the libraries once, for all that follow.

    Importing them takes a process several seconds, longer than a small arm. With a GPU every process is a new
    interpreter, because CUDA does not survive a fork.
    """
    import torch

    if torch.cuda.is_available() or "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


@contextmanager
def process_pool(workers: int, begin: Callable[..., None], given: tuple[Any, ...]) -> Iterator[ProcessPoolExecutor]:
    """So many processes, each of which calls `begin(*given)` first; whatever stops the block stops all of them.

    Work is submitted within `without_interrupts`.

    Raises:
        FrftError: one of them was killed.
    """
    not_ours = multiprocessing.active_children()
    # The server's environment is that of its own start; a process is to see the one of its starter, now.
    executor = ProcessPoolExecutor(workers, start_method(), _begin, (dict(os.environ), begin, given))
    try:
        yield executor
    except BaseException as stop:
        # They free their locks by ending, and whatever they were at can be resumed.
        for worker in set(multiprocessing.active_children()).difference(not_ours):
            worker.terminate()
        if isinstance(stop, BrokenProcessPool):
            raise FrftError(
                "A worker process was killed, perhaps because memory ran out. Set workers to a smaller number."
            ) from stop
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def _begin(environment: Mapping[str, str], begin: Callable[..., None], given: tuple[Any, ...]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    # The first bar of tqdm, which TRL and sentence-transformers draw, makes a semaphore for processes that it might be
    # shared with; of a worker that is stopped, Python then says at the very end that it leaked one.
    tqdm.set_lock(threading.RLock())
    _set_libraries_aside()
    begin(*given)


@contextmanager
def libraries_set_aside() -> Iterator[None]:
    """Import what stages need, and have the garbage collector pass over all that was there before this block.

    Between stages all objects are looked through for garbage. Half a million of them are the libraries', and stay;
    looking at them takes up to half the time of small models.
    """
    _set_libraries_aside()
    try:
        yield
    finally:
        gc.unfreeze()


def _set_libraries_aside() -> None:
    for library in PRELOADED:
        import_module(library)
    gc.collect()
    gc.freeze()


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Processes started in here are deaf to Ctrl-C, which a terminal sends to all: the first process stops them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
