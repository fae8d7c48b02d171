"""`frft presets` and `frft init`."""

from __future__ import annotations

from pathlib import Path

from frft.errors import OutputError


def presets(*, json: bool = False) -> None:
    """List the ready-made configurations.

    Parameters
    ----------
    json
        Print JSON.
    """
    from frft.cli.output import print_json, print_table
    from frft.config import list_presets

    if json:
        print_json(dict(list_presets()))
    else:
        print_table(("preset", "what it is"), list_presets(), texts=2)


def init(preset: str, *, out: Path | None = None) -> None:
    """Write a preset in full, every setting explained, as a start for a configuration of your own.

    Parameters
    ----------
    preset
        Name of the preset; see `frft presets`.
    out
        File to write; standard output where none is named. An existing file is never overwritten.
    """
    from frft.cli.output import print_text, print_verbatim
    from frft.cli.targets import check_file
    from frft.config import annotated_preset
    from frft.store import atomic_write

    text = annotated_preset(preset)
    if out is None:
        print_verbatim(text)
        return
    if out.exists():
        raise OutputError(f"{out} exists. Name another file, or delete it first.")
    check_file(out)
    with atomic_write(out) as file:
        file.write(text.encode())
    print_text(f"Wrote {out}. Edit it, then: frft run {out} --out runs/{out.stem}")
