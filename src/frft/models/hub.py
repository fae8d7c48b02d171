"""Models by name: the Hugging Face Hub is asked once whether it has one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from frft.errors import ModelError
from frft.hub import HUB_TIMEOUT, hub_has

_REMEMBERED = 60.0
"""Seconds for which its answer counts: one model is loaded in several steps."""
_answers: dict[str, tuple[float, bool]] = {}


@contextmanager
def hub_asked_once(name: str) -> Iterator[None]:
    """Within this block, files of a model come from the local cache alone if the Hub does not answer at a first try.

    The library would try six times for each file, with a warning each: for a mistyped folder, half a minute or more.

    Raises:
        ModelError: there is no such folder, and the Hub says that it has no such model.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or Path(name).exists() or _has_answered(name):
        yield
        return
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = False


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
            f"There is no folder {name!r} here, and the Hugging Face Hub has no model of that name, or it is closed to "
            "you (`hf auth login`). Check the spelling."
        )
    return there is True
