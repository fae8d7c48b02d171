"""`frft advise` and `frft advise fit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App, Parameter

from frft.cli.pool import PoolOptions, Reading, check_store, vectors_folder
from frft.cli.samples import SampleKeys, SamplesBesidePairs
from frft.config.sections import EmbedderConfig
from frft.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from frft.advice import Advice
    from frft.fixed_actor.cases import PlannedCase

advise_command = App(
    name="advise",
    help="Evidence for and against refreshing the reward model, before any training.",
    default_parameter=Parameter(negative=""),
)


@advise_command.default
def ask(
    *,
    pairs: list[str],
    samples: str,
    embedder: EmbedderConfig = EmbedderConfig(),
    reading: Reading = PoolOptions(),
    keys: SamplesBesidePairs = SampleKeys(),
    model: str | None = None,
    predictor: Path | None = None,
    store: str | None = None,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Report the evidence in preference pairs and a policy's samples for and against a refresh by FRFT.

    Nothing is trained but small regressions: minutes for 20,000 pairs, once they are embedded.

    Parameters
    ----------
    pairs
        The preference pairs: files, folders, globs, or ids of data sets on the Hub.
    samples
        What the policy writes: rows of prompt and completion, read with the same --split and --max-rejected.
    embedder
        The sentence embedder.
    reading
        How to read the pairs.
    keys
        How to read the samples.
    model
        Use only the samples whose column `model` has this value.
    predictor
        A predictor file from `frft advise fit`; none: the one that comes with frft.
    store
        Folder of the shared store, in which embeddings are kept, or none. Default: the environment variable
        FRFT_STORE, or ~/.cache/frft/store.
    seed
        Random seed of the held-out folds.
    json
        Print the evidence and the answer as JSON.
    """
    from dataclasses import asdict

    from frft.advice import Predictor, gather_evidence, packaged_predictor
    from frft.advice import advise as advised
    from frft.cli.output import print_json
    from frft.progress import for_terminal
    from frft.selection import Embedder, VectorCache

    progress = for_terminal()
    fitted = packaged_predictor() if predictor is None else Predictor.read(predictor)
    check_store(store)
    pool = reading.load(pairs, progress)
    written = keys.beside(reading).load(samples, progress, model=model)
    with vectors_folder(store, progress) as (folder, shared):
        vectors = VectorCache(folder, Embedder(embedder, progress), shared)
        try:
            found = gather_evidence(pool.table, written.prompts, written.completions, vectors, seed, progress)
        except BaseException as stop:
            stop.add_note("Finished embeddings are kept, and the same command goes on with them.")
            raise
        # Counted over the texts that were embedded: stripped, and without empty samples.
        cut = {
            name: vectors.count_truncated([text.strip() for text in texts if text.strip()])
            for name, texts in (
                ("chosen", pool.table["chosen"].to_pylist()),
                ("rejected", pool.table["rejected"].to_pylist()),
                ("samples", written.completions),
            )
        }
    empty = sum(not completion.strip() for completion in written.completions)
    advice = advised(found, fitted, vectors.embedder.digest)
    if json:
        print_json({"evidence": found.as_dict(), "truncated": cut, "samples_empty": empty, "advice": asdict(advice)})
    else:
        _print(advice, cut, empty)


