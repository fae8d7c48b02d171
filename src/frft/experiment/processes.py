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
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from typing import Any

from tqdm import tqdm

from frft.errors import FrftError

PRELOADED = ("trl.trainer.sft_trainer", "trl.trainer.reward_trainer", "sentence_transformers", "sklearn.linear_model")
"""Libraries that stages import when they first need them; each brings many others."""


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
    """A pool of processes (`start_method`), all of which are stopped when the block ends with an exception.

    Submit work within `without_interrupts`, so that Ctrl-C reaches the first process alone.

    Args:
        workers: number of processes.
        begin: called once in every process before its first task.
        given: the arguments of `begin`; they are pickled.

    Raises:
        FrftError: a process was killed.
    """
    not_ours = multiprocessing.active_children()
    # The server's environment is that of its own start; a process is to see the one of its starter, now.
    executor = ProcessPoolExecutor(workers, start_method(), _begin, (dict(os.environ), begin, given))
    try:
        yield executor
    except BaseException as stop:
        # Terminating is safe: the system frees the locks of a process that ends, unfinished folders lack a manifest.
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
    end_with_starter()
    # Whoever started Python's fork server first may have done so outside `without_interrupts`.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # tqdm (in TRL and sentence-transformers) makes a semaphore that processes can share. A worker that is terminated
    # does not release it, and Python's resource tracker would warn of a leak at exit; a thread lock has no such trace.
    tqdm.set_lock(threading.RLock())
    # Without a collection before it, which would visit and so copy all that the fork shares: nothing is garbage yet.
    _import_libraries()
    gc.freeze()
    begin(*given)


def end_with_starter() -> None:
    """End this process as soon as the one that started it has ended, however that was: killed, too.

    The fork server, which is the parent as the system sees it, lives as long as one of its processes does, so that the
    kernel's parent-death signal would never come. What tells is a pipe, of which the starter holds the other end. What
    the process was at is left unfinished, as it is when the process is killed itself, and made anew by the next start.
    """
    starter = multiprocessing.parent_process()
    if starter is not None:
        threading.Thread(target=_end_after, args=(starter.sentinel,), daemon=True, name="starter").start()


def _end_after(sentinel: int) -> None:
    wait([sentinel])
    # Nobody is left who could be told, and Python's own end would wait for the training.
    os._exit(1)


@contextmanager
def libraries_set_aside() -> Iterator[None]:
    """Import the libraries of stages, and exclude all objects that exist now from garbage collection in this block.

    `forget_memory` collects garbage between stages. The libraries' half a million objects are never garbage, and going
    through them takes up to half of the time of a run with small models. Afterwards they are collected again, unless
    whoever calls had excluded objects before (`gc.freeze`).
    """
    frozen_by_others = gc.get_freeze_count()
    _import_libraries()
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        # There is one such set of objects in a process: what a host has put there must not come out of it.
        if not frozen_by_others:
            gc.unfreeze()


def _import_libraries() -> None:
    for library in PRELOADED:
        import_module(library)


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Processes that are started in this block ignore SIGINT, and the process that started them has to stop them.

    A terminal sends Ctrl-C to all processes of a group at once. Signal handlers can be set in the main thread alone;
    in another one nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
