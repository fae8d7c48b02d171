"""`frft data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from frft.config.model import DataConfig

_DEFAULTS = DataConfig(pairs="unused")


def data(
    *paths: str,
    split: str = _DEFAULTS.split,
    prompt_key: str | None = None,
    chosen_key: str | None = None,
    rejected_key: str | None = None,
    max_rejected: float = _DEFAULTS.max_rejected,
    rejects: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Say what is in preference data: rows, formats, lengths, duplicates, sources, and what cannot be used.

    Parameters
    ----------
    paths
        Files, folders, globs, or ids of data sets on the Hub.
    split
        The split of Hub data sets.
    prompt_key
        Column of the prompt, where it has an unusual name.
    chosen_key
        Column of the preferred completion, where it has an unusual name.
    rejected_key
        Column of the other completion, where it has an unusual name.
    max_rejected
        Largest share of unusable rows; more is an error.
    rejects
        File to write the unusable rows to (JSON Lines: file, line, reason).
    json
        Print JSON.
    """
    from frft.cli.output import print_json
    from frft.errors import UsageError
    from frft.preferences import describe, load_pool
    from frft.progress import for_terminal

    if not paths:
        raise UsageError("Say what to look at: frft data PATH...")
    pool = load_pool(
        list(paths),
        split=split,
        prompt_key=prompt_key,
        chosen_key=chosen_key,
        rejected_key=rejected_key,
        max_rejected=max_rejected,
        rejects_path=rejects,
        progress=for_terminal(),
    )
    description = describe(pool)
    if json:
        print_json(description.as_dict())
    else:
        print("\n".join(description.lines()))