@advise_command.command
def cases(
    *,
    out: Path,
    worlds: int | None = None,
    settings: int = 5,
    first_group: int = 0,
    pairs: list[str] | None = None,
    actor_of: list[str] | None = None,
    domain_column: str | None = None,
    weights: list[float] | None = None,
    folds: int = 4,
    actor: list[str] | None = None,
    family: str | None = None,
    seeds: int = 1,
    first_seed: int = 0,
    embedder: EmbedderConfig = EmbedderConfig(),
    reading: Reading = PoolOptions(),
    store: str | None = None,
    json: bool = False,
) -> None:
    """Measure cases with a known outcome, to fit and test the predictor on. Seconds each, once texts are embedded.

    A case is a pool, unlabelled samples of a fixed policy, and labelled pairs of it. Its evidence is what `frft advise`
    measures; its outcome what a small reward model gains from the nearest quarter of the pool. The same command goes on
    where it was stopped, and others add to the folder.

    Parameters
    ----------
    out
        Folder of cases.jsonl.
    worlds
        Draw so many groups of made-up worlds at random, instead of --pairs.
    settings
        With --worlds: ways of judging drawn for each group.
    first_group
        With --worlds: number of the first group, for other worlds of the same draw.
    pairs
        Real preference pairs: files, folders, globs, or ids of data sets on the Hub.
    actor_of
        With --pairs: domains on whose prompts the policy writes, one after the other, as in `frft bench fixed-actor`.
    domain_column
        With --actor-of: the column of the pairs that says their domain. Default: each file is a domain.
    weights
        With --actor-of: per cent of what the policy writes that is of its domain, a policy for each. Default: 100.
    folds
        With --actor-of: parts that conversations are divided into, each of which is tested once a seed.
    actor
        With --pairs, instead of --actor-of: sources (columns chosen_source and rejected_source) to take as the policy.
    family
        With --pairs: name of the kind of data.
    seeds
        Draws of worlds, or divisions of the pairs.
    first_seed
        The first of the seeds.
    embedder
        The sentence embedder.
    reading
        How to read the pairs.
    store
        Folder of the shared store, in which embeddings are kept, or none. Default: the environment variable
        FRFT_STORE, or ~/.cache/frft/store.
    json
        Print the summary as JSON.
    """
    from dataclasses import asdict
    from itertools import chain

    from frft.cli.output import print_json, print_table, print_text
    from frft.cli.targets import check_writable_folder
    from frft.fixed_actor import PairsOfDomains, named_actors
    from frft.fixed_actor.cases import (
        CASES,
        domain_cases,
        read_cases,
        run_cases,
        source_cases,
        summary_of_cases,
        world_cases,
    )
    from frft.models import use_threads
    from frft.progress import for_terminal
    from frft.selection import Embedder, VectorCache

    _check_cases(worlds, pairs, actor_of, actor, domain_column, weights, family)
    check_writable_folder(out)
    check_store(store)
    progress, numbers = for_terminal(), range(first_seed, first_seed + seeds)
    use_threads(1)
    if pairs is None:
        planned: Iterator[PlannedCase] = chain.from_iterable(
            world_cases(worlds or 0, settings, seed, first_group) for seed in numbers
        )
    else:
        pool = reading.load(pairs, progress).table
        if actor_of:
            divided = PairsOfDomains.of(pool, domain_column)
            planned = domain_cases(family or "", divided, actor_of, numbers, folds=folds, weights=weights or [100.0])
        else:
            planned = source_cases(family or "", pool, named_actors(pool, actor or []), numbers)
    with vectors_folder(store, progress) as (folder, shared):
        try:
            run_cases(planned, VectorCache(folder, Embedder(embedder, progress), shared), out, progress)
        except BaseException as stop:
            stop.add_note("Finished cases are kept, and the same command goes on with them.")
            raise
    found = summary_of_cases(read_cases(out))
    if json:
        print_json([asdict(each) for each in found])
        return
    print_table(
        ("kind of data", "cases", "clusters", f"gained over {found[0].worth:.0%}", "mean gain", "by gold"),
        [
            (each.family, str(each.cases), str(each.clusters), str(each.gained), f"{100 * each.gain:+.1f}",
             "-" if each.gold_gain is None else f"{100 * each.gold_gain:+.1f}")
            for each in found
        ],
    )  # fmt: skip
    print_text(f"Wrote {out / CASES}")


