"""`frft bench fixed-actor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from frft.cli.pool import PoolOptions, Reading, check_store, vectors_folder
from frft.cli.samples import SampleKeys, SamplesBesidePairs
from frft.config.sections import EmbedderConfig, FixedActorConfig
from frft.errors import UsageError

bench_app = App(
    name="bench",
    help="Benchmarks of the method on data of your own.",
    default_parameter=Parameter(negative="", consume_multiple=1),
)


@bench_app.command
def fixed_actor(
    *,
    out: Path,
    pairs: list[str] | None = None,
    actor: list[str] | None = None,
    actors: int = 6,
    opponents: int = 5,
    samples: str | None = None,
    test_pairs: list[str] | None = None,
    config: Annotated[FixedActorConfig, Parameter(name="*")] = FixedActorConfig(),
    embedder: EmbedderConfig = EmbedderConfig(),
    reading: Reading = PoolOptions(),
    keys: SamplesBesidePairs = SampleKeys(),
    store: str | None = None,
) -> None:
    """Does a selection of pairs help a reward model where a fixed actor writes? No reinforcement learning.

    The actor's pairs are taken out of the pool; reward models are trained on selections of the rest and tested on the
    actor's own labelled pairs, on prompts that were not trained on. The same command goes on where it was stopped;
    without --pairs, the table of the folder is printed and written again.

    Parameters
    ----------
    out
        Folder of the results: results.jsonl, a line for every actor, seed and reward model, and table.md.
    pairs
        The preference pairs: files, folders, globs, or ids of data sets on the Hub.
    actor
        Sources (columns chosen_source and rejected_source of the pairs) to take as the actor, one after the other.
    actors
        Without --actor: number of sources to draw at random.
    opponents
        Without --actor: draw only sources that are paired with at least this many other sources.
    samples
        Instead of a source: completions by the actor, in rows of prompt and completion.
    test_pairs
        With --samples: labelled pairs with completions by the actor. Those on training prompts train the oracle.
    config
        Which selections to compare, and how reward models are trained.
    embedder
        The sentence embedder, for the selection and as the reward models' backbone.
    reading
        How to read the pairs, the samples and the test pairs.
    keys
        How to read the samples.
    store
        Folder of the shared store, in which embeddings are kept, or none. Default: the environment variable
        FRFT_STORE, or ~/.cache/frft/store.
    """
    from frft.cli.output import print_table, print_text
    from frft.cli.targets import check_writable_folder
    from frft.fixed_actor import draw_actors, named_actors, read_table, run_fixed_actor, written_actor
    from frft.models import use_threads
    from frft.progress import for_terminal
    from frft.selection import Embedder, VectorCache
    from frft.store import atomic_write

    if (samples is None) != (test_pairs is None):
        raise UsageError(
            "--samples and --test-pairs belong together: pairs are selected by the samples, and reward models are "
            "tested on the test pairs. Give both, or neither."
        )
    if samples is not None and actor:
        raise UsageError("Name either sources (--actor) or a file of samples (--samples) as the actor.")
    check_writable_folder(out)
    if pairs is not None:
        check_store(store)
        progress = for_terminal()
        pool = reading.load(pairs, progress).table
        if samples is not None and test_pairs is not None:
            written = keys.beside(reading).load(samples, progress)
            labelled = reading.load(test_pairs, progress).table
            fixed = [written_actor("samples", written.prompts, written.completions, labelled)]
        else:
            fixed = named_actors(pool, actor or draw_actors(pool, actors, opponents))
        if config.train != "full":
            # Small networks on stored embeddings: a second thread costs more than it saves.
            use_threads(1)
        with vectors_folder(store, progress) as (folder, shared):
            vectors = VectorCache(folder, Embedder(embedder, progress), shared)
            try:
                run_fixed_actor(pool, fixed, config, vectors, out, progress)
            except BaseException as stop:
                stop.add_note("What was finished is kept, and the same command goes on with it.")
                raise
    table = read_table(out)
    page = out / "table.md"
    with atomic_write(page) as file:
        file.write(table.markdown().encode())
    for part in table.parts():
        if isinstance(part, str):
            print_text(f"{part}\n")
        else:
            print_table(part.columns, part.rows, texts=part.texts)
    print_text(f"Wrote these tables to {page}")
