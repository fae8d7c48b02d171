"""SIGKILL at every place that writes, fsyncs or renames, and at random moments; then the same command again.

Two processes that run the same command on the same data come to the same bytes. So a run that was killed and started
again must hold what an undisturbed one holds, file for file, but for times; nothing more, and nothing less.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

from benchmarks.reliability.campaign import Outcome, Trial
from benchmarks.reliability.runs import Started, Way, run_command, undisturbed, write_settings
from benchmarks.reliability.same import content_of, differences


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The numbers of trials."""
    parser.add_argument("--places", type=int, help="kill at so many of the (place, hit) pairs, drawn; default: at all")
    parser.add_argument("--moments", type=int, default=100, help="kill at so many random moments")
    parser.add_argument("--resuming", type=int, default=20, help="kill twice: also the run that goes on, at a place")
    parser.add_argument("--workers", type=int, default=8, help="kill a run with two workers at so many places")
    parser.add_argument("--ranks", type=int, default=8, help="the same under torchrun, two ranks")


def plan(given: argparse.Namespace) -> list[Trial]:
    """The trials: places from a run that was traced, so that they are known before anything is killed."""
    draw = random.Random(given.seed)  # noqa: S311 - nothing is to be kept secret
    three = undisturbed(given.out, "one").hits()
    at = _sample(draw, three, given.places)
    torn = [{**each, "half": True} for each in at if each["place"].startswith("fsync ") and each["hit"] == 1]
    moments = [{"share": draw.random()} for _ in range(given.moments)]
    firsts = [each for each in three if each["hit"] == 1]
    # The second place may be one that the run does not come to again.
    twice = [[draw.choice(three), draw.choice(firsts)] for _ in range(given.resuming)]
    trials = [_trial(f"place-{_name(each)}", "at a place", [each]) for each in at]
    trials += [_trial(f"torn-{_name(each)}", "at an fsync, half of the file lost", [each]) for each in torn]
    trials += [_trial(f"moment-{number}", "at a random moment", [each]) for number, each in enumerate(moments)]
    trials += [_trial(f"resuming-{number}", "and again while it goes on", each) for number, each in enumerate(twice)]
    ways: list[tuple[Way, int]] = [("workers", given.workers), ("ranks", given.ranks)]
    for way, number in ways:
        # Every process counts its own hits: the first is one that some process is sure to come to.
        found = [{"place": place, "hit": 1} for place in sorted(undisturbed(given.out, way).places)] if number else []
        for each in _sample(draw, found, number):
            trials.append(_trial(f"{way}-{_name(each)}", f"at a place of two {way}", [each], way))
    return trials


def attempt(given: argparse.Namespace, trial: Trial, folder: Path) -> Outcome:
    """Kill a run as the trial says, start it again until it ends by itself, and compare."""
    way: Way = trial.what["way"]
    whole = undisturbed(given.out, way)
    out = folder / "run"
    command = run_command(write_settings(given.out), out, way)
    killed = []
    for kill in trial.what["kills"]:
        if "place" in kill:
            ended = Started(way, command, folder, {"below": str(out), **kill}).wait()
        else:
            started = Started(way, command, folder)
            time.sleep(kill["share"] * whole.seconds)
            if started.is_running():
                os.kill(started.pid, signal.SIGKILL)
            ended = started.wait()
        killed.append(ended.status)
        if ended.status == 0:
            break
    if killed[-1] != 0:
        last = Started(way, command, folder).wait()
        if last.status:
            return Outcome(False, {"killed": killed, "status": last.status, "said": last.said})
    found = differences(content_of(out), whole.content)
    return Outcome(False if found else None if killed[0] == 0 else True, {"killed": killed, "differences": found[:20]})


def _trial(name: str, group: str, kills: list[dict[str, Any]], way: Way = "one") -> Trial:
    return Trial(name, group, {"way": way, "kills": kills})


def _sample(draw: random.Random, pairs: list[dict[str, Any]], number: int | None) -> list[dict[str, Any]]:
    return pairs if number is None or number >= len(pairs) else draw.sample(pairs, number)


def _name(kill: dict[str, Any]) -> str:
    place = "".join(c if c.isalnum() else "-" for c in kill["place"].replace(".py", ""))
    return f"{place}-{kill['hit']}"
