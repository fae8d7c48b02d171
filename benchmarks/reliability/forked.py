"""A command of frft in a process that was forked from a server with the libraries in memory: `tests.processes.Python`.

It leads a session of its own, by which all processes that it starts are found.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module


def main() -> int:
    """Run the command, with the hook where the environment tells of one."""
    os.setsid()
    # The server was started before there was anything to tell the hook, which it installs when it is imported.
    import_module("benchmarks.reliability.hook.sitecustomize")
    from frft.cli import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())
