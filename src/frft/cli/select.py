"""`frft select`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from frft.cli.pool import PoolOptions, Reading, check_store, vectors_folder
from frft.cli.samples import SampleKeys, SamplesBesidePairs
from frft.config.sections import EmbedderConfig, SelectionConfig

if TYPE_CHECKING:
    from frft.preferences import Pool
    from frft.selection import Selection

EMBEDDER_OPTION = "--embedder.model-name-or-path"
"""Option for another embedder, which messages name."""


def select_command(
    *,
    pairs: list[str],
    samples: str,
    out: Path,
    config: Annotated[SelectionConfig, Parameter(name="*")] = SelectionConfig(),
    embedder: EmbedderConfig = EmbedderConfig(),
    reading: Reading = PoolOptions(),
    keys: SamplesBesidePairs = SampleKeys(),
    model: str | None = None,
    export: Path | None = None,
    store: str | None = None,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Select the preference pairs that are most like what a policy writes, for an RLHF stack of your own.

    Parameters
    ----------
    pairs
        The preference pairs: files, folders, globs, or ids of data sets on the Hub.
    samples
        The policy's completions: rows of prompt and completion, read with the same --split and --max-rejected.
    out
        File of the selection: parquet, with one row for every pair: whether it is kept, and why.
    config
        The selection strategy and its settings.
    embedder
        The sentence embedder.
    reading
        How to read the pairs.
    keys
        How to read the samples.
    model
        Use only the samples whose column `model` has this value.
    export
        Also write the training pairs (without --test-size, all that are kept) as JSON Lines in the pool's own format.
    store
        Folder of the shared store, in which embeddings are kept, or none. Default: the environment variable
        FRFT_STORE, or ~/.cache/frft/store.
    seed
        Random seed of the split into training and test pairs, of draws, and of shuffling.
    json
        Print the counts as JSON.
    """
    from frft.cli.output import print_json, print_text
    from frft.cli.targets import check_file, check_not_read
    from frft.errors import UsageError
    from frft.preferences import export_form, export_rows
    from frft.progress import for_terminal
    from frft.selection import Embedder, VectorCache
    from frft.selection import select as select_pairs
    from frft.strategies import get_strategy

    strategy = get_strategy(config.strategy)
    if not strategy.selects:
        raise UsageError(f"--strategy {strategy.name}: it selects no pairs. Choose another strategy.")
    if strategy.needs_models:
        raise UsageError(
            f"--strategy {strategy.name}: it needs the policy and the SFT model, which only a run has. Use density, "
            "which needs samples alone."
        )
    if config.shuffle_labels and export is not None:
        raise UsageError(
            "--export copies pairs as they were published, which --shuffle-labels exchanges; leave one out."
        )
    progress = for_terminal()
    targets = [out] if export is None else [out, export]
    for target in targets:
        check_file(target)
    check_store(store)
    check_not_read(targets, [*pairs, samples], split=reading.split)
    pool = reading.load(pairs, progress)
    written = keys.beside(reading).load(samples, progress, model=model)
    with vectors_folder(store, progress) as (folder, shared):
        vectors = VectorCache(folder, Embedder(embedder, progress), shared)
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
    for line in _summary(selection):
        print_text(line)
    if export is not None:
        print_text(_exported(selection, export))
        if (form := export_form(pool)) is not None:
            print_text(_in_one_form(pool, form))
    print_text(f"Wrote {out}" + (f" and {export}" if export else ""))


def _summary(selection: Selection) -> list[str]:
    """The counts of a selection in lines of text."""
    counts, density, weights = selection.counts, selection.metadata["density"], selection.metadata["weights"]
    parts = f": {counts['train']} train, {counts['test']} test" if counts["test"] else ""
    lines = [f"{counts['kept']} of {counts['pool_rows']} pairs kept{parts}"]
    lines += [f"  {count:>8}  {reason}" for reason, count in counts["reasons"].items()]
    lines += _uncompared(selection)
    if density is not None:
        lines.append(
            f"A classifier tells held-out samples from the pool with AUC {density['auc']:.3f} (0.5: not at all)."
        )
    if (nearest := selection.metadata["nearest_source"]) is not None:
        lines += _named_source(nearest, selection.metadata["source_clusters"])
    if (distance := selection.metadata["mixture_distance"]) is not None:
        lines.append(
            f"Kept pairs and samples differ in {distance:.1%} of their mixture of prompt clusters (total variation)."
        )
    if weights is not None:
        lines.append(
            f"{counts['taken']} drawn with tau {weights['tau']:.4f} (effective sample size of the weights: "
            f"{weights['effective_sample_size']:.0f}); the column copies holds how often each pair was drawn."
        )
    if counts["taken"] < counts["wanted"]:
        lines.append(f"Fewer than the {counts['wanted']} wanted: {_too_few(selection)}.")
    return lines


