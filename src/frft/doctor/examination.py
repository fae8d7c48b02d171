"""All checks of `frft doctor`, one after the other; what one of them raises is what it found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from frft.doctor.health import HealthCheck, HealthReport
from frft.doctor.hub_access import check_embedder, check_hub
from frft.doctor.installation import check_extras, check_installation, check_libraries, check_variables
from frft.doctor.machine import check_devices, check_memory, check_threads
from frft.doctor.places import check_folder, check_shared_store
from frft.doctor.self_test import check_run
from frft.errors import FrftError, printable
from frft.progress import SILENT, Progress

REPORT = "This check itself failed. Report it with this message."


def check_health(store: str | None = None, *, self_test: bool = True, progress: Progress = SILENT) -> HealthReport:
    """Look at everything that frft needs, and run it once from end to end.

    Nothing is left behind. The Hub gets one request, unless HF_HUB_OFFLINE is set.

    Args:
        store: folder of the shared store, or "none"; None: the default, as `frft.store.open_store` has it.
        self_test: whether to run the self-test, which takes most of the time.
        progress: gets a task with a check as its unit.
    """
    checks: list[tuple[str, Callable[[], HealthCheck]]] = [
        ("installation", check_installation),
        ("libraries", check_libraries),
        ("extras", check_extras),
        ("settings", check_variables),
        ("devices", check_devices),
        ("threads", check_threads),
        ("memory", check_memory),
        ("store", lambda: check_shared_store(store)),
        ("current folder", lambda: check_folder("current folder", Path.cwd())),
        ("hub", check_hub),
        ("embedder", check_embedder),
        *([("self-test", check_run)] if self_test else []),
    ]
    found: list[HealthCheck] = []
    with progress.task("Examining", len(checks)) as task:
        for name, check in checks:
            found.append(_result(name, check))
            task.advance(1, name)
    return HealthReport.from_checks(found)


def _result(name: str, check: Callable[[], HealthCheck]) -> HealthCheck:
    try:
        return check()
    except FrftError as error:
        return HealthCheck(name, "failed", str(error))
    # What is broken about an installation can raise anything, in any library.
    except Exception as error:  # noqa: BLE001
        why = printable(str(error).strip().partition("\n")[0])
        return HealthCheck(name, "failed", f"{type(error).__name__}: {why}", REPORT)
