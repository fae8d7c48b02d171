"""Convert files of format 0, which have no number, to the current format. Missing figures are not invented."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frft.diagnosis.links import Link
from frft.diagnosis.verdict import verdict_of
from frft.errors import ArtifactError, UsageError
from frft.reward.alarm import Alarm

_OF_AVERAGING = (
    "Written down before the runs of these seeds; `docs/study.md` has the rule that decides each, and what was "
    "seen before."
)
"""What the page of the study `averaging` said above its predictions when it was the only study."""


def upgraded_run(found: Mapping[str, Any], where: str | Path) -> dict[str, Any]:
    """Convert a results.json of format 0.

    Args:
        found: the content of the file.
        where: the file, for messages.

    Raises:
        UsageError: the file does not name the evaluated stages, which a diagnosis needs.
        ArtifactError: it is not a results file.
    """
    if "start_stage" not in found:
        raise UsageError(
            f"{where} was written by an older version of frft, which did not record the evaluated stages. Run it again "
            "in a new folder, or diagnose its parts (--reward-model, --pairs, --completions)."
        )
    try:
        arms = {
            name: {**arm, "looks": [upgraded_look(look) for look in arm["looks"]]}
            for name, arm in found["arms"].items()
        }
        stages = [{"from_store": False, **stage} for stage in found["stages"]]
    except (AttributeError, KeyError, TypeError) as error:
        raise ArtifactError(f"{where} is no results file of frft: {error}.") from None
    return {**found, "format": 0, "arms": arms, "stages": stages}


def upgraded_look(look: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a look of format 0. Its `healthy` was true also where nothing was measured: the verdict is made anew."""
    if "verdict" in look:
        return dict(look)
    links = [Link(**each) for each in look["links"]]
    verdict, grounds = verdict_of(links, [Alarm(**each) for each in look["alarms"]])
    kept = {name: value for name, value in look.items() if name != "healthy"}
    return {**kept, "verdict": verdict, "decided_by": [ground.found for ground in grounds]}


def upgraded_cell(found: Mapping[str, Any], where: str | Path) -> dict[str, Any]:
    """Convert a record of a study's cell of format 0.

    Raises:
        ArtifactError: it is not such a record.
    """
    try:
        arms = {
            name: {**arm, "looks": [upgraded_look(look) for look in arm["looks"]]}
            for name, arm in found["arms"].items()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise ArtifactError(f"{where} is no record of a study's cell: {error}.") from None
    return {**found, "format": 0, "arms": arms}


def upgraded_study(found: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a study.json of a version whose predictions were Python code: the study was always `averaging`."""
    # The field tells, and no format number: a higher one would keep runs, which are as before, from being resumed.
    if "averaging_is_claimed" not in found:
        return dict(found)
    kept = {name: value for name, value in found.items() if name != "averaging_is_claimed"}
    check = "tells apart"
    held = any(each["name"] == check and each["outcome"] == "held" for each in found["predictions"])
    return {
        **kept,
        "config": {**found["config"], "preregistration": _OF_AVERAGING},
        "sanity": {
            "prediction": check,
            "otherwise": "The ceiling is not shown to be above vanilla",
            "held": held,
        },
        "claim": {
            "statement": "An averaging effect",
            "needs": [check, "helps", "rises", "variance", "source"],
            "holds": found["averaging_is_claimed"],
        },
    }
