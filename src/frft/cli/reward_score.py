"""`frft reward score`."""

from __future__ import annotations

from pathlib import Path

from frft.cli.reward import load_scorer
from frft.cli.samples import SampleOptions, SamplesAlone
from frft.models.loading import Dtype


def score_command(
    *,
    model: str,
    samples: list[str],
    out: Path,
    written_by: str | None = None,
    reading: SamplesAlone = SampleOptions(),
    rejects: Path | None = None,
    max_length: int | None = None,
    dtype: Dtype = "float32",
    chat_template: str = "auto",
    json: bool = False,
) -> None:
    """Score completions with a reward model: rows of prompt and completion in, the same rows with a score out.

    Parameters
    ----------
    model
        The reward model: a folder, or a name.
    samples
        Rows of prompt and completion: files, folders, globs, or ids of data sets on the Hub. Empty completions are
        scored like any other.
    out
        File of the scores, as JSON Lines: prompt, completion, score, in the order of the samples. It appears when it is
        complete.
    written_by
        Score only the samples whose column `model` has this value.
    reading
        How to read the samples.
    rejects
        File to write the unusable rows to (JSON Lines: file, line, reason).
    max_length
        Longest sequence in tokens; default: the one saved with the model.
    dtype
        Number format to compute the scores in; auto: the one that the model was saved in.
    chat_template
        How the model reads conversations: auto (what it was trained with, or its tokenizer's own chat template, else
        plain HH-RLHF text), plain, none (contents alone), or the path of a file with a template.
    json
        Print the counts and the distribution of the scores as JSON.
    """
    from dataclasses import asdict
    from json import dumps

    from frft.cli.output import print_json, print_table, print_text
    from frft.cli.targets import check_file, check_not_read
    from frft.models.chat import template_digest
    from frft.progress import for_terminal
    from frft.reward import spread_of_scores
    from frft.store import atomic_write

    targets = [out] if rejects is None else [out, rejects]
    for target in targets:
        check_file(target)
    check_not_read(targets, samples, split=reading.split)
    progress = for_terminal()
    written = reading.load(samples, progress, model=written_by, rejects_path=rejects)
    scorer = load_scorer(model, max_length, chat_template, dtype=dtype)
    scores = scorer.score(written.prompts, written.completions, progress=progress)
    with atomic_write(out) as file:
        for prompt, completion, value in zip(written.prompts, written.completions, scores, strict=True):
            row = {"prompt": prompt, "completion": completion, "score": float(value)}
            file.write((dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode())
    spread = spread_of_scores(written.prompts, written.completions, scores)
    rejected = written.report.read - written.report.accepted
    if json:
        truncated = {
            "truncated": scorer.truncated.as_dict(),
            "max_length": scorer.max_length,
            "dtype": scorer.dtype,
            "chat_template": template_digest(scorer.tokenizer),
            "reads": scorer.reads,
            "head": asdict(scorer.head),
        }
        print_json({**spread.as_dict(), "rejected": rejected, **truncated})
        return
    print_text(f"Wrote {out}: {spread.texts} scores, computed in {scorer.dtype}.")
    names = ("mean", "standard deviation", "lowest", "median", "highest")
    print_table(("score", ""), [(name, f"{getattr(spread, name.replace(' ', '_')):+.3f}") for name in names])
    if spread.repeated:
        print_text(f"{spread.repeated} rows repeat an earlier one, prompt and completion.")
    if spread.ties:
        print_text(
            f"{spread.ties} different texts have exactly the score of another: the model cannot tell them apart."
        )
    if rejected:
        print_text(f"{rejected} of {written.report.read} rows could not be used, and have no score.")
    print_text(f"The model has {scorer.head.described}.")
    print_text(f"It reads {scorer.reading}.")
    print_text(scorer.truncated.sentence("texts that the reward model read", scorer.max_length))
