"""`frft select`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from frft.cli.pool import EMBEDDINGS, PoolOptions, Reading
from frft.config.sections import EmbedderConfig, SelectionConfig

if TYPE_CHECKING:
    from frft.selection import Selection

_NOT_HERE = {
    "policy_ratio": "it needs the policy and the SFT model, which only a run has; density needs samples alone.",
    "none": "it selects no pairs.",
}


def select_command(
    *,
    pairs: list[str],
    samples: str,
    out: Path,
    config: Annotated[SelectionConfig, Parameter(name="*")] = SelectionConfig(),
    embedder: EmbedderConfig = EmbedderConfig(),
    reading: Reading = PoolOptions(),
    model: str | None = None,
    export: Path | None = None,
    cache: Path = EMBEDDINGS,
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
        Decides the split into train and test, what is drawn, and what is shuffled.
    json
        Print the counts as JSON.
    """
    from frft.cli.output import print_json, print_text
    from frft.cli.targets import check_file, check_not_read, check_writable_folder
    from frft.errors import UsageError
    from frft.preferences import export_rows, load_samples
    from frft.progress import for_terminal
    from frft.selection import Embedder, VectorCache
    from frft.selection import select as select_pairs

    if config.strategy in _NOT_HERE:
        raise UsageError(f"--strategy {config.strategy}: {_NOT_HERE[config.strategy]}")
    if config.shuffle_labels and export is not None:
        raise UsageError(
            "--export copies pairs as they were published, which --shuffle-labels exchanges; leave one out."
        )
    progress = for_terminal()
    targets = [out] if export is None else [out, export]
    for target in targets:
        check_file(target)
    cache = cache.expanduser()
    check_writable_folder(cache)
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
    counts, density, weights = selection.counts, selection.metadata["density"], selection.metadata["weights"]
    print(f"{counts['kept']} of {counts['pool_rows']} pairs kept: {counts['train']} train, {counts['test']} test")
    for reason, count in counts["reasons"].items():
        print(f"  {count:>8}  {reason}")
    if density is not None:
        print(f"Unseen, samples and pool are told apart with AUC {density['auc']:.3f} (0.5: not at all).")
    if weights is not None:
        print(
            f"{counts['taken']} drawn with tau {weights['tau']:.4f} from pairs that tell as much as "
            f"{weights['effective_sample_size']:.0f}; the column copies says how often each trains."
        )
    if export is not None and counts["taken"] > counts["kept"]:
        print("The export holds each pair once.")
    if counts["taken"] < counts["wanted"]:
        print_text(f"Fewer than the {counts['wanted']} wanted: {_too_few(selection)}.")
    print_text(f"Wrote {out}" + (f" and {export}" if export else ""))


def _too_few(selection: Selection) -> str:
    """Why fewer pairs were taken than wanted, and what would give more."""
    from frft.selection import EMBEDDED
    from frft.selection.filter import sufficient_threshold
    from frft.selection.strategies import GATES

    strategy, counts = selection.metadata["strategy"], selection.counts
    pool, compared = counts["pool_rows"], counts["with_similarity"]
    if strategy in GATES and counts["qualifying"] < compared:
        chosen_N, rejected_N = (selection.table[f"similarity_{side}"].to_numpy() for side in ("chosen", "rejected"))
        threshold, pairs = sufficient_threshold(strategy, chosen_N, rejected_N, counts["wanted"])
        return f"with --threshold {threshold:.4f}, at least {pairs} would qualify"
    if strategy == "source":
        return f"only {counts['qualifying']} pairs have both completions from {selection.metadata['source']!r}"
    if strategy in EMBEDDED and strategy != "density" and compared < pool:
        return (
            f"only {compared} of {pool} pairs have a sample of their prompt; give samples of more prompts, or compare "
            "each pair with its nearest sample (--match nearest)"
        )
    return f"the pool has only {pool} pairs"
