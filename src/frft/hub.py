"""Whether the Hugging Face Hub has a model or a data set, asked once."""

from __future__ import annotations

from collections.abc import Callable

HUB_TIMEOUT = 10.0
"""Seconds in which the Hub must answer."""


def hub_has(ask: Callable[[], object]) -> bool | None:
    """Whether the Hub has a model or a data set.

    Args:
        ask: asks the Hub about it, by a method of `huggingface_hub.HfApi`.

    Returns:
        True: it has (it may be gated: loading it says what to do). False: it has none of that name, or the name cannot
        be one, or access is denied. None: the Hub did not answer.
    """
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    try:
        ask()
    except GatedRepoError:
        return True
    except (RepositoryNotFoundError, HFValidationError):
        return False
    except Exception:  # noqa: BLE001 - whatever the network raises: the Hub did not answer
        return None
    return True
