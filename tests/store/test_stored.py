"""Typed values in files: what is written is what is read, and what is not known is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated

import pytest

from frft.errors import ArtifactError, UsageError
from frft.statistics import Estimate
from frft.store import OMITTED, RESULTS_FORMAT, StoredValue, format_of


@dataclass(frozen=True)
class Lap(StoredValue):
    seconds: float
    interval: tuple[float, float] | None
    mean: Estimate
    pause: Annotated[Estimate | None, OMITTED] = None


LAP = Lap(1.5, (1.0, 2.0), Estimate(0.1, None, None, 1))
WRITTEN = {"seconds": 1.5, "interval": [1.0, 2.0], "mean": {"mean": 0.1, "low": None, "high": None, "n": 1}}


def test_what_is_written_is_what_is_read():
    assert LAP.as_dict() == WRITTEN
    assert Lap.of(json.loads(json.dumps(LAP.as_dict())), "x.json") == LAP
    rested = Lap(1.5, None, LAP.mean, LAP.mean)
    assert rested.as_dict()["pause"] == WRITTEN["mean"]
    assert Lap.of(rested.as_dict(), "x.json") == rested


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"secs": 1.0}, "secs"),
        ({"seconds": "soon"}, "seconds"),
        # The values in it are checked as it is.
        ({"mean": WRITTEN["mean"] | {"median": 0.1}}, "mean.median"),
    ],
)
def test_what_is_unknown_or_wrong_is_named_with_its_place(change, where):
    with pytest.raises(ArtifactError, match=rf"laps/1\.json does not have the form of Lap: {where}: "):
        Lap.of(WRITTEN | change, "laps/1.json")
    with pytest.raises(ArtifactError, match="mean: "):
        Lap.of({key: value for key, value in WRITTEN.items() if key != "mean"}, "laps/1.json")


def test_formats_are_told_apart_by_their_number():
    assert format_of({"frft": "0.1.0"}, "results.json") == 0
    assert format_of({"format": RESULTS_FORMAT}, "results.json") == RESULTS_FORMAT
    newer = {"format": RESULTS_FORMAT + 1, "frft": "9.0"}
    with pytest.raises(
        UsageError, match=rf"results.json has format {RESULTS_FORMAT + 1}.* up to {RESULTS_FORMAT}\. .*\(9\.0\)"
    ):
        format_of(newer, "results.json")
    for number in ("1", -1, True, 1.0, None):
        with pytest.raises(ArtifactError, match="not a format number"):
            format_of({"format": number}, "results.json")
