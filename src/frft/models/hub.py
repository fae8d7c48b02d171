"""Models by name: the Hugging Face Hub is asked once whether it has one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from frft.errors import ModelError
from frft.hub import HUB_TIMEOUT, hub_has
from frft.paths import did_you_mean, is_below_a_folder, only_a_path

_REMEMBERED = 60.0
"""Seconds for which its answer counts: one model is loaded in several steps."""
_answers: dict[str, tuple[float, bool]] = {}


@contextmanager
def hub_asked_once(name: str) -> Iterator[None]:
    """Within this block, files of a model come from the local cache alone if the Hub does not answer at a first try.

    The library would try six times for each file, with a warning each: for a mistyped folder, half a minute or more.

    Raises:
        ModelError: there is no such folder, and the name is a path, or the Hub says that it has no such model.
    """
    from huggingface_hub import constants

    refuse_missing_folder(name)

    if constants.HF_HUB_OFFLINE or Path(name).exists() or _has_answered(name):
        yield
        return
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = False


def refuse_missing_folder(name: str) -> None:
    """Raise `ModelError` for a folder that is not there, which no Hub is to be asked for.

    A name is that of a folder if none on the Hub can have this form, or if its first part is a folder here and no copy
    of a model of that name was ever fetched.

    Raises:
        ModelError: it is such a name, and there is nothing; says what lies near.
    """
    if Path(name).exists() or not (only_a_path(name) or (is_below_a_folder(name) and not _has_copy(name))):
        return
    hub = "" if only_a_path(name) else f", or fetch the model of that name from the Hub first (`hf download {name}`)"
    raise ModelError(f"{_no_folder(name)} Give a folder that exists{hub}.")


def _no_folder(name: str) -> str:
    return f"There is no folder {name!r} here.{did_you_mean(name, Path.is_dir)}"


def _has_copy(name: str) -> bool:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder: str = repo_folder_name(repo_id=name, repo_type="model")
    return Path(constants.HF_HUB_CACHE, folder).is_dir()


def _has_answered(name: str) -> bool:
    known = _answers.get(name)
    if known is None or time.monotonic() - known[0] > _REMEMBERED:
        known = _answers[name] = (time.monotonic(), _ask(name))
    return known[1]


def _ask(name: str) -> bool:
    from huggingface_hub import HfApi

    there = hub_has(lambda: HfApi().model_info(name, timeout=HUB_TIMEOUT))
    if there is False:
        raise ModelError(
            f"{_no_folder(name)} Nor does the Hugging Face Hub have a model of that name, or it is closed to you "
            "(`hf auth login`). Check the spelling."
        )
    return there is True
