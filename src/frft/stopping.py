"""How a process ends that is told to: by Ctrl-C, by `kill`, by a terminal that closes, by the death of its launcher.

A training of a policy finishes its step and saves a checkpoint first, if that takes no longer than `GRACE_S`.
Everything else is left at once, as it stands: unfinished files and folders are made anew by the next start. `END_S`
after the signal the process is gone, whatever it was at; after a second Ctrl-C, at once.

Only commands and worker processes do this. Who calls frft as a library keeps the signal handlers that it has.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from frft.layout import line_width, wrapped

GRACE_S = 6.0
"""Seconds that a training may take to finish its step and to save a checkpoint after the first signal."""
END_S = 9.0
"""Seconds after the first signal at which the process ends even if it hangs."""
AGAIN_S = 0.5
"""A second Ctrl-C counts from so many seconds after the first: launchers pass on the one that the terminal has sent to
all processes."""
_POLL_S = 1.0
"""Seconds between two looks at who the parent is, where the system cannot be asked to tell."""
_ENDING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP
_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)


class StoppedBySignal(KeyboardInterrupt):
    """A signal told this process to end. Not an error: like Ctrl-C, it passes through `except Exception`.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def exit_status(self) -> int:
        """128 and the signal's number, as shells have it: 130 SIGINT, 143 SIGTERM, 129 SIGHUP."""
        return 128 + self.number


class _State:
    """What this process was told, and what it is at.

    Args:
        leave: ends the process, or raises what does; called once. None: this process handles no signals.
        tells: whether to tell the user what a training does about the first signal.

    Attributes:
        asked: the first signal; None: there was none.
        asked_at: when it came, in seconds of `time.monotonic`.
        saves: whether a training is under way that looks at `asked` after each step.
        is_late: whether `GRACE_S` have passed since the first signal.
    """

    def __init__(self, leave: Callable[[int], NoReturn] | None, *, tells: bool = False) -> None:
        self.asked: int | None = None
        self.saves = self.is_late = False
        self._leave, self._tells = leave, tells
        self.asked_at, self._leaves = 0.0, False

    @property
    def handles_signals(self) -> bool:
        return self._leave is not None

    def on_signal(self, number: int, frame: object) -> None:
        del frame
        if self.asked is None:
            self.asked, self.asked_at = number, time.monotonic()
            if not self.saves:
                self.end(number)
            elif self._tells:
                _say(f"ends after this step, with a checkpoint, within {GRACE_S:.0f} s; Ctrl-C again: at once")
        elif number == signal.SIGINT and time.monotonic() - self.asked_at >= AGAIN_S:
            os._exit(128 + self.asked)
        elif self.is_late:
            self.end(self.asked)

    def end(self, number: int) -> None:
        # Once: what cleans up after the first exception is not to be torn by a second.
        if self._leave is not None and not self._leaves:
            self.asked, self._leaves = number, True
            self._leave(number)


def _raise(number: int) -> NoReturn:
    raise StoppedBySignal(number)


def _exit(number: int) -> NoReturn:
    # Nobody is left who could be told, and Python's own end would wait for queues and threads.
    os._exit(128 + number)


_state = _State(None)


def _forget_in_child() -> None:
    # A signal to a forked process must not wake the one that it was forked from.
    if _state.handles_signals:
        signal.set_wakeup_fd(-1)


os.register_at_fork(after_in_child=_forget_in_child)


def _say(text: str) -> None:
    # print() within a handler fails where the signal came during a print().
    os.write(2, "".join(f"{line}\n" for line in wrapped(f"frft: {text}", line_width(sys.stderr))).encode())


@contextmanager
def ends_in_order(*, until_exit: bool = False) -> Iterator[None]:
    """In this block, a signal that ends a process raises `StoppedBySignal`, or lets a training save first.

    Signals that are ignored (`nohup`), or that a host handles, are left as they are. Outside of the main thread, where
    signals cannot be handled, nothing is changed.

    Args:
        until_exit: the block is the process's program: after a signal, the process is gone in time also if it hangs in
            Python's own end, which waits for threads and may wait for locks that the exception has torn.
    """
    global _state
    ours = [] if threading.current_thread() is not threading.main_thread() else _own_signals()
    if not ours:
        yield
        return
    before, state = _state, _State(_raise, tells=True)
    _state = state
    handlers = {number: signal.signal(number, state.on_signal) for number in ours}
    done = threading.Event()
    wakes, woken = os.pipe()
    os.set_blocking(woken, False)
    wakeup = signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_see_to_the_end, args=(wakes, ours, done, state), daemon=True, name="stopping")
    watcher.start()
    try:
        yield
    finally:
        if until_exit and state.asked is not None:
            # The watcher goes on; where Python's end has stopped all threads, the system ends the process.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, max(0.1, END_S + AGAIN_S - (time.monotonic() - state.asked_at)))
        else:
            signal.set_wakeup_fd(wakeup)
            done.set()
            for number, handler in handlers.items():
                signal.signal(number, handler)
            os.close(woken)  # which ends the watcher
            _state = before


