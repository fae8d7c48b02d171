"""NaN and infinity wherever a number enters: the step stops before a weight moves, and the error says where.

Each trial puts one such number in one place (a score, a logit, an advantage, a gradient, a learning rate, a setting, a
value in a file, an option) of real parts with tiny models. The promise is kept where frft raises an error of its own
that names the prompt, the step, the file or the setting, and all weights, and what was saved before, are as they were.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from benchmarks.reliability.campaign import Outcome, Trial
from benchmarks.reliability.places import PLACES, Place
from benchmarks.reliability.places_of_values import places_of_settings, places_of_values
from benchmarks.reliability.workshop import Workshop

VALUES = {"nan": float("nan"), "inf": float("inf"), "minus-inf": float("-inf")}
"""What is put in each place."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """This campaign has no options of its own."""
    del parser


def places() -> dict[str, Place]:
    """All places by their names."""
    every = [*PLACES, *places_of_values(), *places_of_settings()]
    return {place.name: place for place in every}


def plan(given: argparse.Namespace) -> list[Trial]:
    """A trial for each place and value."""
    del given
    return [
        Trial(f"{place.name}-{value}", place.group, {"place": place.name, "value": value})
        for place in places().values()
        for value in place.values or VALUES
    ]


def attempt(given: argparse.Namespace, trial: Trial, folder: Path) -> Outcome:
    """Put one number in one place."""
    del given
    return inject(places()[trial.what["place"]], VALUES[trial.what["value"]], Workshop(folder))


def inject(place: Place, value: float, workshop: Workshop) -> Outcome:
    """What came of a number in a place.

    Args:
        place: the place.
        value: the number.
        workshop: makes what it is put into.
    """
    from frft.errors import FrftError

    try:
        place.act(workshop, value)
    except FrftError as error:
        message = str(error)
        faults = list(_faults(place, message, workshop))
        return Outcome(not faults, {"error": type(error).__name__, "message": message[:600], "faults": faults})
    # Whatever else is raised is what the campaign looks for.
    except BaseException as error:  # noqa: BLE001
        return Outcome(
            False, {"error": type(error).__name__, "message": str(error)[:600], "faults": ["no error of frft's"]}
        )
    return Outcome(False, {"error": None, "faults": ["no error", *_faults(place, "", workshop)]})


def _faults(place: Place, message: str, workshop: Workshop) -> Iterator[str]:
    if message and not re.search(place.names, message):
        yield f"the error does not say where ({place.names})"
    yield from workshop.changed()
