"""`frft data`."""

from __future__ import annotations

from pathlib import Path

from frft.cli.pool import PoolOptions, Reading
from frft.errors import UsageError


def data_command(
    *paths: str,
    reading: Reading = PoolOptions(),
    rejects: Path | None = None,
    json: bool = False,
) -> None:
    """Say what is in preference data: rows, formats, lengths, duplicates, sources, and what cannot be used.

    Parameters
    ----------
    paths
        Files, folders, globs, or ids of data sets on the Hub.
    reading
        How to read them.
    rejects
        File to write the unusable rows to (JSON Lines: file, line, reason).
    json
        Print JSON.
    """
    from frft.cli.output import print_json, print_text
    from frft.cli.targets import check_file, check_not_read
    from frft.preferences import describe_pool
    from frft.progress import for_terminal

    if not paths:
        raise UsageError("Say what to look at: frft data PATH...")
    if rejects is not None:
        check_file(rejects)
        check_not_read([rejects], paths, split=reading.split)
    description = describe_pool(reading.load(paths, for_terminal(), rejects_path=rejects))
    if json:
        print_json(description.as_dict())
    else:
        print_text("\n".join(description.lines()))