def _own_signals() -> list[int]:
    return [number for number in _ENDING if signal.getsignal(number) in _DEFAULTS]


def _see_to_the_end(wakes: int, signals: Sequence[int], done: threading.Event, state: _State) -> None:
    """Wait for the first signal, of which the system tells also where Python is held up (by a dead peer, say)."""
    with os.fdopen(wakes, "rb", buffering=0) as pipe:
        number = next((each for each in iter(lambda: pipe.read(1), b"") if each[0] in signals), b"")
        # Open until the end: Python would complain of every further signal that it cannot write.
        if not number or done.wait(GRACE_S):
            return
        state.is_late = True
        # The main thread has not come to the end of its step, and leaves it now.
        signal.pthread_kill(threading.main_thread().ident or 0, number[0])
        if not done.wait(END_S - GRACE_S):
            os._exit(128 + number[0])


def ends_as_worker() -> None:
    """From now on, SIGTERM ends this worker process: at once, or after the step of a training and its checkpoint.

    Ctrl-C and a terminal that closes are for the process that started it, which then stops its workers.
    """
    global _state
    _state = _State(_exit)
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _state.on_signal)
    wakes, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    threading.Thread(target=_end_worker, args=(wakes,), daemon=True, name="stopping").start()


def _end_worker(wakes: int) -> None:
    while os.read(wakes, 1)[0] != signal.SIGTERM:
        pass
    if _state.saves:
        time.sleep(GRACE_S)
    _exit(signal.SIGTERM)


@contextmanager
def saves_before_it_ends() -> Iterator[None]:
    """A training that looks at `asked_to_end` after each of its steps: in this block, a first signal raises nothing."""
    before, _state.saves = _state.saves, True
    try:
        yield
    finally:
        _state.saves = before


def asked_to_end() -> int | None:
    """The signal that told this process to end, if one did; what still runs is to come to its end."""
    return _state.asked


def end_now(number: int | None) -> None:
    """End this process, which has saved what there was to save; None: nothing is to end.

    Raises:
        StoppedBySignal: in a command.
    """
    if number is not None:
        _state.end(number)


def ends_with_launcher() -> None:
    """End this process as soon as its parent, if that is a launcher (torchrun, `accelerate launch`), has ended.

    A launcher that is killed tells its processes nothing, and they would go on, or wait for each other for ever. One of
    several ends at once; a single one as by SIGTERM, with a checkpoint.
    Linux could send a signal when the parent dies, but goes by the thread that made the process, which may end earlier;
    a file descriptor of the parent goes by the process. Where there is none, it is looked at every second.
    """
    # Of shells and other wrappers, a run may outlive its parent: `nohup frft run ... &`.
    parent = os.getppid()
    if "TORCHELASTIC_RUN_ID" in os.environ:
        end: Callable[[], None] = _exit_at_once
    elif _is_accelerate(parent):
        end = _tell_this_process
    else:
        return
    threading.Thread(target=_end_after, args=(parent, end), daemon=True, name="launcher").start()


def _is_accelerate(parent: int) -> bool:
    """Whether the parent is `accelerate launch`, which starts a single process as any other program, without torchrun.

    The variables that it sets do not show it: processes started further below inherit them, and users export them. Nor
    is it meant where this process has a session of its own (`setsid`): then it was detached on purpose.
    """
    if "ACCELERATE_MIXED_PRECISION" not in os.environ or not hasattr(os, "getsid"):
        return False
    import psutil  # accelerate needs it

    try:
        words = psutil.Process(parent).cmdline()
        detached = os.getsid(0) != os.getsid(parent)
    except (psutil.Error, OSError):  # it has ended already, or is another user's
        return False
    # python /.../bin/accelerate launch ..., or python -m accelerate.commands.launch ...
    names = {Path(word).name for word in words[:3]}
    is_module = any(word.startswith("accelerate.commands.") for word in words[:3])
    return not detached and (is_module or bool(names & {"accelerate", "accelerate-launch"}))


def _exit_at_once() -> None:
    os._exit(1)


def _tell_this_process() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _end_after(parent: int, end: Callable[[], None]) -> None:
    import select

    try:
        descriptor = os.pidfd_open(parent)
    except (AttributeError, OSError):  # not Linux, an old one, or it has ended already
        while os.getppid() == parent:
            time.sleep(_POLL_S)
        end()
        return
    # It may have ended before it was opened, and another process may have its number.
    if os.getppid() == parent:
        select.select([descriptor], [], [])
    end()
