"""`frft data`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from frft.cli.pool import PoolOptions, Reading
from frft.errors import UsageError

if TYPE_CHECKING:
    from frft.preferences import ReadReport


def data_command(
    *paths: str,
    reading: Reading = PoolOptions(),
    rejects: Path | None = None,
    json: bool = False,
) -> int:
    """Describe preference data: rows, formats, lengths, duplicates, sources, and rows that cannot be used.

    Exit status: 0 other commands accept this data; 1 they refuse it, because too many of its rows cannot be used
    (--max-rejected); 2 there is nothing to describe, because a file is missing or damaged as a whole.

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
        raise UsageError("No data is named. Give files, folders, globs or ids of data sets: frft data PATH...")
    if rejects is not None:
        check_file(rejects)
        check_not_read([rejects], paths, split=reading.split)
    description = describe_pool(reading.load_any(paths, for_terminal(), rejects_path=rejects))
    usable = description.report.is_usable(reading.max_rejected)
    if json:
        print_json({**description.as_dict(), "usable": usable})
    else:
        print_text("\n".join(description.lines()))
        if not usable:
            print_text(f"Other commands refuse this data: {_why(description.report, reading.max_rejected)}.")
    return 0 if usable else 1


def _why(report: ReadReport, max_rejected: float) -> str:
    """Why other commands refuse the data, as a clause."""
    if not report.accepted:
        return "no row of it can be used"
    share = (report.read - report.accepted) / report.read
    return f"{share:.2%} of its rows cannot be used, and at most {max_rejected:.2%} may be (--max-rejected)"
