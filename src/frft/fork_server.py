"""Loaded first into Python's fork server (experiment/processes.py), so that it does not outlive the run.

Python's own server sees that its starter is gone only once it has imported all libraries, and then takes down half a
million of their objects before it ends; both take seconds. With this, it looks at its starter while it imports, and
ends at once when its last process has ended.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys

_POLL_S = 0.5
"""Seconds between two looks at the starter."""


def _stand_by() -> None:
    starter = os.getppid()

    def look(number: int, frame: object) -> None:
        del number, frame
        if os.getppid() != starter:
            os._exit(0)

    # Not a thread, of which a fork would leave nothing but the locks that it holds. Forked processes have no timer.
    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, _POLL_S, _POLL_S)
    # What libraries make while they are imported stays; to look for garbage in it takes a quarter of the time.
    gc.disable()
    os.register_at_fork(after_in_child=_as_forked)
    # Forked processes end without this.
    atexit.register(os._exit, 0)


def _as_forked() -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    gc.freeze()
    gc.enable()


# Whoever else imports this has an end of its own.
if any("multiprocessing.forkserver" in argument for argument in sys.orig_argv):
    _stand_by()
