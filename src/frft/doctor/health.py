"""What one check of `frft doctor` found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from frft.store import StoredValue

Fitness = Literal["ok", "warning", "failed"]


@dataclass(frozen=True)
class HealthCheck(StoredValue):
    """What one check found.

    Attributes:
        name: what was looked at.
        status: ok; warning: frft works, but slower, or without what `advice` says; failed: what needs it does not work.
        found: what was found, a sentence in which every figure of `figures` stands.
        advice: what to do, sentences; None: nothing is to be done.
        figures: the same as values, by their names; sizes are in bytes.
    """

    name: str
    status: Fitness
    found: str
    advice: str | None = None
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class HealthReport(StoredValue):
    """All checks of `frft doctor`, in the order in which they were made.

    Attributes:
        ok: number of checks that found nothing.
        warnings: number of checks that found something to improve.
        failed: number of checks that found something broken.
        checks: the checks.
    """

    ok: int
    warnings: int
    failed: int
    checks: list[HealthCheck]

    @classmethod
    def from_checks(cls, checks: list[HealthCheck]) -> HealthReport:
        """The report of these checks."""
        statuses = [check.status for check in checks]
        return cls(statuses.count("ok"), statuses.count("warning"), statuses.count("failed"), checks)
