"""The arms of docs/arms.md, as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from frft.config.model import RunConfig

PAGE = (Path(__file__).resolve().parents[2] / "docs/arms.md").read_text()
FILES = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)]


@pytest.mark.parametrize("settings", FILES)
def test_a_file_of_arms_is_a_run_and_every_arm_is_as_it_says(settings):
    config = RunConfig.model_validate({"data": {"pairs": "x"}, **settings})
    for name, changes in settings["arms"].items():
        found = config.arm(name).model_dump()
        flat = {**changes, **changes.get("selection", {})}
        flat.pop("selection", None)
        everything = {**found, **found["selection"]}
        assert {key: everything[key] for key in flat} == flat, name


def test_the_arms_of_the_table_can_be_had():
    rows = [line.split("|") for line in PAGE.splitlines() if re.match(r"\| .*`\{.*\}`", line)]
    arms = [arm for row in rows for arm in re.findall(r"`(\{[^`]*\})`", "|".join(row)) if "..." not in arm]
    assert len(arms) > 20
    for arm in arms:
        changes = yaml.safe_load(arm)
        # A line of the section on capacities says what `reward` is, and of the gate that it is empty.
        if "reward" in changes:
            continue
        arms_ = {"vanilla": {"alpha": 0}, "own": changes}
        world = {"data": {"world": {}}, "refresh": {"selection": {"match": "nearest"}}, "arms": arms_}
        assert RunConfig.model_validate(world).arm("own") is not None
