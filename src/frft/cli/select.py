"""`frft select`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from frft.cli.pool import PoolOptions, Reading
from frft.config.sections import EmbedderConfig, SelectionConfig


def select(
    *,
    pairs: list[str],
    samples: str,
    out: Path,
    config: Annotated[SelectionConfig, Parameter(name="*")] = SelectionConfig(),
    embedder: EmbedderConfig = EmbedderConfig(),
    reading: Reading = PoolOptions(),
    model: str | None = None,
    export: Path | None = None,
    cache: Path = Path("~/.cache/frft/embeddings"),
    seed: int = 0,
    json: bool = False,
) -> None:
    """Select the preference pairs that lie where a policy writes, for an RLHF stack of your own.

    Parameters
    ----------
    pairs
        The preference pairs: files, folders, globs, or ids of data sets on the Hub.
    samples
        What the policy writes: rows of prompt and completion, read with the same --split and --max-rejected.
    out
        The selection: a parquet file with one row for every pair, kept or not, and why.
    config
        The filter.
    embedder
        The sentence embedder.
    reading
        How to read the pairs.
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
    from frft.cli.output import print_json, print_text
    from frft.cli.targets import check_file, check_folder, check_not_read
    from frft.preferences import export_rows, load_samples
    from frft.progress import for_terminal
    from frft.selection import Embedder, VectorCache
    from frft.selection import select as select_pairs

    progress = for_terminal()
    targets = [out] if export is None else [out, export]
    for target in targets:
        check_file(target)
    cache = cache.expanduser()
    check_folder(cache)
    check_not_read(targets, [*pairs, samples], split=reading.split)
    pool = reading.load(pairs, progress)
    written = load_samples(
        samples, model=model, split=reading.split, max_rejected=reading.max_rejected, progress=progress
    )
    vectors = VectorCache(cache, Embedder(embedder, progress))
    try:
        selection = select_pairs(pool.table, written.prompts, written.completions, config, vectors, seed, progress)
    except BaseException as stop:
        stop.add_note("Finished embeddings are kept, and the same command goes on with them.")
        raise
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
    print_text(f"Wrote {out}" + (f" and {export}" if export else ""))
