"""Campaigns against runs; each goes on where it was stopped, and ends with a table.

    python -m benchmarks.reliability CAMPAIGN --out DIR [--processes 2] [--seed N] ...

DIR/CAMPAIGN.jsonl gets a line for each trial as it ends. Exit status 1: a promise was broken.
"""

from __future__ import annotations

import argparse
import signal
import sys
from functools import partial
from pathlib import Path

from benchmarks.reliability import cuts, disk, flips, folders, forms, hostile, kills, numbers, own_files, rows, signals
from benchmarks.reliability.campaign import carry_out, show

CAMPAIGNS = {
    "kills": kills,
    "signals": signals,
    "folders": folders,
    "flips": flips,
    "cuts": cuts,
    "forms": forms,
    "disk": disk,
    "numbers": numbers,
    "rows": rows,
    "contents": own_files,
    "hostile": hostile,
}
"""A campaign is a module with `add_arguments`, `plan` and `attempt`; its docstring says what it tries."""


def main() -> int:
    """Carry out one campaign, and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability", description=__doc__)
    commands = parser.add_subparsers(dest="campaign", required=True)
    for name, module in CAMPAIGNS.items():
        command = commands.add_parser(name, description=module.__doc__, help=(module.__doc__ or "").splitlines()[0])
        command.add_argument("--out", type=Path, required=True, help="the folder of the campaign")
        command.add_argument("--processes", type=int, choices=(1, 2), default=1, help="trials at the same time")
        command.add_argument("--seed", type=int, default=0, help="of what is drawn")
        module.add_arguments(command)
    given = parser.parse_args()
    _let_children_hear()
    given.out = given.out.resolve()
    campaign = CAMPAIGNS[given.campaign]
    trials = campaign.plan(given)
    return show(carry_out(given.campaign, given.out, trials, partial(campaign.attempt, given), given.processes))


def _let_children_hear() -> None:
    """Signals that whoever started this campaign has made it deaf to (nohup, a shell's `&`) are no part of a trial."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            # What is handled here is at its default in a new interpreter; what is ignored would stay so.
            signal.signal(number, lambda *_: None)


if __name__ == "__main__":
    sys.exit(main())
