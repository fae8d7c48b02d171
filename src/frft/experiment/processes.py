"""Processes that end with the one that started them."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, cast

from tqdm import tqdm

from frft.errors import FrftError
from frft.stopping import GRACE_S, ends_as_worker

PRELOADED = ("trl.trainer.sft_trainer", "trl.trainer.reward_trainer", "sentence_transformers", "sklearn.linear_model")
"""Libraries that stages import when they first need them; each brings many others."""
_POLL_S = 0.05
"""Seconds between two looks whether a worker has ended."""


def start_method() -> BaseContext:
    """How processes are started: forked from a server that has imported the libraries once, for all that follow.

    Importing them takes a process several seconds, longer than a small arm. With a GPU every process is a new
    interpreter, because CUDA does not survive a fork.
    """
    import torch

    if torch.cuda.is_available() or "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["frft.fork_server", *PRELOADED])
    return context


@contextmanager
def process_pool(workers: int, begin: Callable[..., None], given: tuple[Any, ...]) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes (`start_method`), all of which have ended when the block ends with an exception.

    Submit work within `without_interrupts`, so that Ctrl-C reaches the first process alone.

    Args:
        workers: number of processes.
        begin: called once in every process before its first task.
        given: the arguments of `begin`; they are pickled.

    Raises:
        FrftError: a process was killed.
    """
    # The server's environment is that of its own start; a process is to see the one of its starter, now.
    executor = ProcessPoolExecutor(workers, start_method(), _begin, (dict(os.environ), begin, given))
    # Python's own list of children leaves out whom it takes for dead, see `_send`.
    started = executor._processes
    try:
        yield executor
    except BaseException as stop:
        _stop(list(started.values()))
        if isinstance(stop, BrokenProcessPool):
            raise FrftError(
                "A worker process was killed, perhaps because memory ran out. Set workers to a smaller number."
            ) from stop
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def _stop(workers: Collection[BaseProcess]) -> None:
    """End worker processes: those that train a policy save a checkpoint first, if they are quick.

    For the others it is safe, too: the system frees the locks of a process that ends; unfinished folders have no
    manifest.
    """
    for worker in workers:
        _send(worker, signal.SIGTERM)
    until = time.monotonic() + GRACE_S + 1
    while any(map(_is_running, workers)) and time.monotonic() < until:
        time.sleep(_POLL_S)
    for worker in filter(_is_running, workers):
        _send(worker, signal.SIGKILL)


def _send(worker: BaseProcess, number: int) -> None:
    # Not by `worker.terminate`: once a signal to the whole group has ended the fork server, it takes its processes
    # for dead, too, while they are saving.
    with suppress(ProcessLookupError):
        os.kill(cast(int, worker.pid), number)


def _is_running(worker: BaseProcess) -> bool:
    if worker.is_alive():
        return True
    try:
        os.kill(cast(int, worker.pid), 0)
    except ProcessLookupError:
        return False
    return True


def _begin(environment: Mapping[str, str], begin: Callable[..., None], given: tuple[Any, ...]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    end_with_starter()
    ends_as_worker()
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
    """Import what stages need, without looking for garbage: there is none, and it is a quarter of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for library in PRELOADED:
            import_module(library)
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Processes that are started in this block do not hear SIGINT, and the process that started them has to stop them.

    A terminal sends Ctrl-C to all processes of a group at once. Here it is held back until the block ends: starting the
    first process takes seconds.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
