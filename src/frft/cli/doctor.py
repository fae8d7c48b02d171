"""`frft doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frft.progress import for_terminal

if TYPE_CHECKING:
    from frft.doctor import HealthReport

_SHOWN = {"ok": "ok", "warning": "WARNING", "failed": "FAILED"}


def doctor_command(*, store: str | None = None, no_self_test: bool = False, json: bool = False) -> int:
    """Examine this installation and machine, and run a self-test from end to end: what is wrong, and what to do.

    Looked at are versions, devices, threads, memory, the store, the current folder, the Hub (one request) and the
    default embedder. Nothing is left behind. Exit status: 0 nothing failed; 1 something did.

    Parameters
    ----------
    store
        Folder of the shared store, or none. Default: the environment variable FRFT_STORE, or ~/.cache/frft/store.
    no_self_test
        Leave out the self-test, which takes about 20 seconds.
    json
        Print all checks as JSON.
    """
    from frft.cli.output import print_json
    from frft.doctor import check_health

    report = check_health(store, self_test=not no_self_test, progress=for_terminal())
    if json:
        print_json(report.as_dict())
    else:
        _print(report)
    return 1 if report.failed else 0


def _print(report: HealthReport) -> None:
    from frft.cli.output import print_text

    for check in report.checks:
        # Two spaces end the label, under which a line that is too long goes on.
        print_text(f"{_SHOWN[check.status]:<9}{check.name}: {check.found}".replace("\n", " "))
        if check.advice:
            print_text(f"         {check.advice}".replace("\n", " "))
    print_text(f"{report.ok} ok, {report.warnings} warnings, {report.failed} failed.")
