"""`frft advise` and `frft advise fit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App, Parameter

from frft.cli.pool import PoolOptions, Reading, check_store, vectors_folder
from frft.cli.samples import SampleKeys, SamplesBesidePairs
from frft.config.sections import EmbedderConfig

if TYPE_CHECKING:
    from frft.advice import Advice

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
def fit(*, study: Path, out: Path, store: str | None = None, json: bool = False) -> None:
    """Fit the predictor to the cells of a study: trained on half of its worlds, tested on the other half.

    The evidence of each cell is kept in the study's folder, and the same command goes on with it.

    Parameters
    ----------
    study
        Folder of `frft study averaging`, finished or not.
    out
        File to write the predictor to (JSON), for --predictor.
    store
        Folder of the shared store, in which embeddings are kept, or none. Default: the environment variable
        FRFT_STORE, or ~/.cache/frft/store.
    json
        Print it as JSON.
    """
    from dataclasses import asdict

    from frft.cli.output import print_json, print_text
    from frft.cli.targets import check_file, check_writable_folder
    from frft.progress import for_terminal
    from frft.study.advice import fit_advice

    check_file(out)
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
        print_json(asdict(predictor))
        return
    model = predictor.model
    print_text(f"Trained on {model.cases} cells of {model.worlds} worlds; FRFT gained in {model.helped}.")
    for name, coefficient in model.coefficients.items():
        print_text(
            f"  {name:<10} {coefficient:+.3f} in the log odds for a standard deviation ({model.scales[name]:.4f})"
        )
    print_text(f"Tested on the other half: {predictor.test.sentence()}")
    print_text(f"The other way round:      {predictor.exchanged.sentence()}")
    if not predictor.beats_a_coin:
        print_text("It is not shown to be better than chance, so its verdict will be `unclear`, without a probability.")
    print_text(f"Wrote {out}")


def _print(advice: Advice, cut: dict[str, int], empty: int) -> None:
    from frft.cli.output import print_text

    for title, sentences in (("What was measured", advice.reasons), ("What this cannot know", advice.limits)):
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
    print_text(f"Answer: {advice.answer}")
