"""Two starts on one folder, with the same settings or others, one at a random moment of the other.

Each is refused, with a sentence and status 2, or ends with what a run alone would have come to.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

from benchmarks.reliability.campaign import Outcome, Trial
from benchmarks.reliability.runs import Started, run_command, undisturbed, write_settings
from benchmarks.reliability.same import content_of, differences

CHANGES: tuple[tuple[str, ...], ...] = ((), ("ppo.learning_rate=1e-4",), ("seed=1",), ("data.limit=150",), ("seeds=2",))
"""What is other in the second start; nothing: the same command."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The number of trials."""
    parser.add_argument("--starts", type=int, default=50, help="pairs of starts, with changed settings in turn")


def plan(given: argparse.Namespace) -> list[Trial]:
    """Changes in turn; every third time at the same moment, else at any."""
    draw = random.Random(given.seed)  # noqa: S311 - nothing is to be kept secret
    trials = []
    for number in range(given.starts):
        change = CHANGES[number % len(CHANGES)]
        what = {"change": list(change), "share": 0.0 if number % 3 == 0 else draw.uniform(0, 1.1)}
        trials.append(Trial(f"{number}", " ".join(change) or "the same settings", what))
    for change in dict.fromkeys(tuple(trial.what["change"]) for trial in trials):
        undisturbed(given.out, "one", *change)
    undisturbed(given.out, "one")
    return trials


def attempt(given: argparse.Namespace, trial: Trial, folder: Path) -> Outcome:
    """Start both, and look what each came to."""
    settings, out, change = write_settings(given.out), folder / "run", tuple(trial.what["change"])
    first = Started("one", run_command(settings, out, "one"), folder)
    time.sleep(trial.what["share"] * undisturbed(given.out, "one").seconds)
    second = Started("one", run_command(settings, out, "one", *change), folder)
    ends = [first.wait(), second.wait()]
    found = {"statuses": [end.status for end in ends], "said": [end.said.strip().splitlines()[-1:] for end in ends]}
    refused = [end.status == 2 and _is_refusal(end.said) for end in ends]
    done = [end.status == 0 for end in ends]
    if not all(one or other for one, other in zip(refused, done, strict=True)) or not any(done):
        return Outcome(False, found)
    # Of two that are done, both had the same settings: others are refused by a folder that is done.
    winner = () if done[0] else change
    found["differences"] = differences(content_of(out), undisturbed(given.out, "one", *winner).content)[:20]
    return Outcome(not found["differences"] and not (all(done) and change), found)


def _is_refusal(said: str) -> bool:
    text = " ".join(said.split())
    return "frft: --out" in text and ("is at work there" in text or "holds" in text)
