"""Loaded into Python's fork server (experiment/processes.py), which then ends at once when its last process has ended.

Without it, taking down half a million objects of libraries takes the server seconds, by which it outlives the run.
"""

from __future__ import annotations

import atexit
import os
import sys

# Whoever else imports this has an end of its own. Forked processes end without it in any case.
if any("multiprocessing.forkserver" in argument for argument in sys.orig_argv):
    atexit.register(os._exit, 0)
