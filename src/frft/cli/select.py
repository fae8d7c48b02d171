"""`frft select`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from frft.config.model import EmbedderConfig, SelectionConfig
from frft.errors import OutputError


def select(
    *,
    pairs: list[str],
    samples: str,
    out: Path,
    config: Annotated[SelectionConfig, Parameter(name="*")] = SelectionConfig(),
    embedder: EmbedderConfig = EmbedderConfig(),
    model: str | None = None,
    export: Path | None = None,
    cache: Path = Path("~/.cache/frft/embeddings"),
    seed: int = 0,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Select the preference pairs that lie where a policy writes, for an RLHF stack of your own.

    Parameters
    ----------
    pairs
        The preference pairs: files, folders, globs, or ids of data sets on the Hub.
    samples
        What the policy writes: rows of prompt and completion.
    out
        The selection: a parquet file with one row for every pair, kept or not, and why.
    config
        The filter.
    embedder
        The sentence embedder.
    model
        Use only the samples whose column `model` says this.
    export
        Also write the kept training pairs, in the pool's own form, as JSON Lines.
    cache
        Where embeddings are kept between runs.
    seed
        Decides the split into train and test, and what `random` draws.
    json
        Print the counts as JSON.
    """
    from frft.cli.output import print_json
    from frft.preferences import export_rows, load_pool, load_samples
    from frft.progress import for_terminal
    from frft.selection import Embedder, VectorCache
    from frft.selection import select as select_pairs

    progress = for_terminal()
    for target in filter(None, (out, export)):
        if target.is_dir():
            raise OutputError(f"{target} is a folder; name a file.")
    pool = load_pool(pairs, progress=progress)
    written = load_samples(samples, model=model, progress=progress)
    vectors = VectorCache(cache.expanduser(), Embedder(embedder, progress))
    selection = select_pairs(pool.table, written.prompts, written.completions, config, vectors, seed, progress)
    selection.write(out)
    if export is not None:
        export_rows(pool, selection.train_ids, export)
    if json:
        print_json(selection.metadata)
        return
    counts = selection.counts
    print(f"{counts['kept']} of {counts['pool_rows']} pairs kept: {counts['train']} train, {counts['test']} test")
    for reason, count in counts["reasons"].items():
        print(f"  {count:>8}  {reason}")
    if counts["taken"] < counts["wanted"]:
        print(f"Fewer than the {counts['wanted']} wanted: lower --threshold, or give more samples.")
    print(f"Wrote {out}" + (f" and {export}" if export else ""))