def _named_source(found: dict[str, Any], clusters: int | None) -> list[str]:
    """Which source the samples were taken for, and whether they are like it at all; `clusters`: `source_clusters`."""
    from frft.errors import printable

    name = found["name"]
    others = sorted(((share, source) for source, share in found["shares"].items() if source != name), reverse=True)
    lines = [
        f"Of {found['samples']:,} samples {found['shares'][name]:.1%} are taken for {printable(name)}, of its own "
        f"held-out texts {found['recalls'][name]:.1%} ({found['texts']:,} texts of {len(found['shares'])} sources were "
        f"learned); next is {printable(others[0][1])} with {others[0][0]:.1%}."
    ]
    if found["outside"]:
        lines.append(
            "The samples are outside all sources: they are taken for this one less than half as often as its own are. "
            "That its annotators judge texts like them well is not to be expected."
        )
    if clusters is not None:
        lines.append(
            f"The sources are {clusters} clusters of pairs, by what the two completions of a pair have in common: that "
            "takes for granted that both come from one source, and that sources differ more than topics do."
        )
    if found["left_out"]:
        count = sum(found["left_out"].values())
        lines.append(f"{len(found['left_out'])} sources with too few texts ({count:,} in all) were no candidates.")
    return lines


def _uncompared(selection: Selection) -> list[str]:
    """Texts that the filter did not compare: samples of other prompts or without text, and ends of long texts."""
    from frft.strategies import get_strategy

    counts, strategy = selection.counts, get_strategy(selection.metadata["strategy"])
    if not strategy.embeds:
        return []
    samples, lines = counts["samples"], []
    elsewhere = samples - counts["samples_of_pool_prompts"]
    if elsewhere and strategy.matches_prompts and selection.metadata["match"] == "prompt":
        lines.append(f"{elsewhere} of {samples} samples have no prompt of the pool and were not compared.")
    if counts["samples_empty"]:
        lines.append(f"{counts['samples_empty']} of {samples} samples have no text and were not compared.")
    pairs = counts["with_similarity"] if strategy.matches_prompts else counts["pool_rows"]
    of = {"chosen": (pairs, "chosen"), "rejected": (pairs, "rejected completions"), "samples": (samples, "samples")}
    cut = [f"{counts['truncated'][side]} of {most} {named}" for side, (most, named) in of.items()]
    if "prompts" in counts["truncated"]:
        cut.append(f"{counts['truncated']['prompts']} prompts")
    if any(counts["truncated"].values()):
        lines.append(
            f"Longer than the embedder's window, so that only their beginnings were compared: {', '.join(cut)}. An "
            f"embedder with a longer window ({EMBEDDER_OPTION}) would see more."
        )
    return lines


def _exported(selection: Selection, export: Path) -> str:
    """A sentence on which pairs the export holds."""
    counts = selection.counts
    test = f"; the {counts['test']} test pairs are marked in the selection alone" if counts["test"] else ""
    once = ", each once" if counts["taken"] > counts["kept"] else ""
    return f"{export} holds the {counts['train']} pairs to train on{once}, in the order in which they were read{test}."


def _in_one_form(pool: Pool, form: str) -> str:
    """A sentence on the export of a pool in several formats, which is written in one of them."""
    forms = ", ".join(f"{name} ({count})" for name, count in pool.report.forms.items())
    nested = ", ".join(pool.report.left_out_columns)
    left_out = f" Columns with nested values are left out: {nested}." if nested else ""
    return f"The pool's rows are of several forms, {forms}; the export's are all of one, {form}.{left_out}"


def _too_few(selection: Selection) -> str:
    """Why fewer pairs were kept than asked for, and what would give more, as a clause."""
    from frft.selection.thresholds import sufficient_threshold
    from frft.strategies import get_strategy

    strategy, counts = get_strategy(selection.metadata["strategy"]), selection.counts
    pool, compared = counts["pool_rows"], counts["with_similarity"]
    if strategy.threshold is not None and counts["qualifying"] < compared:
        chosen_N, rejected_N = (selection.table[f"similarity_{side}"].to_numpy() for side in ("chosen", "rejected"))
        threshold, pairs = sufficient_threshold(strategy.threshold, chosen_N, rejected_N, counts["wanted"])
        return f"with --threshold {threshold:.4f}, at least {pairs} would qualify"
    if strategy.matches_prompts and compared < pool:
        return (
            f"only {compared} of {pool} pairs have a sample of their prompt; give samples of more prompts, or compare "
            "each pair with its nearest sample (--match nearest)"
        )
    if counts["qualifying"] < pool:
        others = pool - counts["qualifying"]
        return f"only {counts['qualifying']} of {pool} pairs qualify (the other {others}: {strategy.unqualified})"
    return f"the pool has only {pool} pairs"
