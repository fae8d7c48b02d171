"""The predictions of `averaging`, statement by statement, against verdicts that were kept before they were data.

`averaging-verdicts.json` was written by the version whose predictions were Python code, on the same made-up cells.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from frft.store import read_json
from frft.study import load_study
from frft.study.summary import summarise

from .conftest import typed

KEPT = Path(__file__).with_name("averaging-verdicts.json")
STUDIES = {
    "as it is": [],
    "of another filter": ["primary=part1", "control=part1", "points.outside=null", "ceiling=source"],
    "without some points": ["points.lambda-2=null", "points.rm-small=null", "points.centre.more_arms=[placebo3]"],
}


def verdicts_of(make_record, overrides: list[str]) -> list[dict]:
    """The verdicts on cells with gains drawn at random, from a seed of each point, arm and seed."""
    study = load_study("averaging", ["seeds=4", *overrides])
    records = []
    for cell in study.cells:
        rng = np.random.default_rng([cell.seed, *cell.point.encode()])
        gains = {name: float(rng.normal(0.4 * (name == "oracle"), 0.15)) for name in cell.config.arms}
        records.append(make_record(cell.point, cell.seed, gains))
        for name, arm in records[-1]["arms"].items():
            for refresh in arm["refreshes"]:
                refresh["on_policy"]["after"]["reward_variance"] = float(rng.normal(0.3 + 0.1 * len(name), 0.02))
                refresh["reward_model"]["selected_test"]["accuracy"] = float(rng.normal(0.5 + 0.01 * len(name), 0.02))
    return [each.as_dict() for each in summarise(study, typed(records), []).predictions]


@pytest.mark.parametrize("name", STUDIES)
def test_every_verdict_is_that_of_the_predictions_in_python(make_record, name):
    found, kept = verdicts_of(make_record, STUDIES[name]), read_json(KEPT)[name]
    for each in kept:
        each["estimate"] = None if each["estimate"] is None else pytest.approx(each["estimate"])
    assert [each["name"] for each in found] == [each["name"] for each in kept]
    assert found == kept
