"""The share of a run's time that goes into verification: checksums of what is written and read, waiting for the disk.

    python -m benchmarks.verification OUT [--config PRESET_OR_FILE] [--set SETTING=VALUE ...]

Runs once, in OUT, in one process and without a store, and prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

TIMED = {
    "checksums": ("frft.store.files.sha256_file", "frft.store.files.digest_of", "frft.store.files.folder_digest"),
    "reading": ("frft.store.manifest.read_manifest", "frft.store.manifest.verify_beside", "frft.store.journal.rows_at"),
    "disk": ("frft.store.files.sync_below", "frft.store.files.sync_folder"),
}
"""What counts, by what it is. Where one calls another, the time belongs to the outer one. Not
counted: the SHA-256 of rows that are appended to a journal, its check at the end of a training (`Journal.verify`), and
fsync of single files, which was there before there were checksums."""


class Clock:
    """Seconds spent in the functions of `TIMED`, by their kind; nested calls count once."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._is_running = False

    def timed(self, kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function` as it is, with its time counted."""

        @wraps(function)
        def call(*given: Any, **named: Any) -> Any:
            if self._is_running:
                return function(*given, **named)
            self._is_running, began = True, time.perf_counter()
            try:
                return function(*given, **named)
            finally:
                self._is_running = False
                self.seconds[kind] += time.perf_counter() - began

        return call

    def attach(self) -> None:
        """Put the clock around the functions wherever a module of frft has them under a name."""
        for kind, names in TIMED.items():
            for name in names:
                module, _, attribute = name.rpartition(".")
                original = getattr(sys.modules[module], attribute)
                timed = self.timed(kind, original)
                for each in [each for key, each in sys.modules.items() if key.partition(".")[0] == "frft"]:
                    for found in [key for key, value in vars(each).items() if value is original]:
                        setattr(each, found, timed)


def main() -> None:
    """Run, and print the share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--config", default="demo")
    parser.add_argument("--set", nargs="*", default=[], metavar="SETTING=VALUE")
    given = parser.parse_args()
    from frft.config import load_config
    from frft.experiment import runner
    from frft.experiment.processes import libraries_set_aside

    config = load_config(given.config, ["workers=1", *given.set])
    with libraries_set_aside():  # as a run does itself; what stages import is in memory before the clock is attached
        clock = Clock()
        clock.attach()
        began = time.perf_counter()
        runner.run(config, given.out, store="none")
        seconds = time.perf_counter() - began
    shares = {kind: round(clock.seconds[kind] / seconds, 5) for kind in TIMED}
    sys.stdout.write(
        json.dumps({"seconds": round(seconds, 1), "share": round(sum(shares.values()), 5), **shares}) + "\n"
    )


if __name__ == "__main__":
    main()
