"""The diagnoses of all arms of a run, and the verdict on the run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from frft.diagnosis.diagnosis import Diagnosis
from frft.diagnosis.links import Link
from frft.diagnosis.verdict import Ground, RewardVerdict, verdict_of
from frft.results import LookInfo


@dataclass(frozen=True)
class RunDiagnosis:
    """The diagnoses of all arms of a run, and of the link across arms.

    Attributes:
        finished: whether the run was finished.
        arms: one diagnosis for each arm that has trained a step.
        across: the link over all arms between the accuracy of their reward models and the quality of their policies.
        looks: the looks during training (`monitor.every`) of each arm, in order; by name of the arm.
        verified: whether the stages' manifests carry checksums, which were found to agree; older versions wrote none.
    """

    finished: bool
    arms: list[Diagnosis]
    across: Link
    looks: dict[str, list[LookInfo]] = field(default_factory=dict)
    verified: bool = True

    @property
    def verdict(self) -> RewardVerdict:
        """Broken if any arm or the link across arms is broken; healthy if all arms are healthy; else undecided.

        A link across arms that was not measured (it takes five reward models) does not count against the run.
        """
        verdicts = {arm.verdict for arm in self.arms}
        if "broken" in verdicts or self.across.state == "broken":
            return "broken"
        return "healthy" if verdicts == {"healthy"} else "undecided"

    @property
    def grounds(self) -> list[tuple[Ground, list[str]]]:
        """The reasons for the verdict, each with the arms concerned; no arms: the link across all arms."""
        found: dict[str, tuple[Ground, list[str]]] = {}
        for arm in self.arms:
            for ground in arm.grounds if arm.verdict == self.verdict else ():
                found.setdefault(ground.found, (ground, []))[1].append(arm.name)
        if self.across.state == "broken":
            for ground in verdict_of([self.across], [])[1]:
                found[ground.found] = ground, []
        return list(found.values())

    def as_dict(self) -> dict[str, Any]:
        """The diagnosis as JSON-able values, for `frft diagnose --json`."""
        return {
            "finished": self.finished,
            "verified": self.verified,
            "verdict": self.verdict,
            "decided_by": {ground.found: arms for ground, arms in self.grounds},
            "arms": {
                arm.name: {**arm.as_dict(), "looks": [look.as_dict() for look in self.looks.get(arm.name, [])]}
                for arm in self.arms
            },
            "across": self.across.as_dict(),
        }
