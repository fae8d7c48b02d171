"""`frft bench fixed-actor` (`frft bench audit` is in `bench_audit`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from frft.cli.bench_audit import audit_command
from frft.cli.pool import PoolOptions, Reading, check_store, vectors_folder
from frft.cli.samples import SampleKeys, SamplesBesidePairs
from frft.config.sections import EmbedderConfig, FixedActorConfig, OwnPromptsConfig
from frft.errors import UsageError

bench_app = App(
    name="bench",
    help="Benchmarks of the method on data of your own.",
    default_parameter=Parameter(negative="", consume_multiple=1),
)
bench_app.command(audit_command, name="audit")


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
    actor_of: list[str] | None = None,
    domain_column: str | None = None,
    own_prompts: Annotated[OwnPromptsConfig, Parameter(name="*")] = OwnPromptsConfig(),
    config: Annotated[FixedActorConfig, Parameter(name="*")] = FixedActorConfig(),
    embedder: EmbedderConfig = EmbedderConfig(),
    reading: Reading = PoolOptions(),
    keys: SamplesBesidePairs = SampleKeys(),
    store: str | None = None,
    json: bool = False,
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
    actor_of
        Instead of a source: domains of the pairs, on whose prompts the actor writes, one after the other. Completions
        of some of its conversations, unlabelled, are its samples; others are tested; all domains are the pool.
    domain_column
        With --actor-of: the column of the pairs that says their domain. Default: each file is a domain, by its name
        (helpful-base for data/helpful-base.jsonl.gz).
    own_prompts
        How the pairs of --actor-of are divided.
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
    json
        Print the table as JSON instead.
    """
    from frft.cli.output import print_json, print_table, print_text
    from frft.cli.targets import check_writable_folder
    from frft.fixed_actor import (
        HELD_OUT,
        PairsOfDomains,
        draw_actors,
        named_actors,
        read_own_prompts_table,
        read_table,
        run_fixed_actor,
        run_own_prompts,
        written_actor,
    )
    from frft.models import use_threads
    from frft.progress import for_terminal
    from frft.selection import Embedder, VectorCache
    from frft.store import atomic_write

    _check_options(samples, test_pairs, actor, actor_of, domain_column, own_prompts, config)
    check_writable_folder(out)
    if pairs is not None:
        check_store(store)
        progress = for_terminal()
        pool = reading.load(pairs, progress).table
        if config.train != "full":
            # Small networks on stored embeddings: a second thread costs more than it saves.
            use_threads(1)
        if actor_of:
            divided = PairsOfDomains.of(pool, domain_column)
        elif samples is not None and test_pairs is not None:
            written = keys.beside(reading).load(samples, progress)
            labelled = reading.load(test_pairs, progress).table
            fixed = [written_actor("samples", written.prompts, written.completions, labelled)]
        else:
            fixed = named_actors(pool, actor or draw_actors(pool, actors, opponents))
        with vectors_folder(store, progress) as (folder, shared):
            vectors = VectorCache(folder, Embedder(embedder, progress), shared)
            try:
                if actor_of:
                    run_own_prompts(divided, actor_of, config, own_prompts, vectors, out, progress)
                else:
                    run_fixed_actor(pool, fixed, config, vectors, out, progress)
            except BaseException as stop:
                stop.add_note("What was finished is kept, and the same command goes on with it.")
                raise
    table = read_own_prompts_table(out) if (out / HELD_OUT).exists() else read_table(out)
    page = out / "table.md"
    with atomic_write(page) as file:
        file.write(table.markdown().encode())
    if json:
        print_json(table.as_dict())
        return
    for part in table.parts():
        if isinstance(part, str):
            print_text(f"{part}\n")
        else:
            print_table(part.columns, part.rows, texts=part.texts)
    print_text(f"Wrote these tables to {page}")


def _check_options(
    samples: str | None,
    test_pairs: list[str] | None,
    actor: list[str] | None,
    actor_of: list[str] | None,
    domain_column: str | None,
    own_prompts: OwnPromptsConfig,
    config: FixedActorConfig,
) -> None:
    """Refuse options that contradict each other, or that nothing would read.

    Raises:
        UsageError: there are such options.
    """
    if (samples is None) != (test_pairs is None):
        raise UsageError(
            "--samples and --test-pairs belong together: pairs are selected by the samples, and reward models are "
            "tested on the test pairs. Give both, or neither."
        )
    if samples is not None and actor:
        raise UsageError("Name either sources (--actor) or a file of samples (--samples) as the actor.")
    if actor_of and (actor or samples is not None):
        raise UsageError(
            "Name either domains (--actor-of), sources (--actor) or a file of samples (--samples) as the actor."
        )
    if not actor_of and (domain_column is not None or own_prompts.model_fields_set):
        unread = ["domain_column"] * (domain_column is not None) + sorted(own_prompts.model_fields_set)
        named = ", ".join(f"--{name.replace('_', '-')}" for name in unread)
        raise UsageError(
            f"{named}: nothing reads this without --actor-of. Name the domains whose prompts are the actor's."
        )
    if actor_of and "sizes" in config.model_fields_set:
        raise UsageError("--sizes: with --actor-of, pools of several folds differ in size. Give --shares, in per cent.")
    if actor_of and config.match == "prompt":
        raise UsageError(
            "--match prompt: with --actor-of, samples and pool have no prompt in common. Leave it out, or give "
            "--match nearest."
        )
