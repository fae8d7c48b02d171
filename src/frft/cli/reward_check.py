"""`frft reward check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts.types import PositiveInt

from frft.cli.pool import PoolOptions, Reading
from frft.cli.reward import load_scorer
from frft.cli.samples import SampleKeys, SamplesBesidePairs
from frft.errors import UsageError
from frft.models.loading import Dtype

if TYPE_CHECKING:
    from frft.diagnosis.check_figures import Measured
    from frft.reward import RewardModel


def check_command(
    model: str,
    /,
    *,
    pairs: list[str] | None = None,
    samples: str | None = None,
    against: str | None = None,
    reading: Reading = PoolOptions(),
    keys: SamplesBesidePairs = SampleKeys(),
    limit: PositiveInt = 200,
    max_length: int | None = None,
    dtype: Dtype = "float32",
    chat_template: str = "auto",
    json: bool = False,
) -> int:
    """Check a reward model in a minute, without training: is it read and scored as it was made to be, and does it fit?

    What frft reads and computes is compared with the model's own tokenizer and forward pass, alone and in batches.
    The verdict is `fit`, `fit with remarks`, or `not fit`. Exit status: 0 fit, with remarks or without; 1 not fit, or
    it cannot be loaded; 2 the request or the data is wrong.

    Parameters
    ----------
    model
        The reward model: a folder, or a name.
    pairs
        Labelled preference pairs: for accuracy, ties, and what the length of a completion does.
    samples
        Completions of my policy, preferably two or more for each prompt: for the spread of their scores.
    against
        Another folder of the same model: how far are its scores, and what differs?
    reading
        How to read the pairs; --split and --max-rejected apply to the samples, too.
    keys
        How to read the samples.
    limit
        Score at most so many pairs (the first), and so many samples (all of the first prompts').
    max_length
        Longest sequence in tokens; default: what the model and its tokenizer say.
    dtype
        Number format to compute the scores in; auto: the one that the model was saved in.
    chat_template
        How the model reads conversations: auto (what it was trained with, or its tokenizer's own chat template, else
        plain HH-RLHF text), plain, none (contents alone), or the path of a file with a template.
    json
        Print all figures as JSON.
    """
    from frft.cli.check_output import print_check
    from frft.cli.output import print_json
    from frft.diagnosis.fitness import findings_of, fit_verdict
    from frft.diagnosis.reward_check import measure_reward_model
    from frft.diagnosis.same_model import compare_models, findings_of_comparison
    from frft.progress import for_terminal

    if against is not None and Path(against).resolve() == Path(model).resolve():
        raise UsageError(f"--against is {against!r}, the model that is checked. Name another folder.")
    progress = for_terminal()
    pool = None if pairs is None else reading.load(pairs, progress)
    written = None if samples is None else keys.beside(reading).load(samples, progress)
    texts = None if written is None else (written.prompts, written.completions)

    def measure(name: str, choice: str) -> tuple[Measured, RewardModel]:
        scorer = load_scorer(name, max_length, choice, dtype=dtype)
        table = None if pool is None else pool.table
        trained = _trained_with(name)
        return measure_reward_model(name, scorer, trained, table, texts, limit=limit, progress=progress), scorer

    found, scorer = measure(model, chat_template)
    findings = findings_of(found)
    same = None
    if against is not None:
        # As it was made to be read: `--chat-template` is the first one's.
        other, other_scorer = measure(against, "auto")
        same = compare_models((found, other), (scorer, other_scorer))
        findings = sorted([*findings, *findings_of_comparison(same)], key=lambda each: not each.fault)
    verdict = fit_verdict(findings)
    if json:
        own = {"verdict": verdict, "findings": [vars(each) for each in findings], **found.as_dict()}
        print_json({**own, "against": None if same is None else same.as_dict()})
    else:
        print_check(verdict, findings, found, same)
    return 1 if verdict == "not fit" else 0


def _trained_with(name: str) -> str | None:
    """The chat template that a model's reward.json says it was trained with; None: there is no reward.json."""
    from frft.reward.reward_file import REWARD_FILE, read_reward_file

    file = Path(name) / REWARD_FILE
    return read_reward_file(file).chat_template if file.exists() else None
