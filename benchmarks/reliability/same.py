"""Everything in the folder of a run but for times: what two runs must have in common to be the same."""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

TIMES = {
    *("seconds", "seconds_rollout", "seconds_update", "seconds_of_this_start", "tokens_per_second"),
    *("peak_memory", "peak_memory_bytes", "predicted_peak_memory_bytes", "reused"),
}
"""Fields that say how long something took, how much memory, and which stages this start has found finished."""
SEAL = "sha256"
TIMED_FILES = ("metrics.jsonl", "manifest.json", "results.json")
"""Files with such fields: their digests differ, and they are compared by what else they hold."""


@cache
def digest_of_code() -> str:
    """A digest of the code of frft, by which stages are named: what runs of other code made cannot be compared."""
    import frft
    from frft.store import digest_of, sha256_file

    root = Path(frft.__file__).parent
    return digest_of({file.relative_to(root).as_posix(): sha256_file(file) for file in sorted(root.rglob("*.py"))})


def content_of(out: Path) -> dict[str, Any]:
    """Of every file and link below a folder, by its path, what must be equal; locks do not count."""
    found: dict[str, Any] = {}
    for parent, folders, names in os.walk(out):
        folders[:] = [each for each in folders if each != ".locks"]
        for name in [*names, *(each for each in folders if Path(parent, each).is_symlink())]:
            path = Path(parent, name)
            found[path.relative_to(out).as_posix()] = _of_file(path)
    return found


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Names of files that are missing, differ, or should not be there, with what is the matter."""
    return [
        *(f"{name}: missing" for name in expected.keys() - found.keys()),
        *(f"{name}: left over" for name in found.keys() - expected.keys()),
        *(f"{name}: differs" for name in expected.keys() & found.keys() if found[name] != expected[name]),
    ]


def _of_file(path: Path) -> Any:
    if path.is_symlink():
        return f"link to {path.readlink()}"
    if path.name == "metrics.jsonl":
        return [_without_times(json.loads(line)) for line in path.read_bytes().splitlines()]
    if path.suffix == ".json" and path.name in TIMED_FILES:
        value = _without_times(json.loads(path.read_bytes()))
        value.pop(SEAL, None)
        files = value.get("files", {})
        value["files"] = {name: each for name, each in files.items() if Path(name).name not in TIMED_FILES}
        return value
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if key not in TIMES}
    return [_without_times(item) for item in value] if isinstance(value, list) else value