def _check_cases(
    worlds: int | None,
    pairs: list[str] | None,
    actor_of: list[str] | None,
    actor: list[str] | None,
    domain_column: str | None,
    weights: list[float] | None,
    family: str | None,
) -> None:
    """Refuse options that contradict each other, or that nothing would read.

    Raises:
        UsageError: there are such options.
    """
    if (worlds is None) == (pairs is None):
        raise UsageError("Give either --worlds, how many groups to draw, or --pairs of real data.")
    if worlds is not None and worlds < 1:
        raise UsageError(f"--worlds {worlds}: draw at least 1.")
    of_pairs = {"--actor-of": actor_of, "--actor": actor, "--family": family}
    if worlds is not None and any(of_pairs.values()):
        raise UsageError(f"{', '.join(name for name, value in of_pairs.items() if value)}: give --pairs, not --worlds.")
    if pairs is not None and (bool(actor_of) == bool(actor) or not family):
        raise UsageError(
            "With --pairs, give --family, a name for the kind of data, and either --actor-of, domains on whose prompts "
            "the policy writes, or --actor, sources of the pool."
        )
    if not actor_of and (domain_column is not None or weights is not None):
        raise UsageError("--domain-column and --weights: nothing reads these without --actor-of.")


@advise_command.command
def fit(
    *,
    out: Path,
    study: Path | None = None,
    cases: list[Path] | None = None,
    test: list[Path] | None = None,
    store: str | None = None,
    json: bool = False,
) -> None:
    """Fit a predictor to cases with a known outcome, and test it on others that share neither worlds nor actors.

    Of a study, the predictor is of gold reward after reinforcement learning; the evidence of each cell is kept in the
    study's folder, and the same command goes on with it. Of cases, it is of the accuracy of a small reward model.

    Parameters
    ----------
    out
        File to write the predictor to (JSON), for --predictor.
    study
        Folder of `frft study averaging`, finished or not: half of its worlds are trained on, the other half tested.
    cases
        Instead of a study: folders of `frft advise cases` to train on.
    test
        With --cases: other such folders, each of which is a test that must be passed before there is a verdict.
    store
        With --study: folder of the shared store, in which embeddings are kept, or none. Default: the environment
        variable FRFT_STORE, or ~/.cache/frft/store.
    json
        Print it as JSON.
    """
    from dataclasses import asdict

    from frft.cli.output import print_json, print_text
    from frft.cli.targets import check_file, check_writable_folder
    from frft.fixed_actor.cases import fit_on_cases
    from frft.progress import for_terminal
    from frft.study.advice import fit_advice

    if (study is None) == (not cases) or bool(cases) != bool(test):
        raise UsageError("Give either --study, or --cases to train on and --test with others to test on.")
    check_file(out)
    if study is None:
        predictor = fit_on_cases(cases or [], test or [])
    else:
        check_writable_folder(study)
        progress = for_terminal()
        check_store(store)
        try:
            with vectors_folder(store, progress) as (folder, shared):
                predictor = fit_advice(study, folder, progress, shared)
        except BaseException as stop:
            stop.add_note("The evidence of finished cells is kept, and the same command goes on with it.")
            raise
    predictor.write(out)
    if json:
        print_json(asdict(predictor) | {"failed": predictor.failed})
        return
    model = predictor.model
    print_text(f"Probability that {predictor.outcome.help}.")
    print_text(f"Trained on {model.cases} cases of {model.clusters} clusters; {model.helped} gained.")
    for name, coefficient in model.coefficients.items():
        print_text(
            f"  {name:<10} {coefficient:+.3f} in the log odds for a standard deviation ({model.scales[name]:.4f})"
        )
    for name, tested in predictor.tests.items():
        print_text(f"Tested on {name}: {tested.sentence()}")
    for name, tested in predictor.others.items():
        print_text(f"For comparison, {name}: {tested.sentence()}")
    if not predictor.is_shown:
        print_text(
            f"Not passed: {'; '.join(f'{name}: {why}' for name, why in predictor.failed.items())}. So the verdict will "
            "be `unclear`, without a probability."
        )
    print_text(f"Wrote {out}")


def _print(advice: Advice, cut: dict[str, int], empty: int) -> None:
    from frft.cli.output import print_text

    print_text(f"Answer: {advice.answer}")
    for title, sentences in (("Measured", advice.reasons), ("Not known", advice.limits)):
        print_text(f"{title}:")
        for sentence in sentences:
            print_text(f"  - {sentence}")
    if empty:
        print_text(f"{empty} more samples have no text and were not compared.")
    if any(cut.values()):
        print_text(
            "Longer than the embedder's window, so that only their beginnings were compared: "
            f"{', '.join(f'{count} {name}' for name, count in cut.items())}."
        )
