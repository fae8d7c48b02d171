"""`frft reward train` and `frft reward eval` (`reward_score.py` has `frft reward score`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from frft.cli.pool import PoolOptions, Reading
from frft.cli.samples import SampleKeys, SamplesBesidePairs
from frft.config.sections import RewardModelConfig
from frft.errors import UnknownLengthError
from frft.models.loading import Dtype

if TYPE_CHECKING:
    from frft.reward import RewardModel

reward_app = App(name="reward", help="Train and evaluate reward models, and score completions by them.")


class TrainingConfig(RewardModelConfig):
    """The section `reward` of a run, with a model to start from: there is no SFT model here."""

    model_name_or_path: str
    """A sequence-classification model or a backbone (which gets a fresh head) by name or folder."""


@reward_app.command
def train(
    *,
    pairs: list[str],
    out: Path,
    config: Annotated[TrainingConfig, Parameter(name="*")],
    reading: Reading = PoolOptions(),
    keys: SamplesBesidePairs = SampleKeys(),
    samples: str | None = None,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Train a reward model on preference pairs (Bradley-Terry, by TRL).

    Parameters
    ----------
    pairs
        The preference pairs: files, folders, globs, or ids of data sets on the Hub.
    out
        Folder of the reward model; new or empty. It appears when the model is complete.
    config
        The model to start from, and settings of the training.
    reading
        How to read the pairs.
    keys
        How to read the samples.
    samples
        Rows of prompt and completion to normalise scores on (mean 0, variance 1), read with the same --split and
        --max-rejected; at most --normalise-samples of them are used.
    seed
        Random seed of the training and of a new head.
    json
        Print counts, losses and scale as JSON.
    """
    from dataclasses import asdict
    from tempfile import TemporaryDirectory

    from frft.cli.output import print_json, print_text
    from frft.cli.targets import check_new_folder, new_folder
    from frft.models import choose_threads, use_threads
    from frft.models.chat import template_digest
    from frft.models.loading import load_model_config
    from frft.progress import for_terminal
    from frft.reward import RewardModel, train_reward_model

    check_new_folder(out)
    progress = for_terminal()
    pool = reading.load(pairs, progress)
    written = None
    if samples is not None and config.normalise_samples:
        written = keys.beside(reading).load(samples, progress)
    base = RewardModel.load(
        config.model_name_or_path,
        seed=seed,
        max_length=config.train.max_length,
        chat_template=config.chat_template,
        reads=config.reads,
    )
    tokens = {
        "before": load_model_config(config.model_name_or_path).get_text_config().vocab_size,
        "after": base.model.config.get_text_config().vocab_size,
    }
    use_threads(choose_threads(base.parameters, None))
    with new_folder(out) as unfinished, TemporaryDirectory() as logs:
        model, report = train_reward_model(base, pool.table, config, seed=seed, workdir=Path(logs), progress=progress)
        if written is not None:
            most = slice(config.normalise_samples)
            model.normalise(written.prompts[most], written.completions[most], progress=progress)
        model.save(unfinished)
    grew = tokens["after"] > tokens["before"]
    if json:
        scale = {"gain": model.gain, "bias": model.bias, "scoring_truncated": model.truncated.as_dict()}
        template = {
            "chat_template": template_digest(model.tokenizer),
            "reads": model.reads,
            "head": asdict(base.head),
        }
        print_json({**report.as_dict(), **scale, **template, "vocabulary": tokens if grew else None})
        return
    print_text(f"Trained on {report.pairs} pairs in {report.steps} steps; loss {report.final_loss:.4f}. Wrote {out}")
    print_text(f"It reads {model.reading}.")
    if base.has_fresh_head:
        print_text("The model to start from had no head of one output. One was drawn at random, and trained.")
    else:
        print_text(f"The model to start from has {base.head.described}.")
    what = "those of the head" if config.freeze_backbone else "those of adapters and head" if config.lora else "all"
    print_text(f"Weights trained: {report.trained_parameters:,} ({what}).")
    if grew:
        print_text(
            f"The vocabulary grew from {tokens['before']} to {tokens['after']} tokens: the tokenizer has tokens that "
            "the model had no embeddings for. Whatever loads this model needs the tokenizer in its folder."
        )
    if report.identical:
        print_text(
            f"{report.identical} pairs left out: cut to {model.max_length} tokens, their two sides are the same."
        )
    for what, cut in (("training", report.truncated), ("normalisation", model.truncated)):
        print_text(cut.sentence(f"sequences for {what}", model.max_length))


@reward_app.command(name="eval")
def evaluate(
    *,
    model: str,
    pairs: list[str],
    reading: Reading = PoolOptions(),
    by: list[str] | None = None,
    max_length: int | None = None,
    dtype: Dtype = "float32",
    chat_template: str = "auto",
    json: bool = False,
) -> None:
    """Evaluate a reward model on preference pairs: accuracy, margins and calibration error.

    Parameters
    ----------
    model
        The reward model: a folder, or a name.
    pairs
        The preference pairs: files, folders, globs, or ids of data sets on the Hub.
    reading
        How to read the pairs.
    by
        Columns by whose values to evaluate as well; default: columns of sources and annotators.
    max_length
        Longest sequence in tokens, for a model that was not trained by frft.
    dtype
        Number format to compute the scores in; auto: the one that the model was saved in.
    chat_template
        How the model reads conversations: auto (what it was trained with, or its tokenizer's own chat template, else
        plain HH-RLHF text), plain, none (contents alone), or the path of a file with a template.
    json
        Print JSON.
    """
    from dataclasses import asdict

    from frft.cli.output import print_json, print_table, print_text
    from frft.models.chat import template_digest
    from frft.progress import for_terminal
    from frft.reward import evaluate_reward_model

    progress = for_terminal()
    pool = reading.load(pairs, progress)
    sources = [name for name in pool.table.column_names if name.endswith("source") or name == "annotator"]
    reward_model = load_scorer(model, max_length, chat_template, dtype=dtype)
    result = evaluate_reward_model(reward_model, pool.table, groups=sources if by is None else by, progress=progress)
    truncated = reward_model.truncated
    if json:
        template = {
            "chat_template": template_digest(reward_model.tokenizer),
            "reads": reward_model.reads,
            "head": asdict(reward_model.head),
        }
        print_json({**result.as_dict(), "truncated": truncated.as_dict(), "dtype": reward_model.dtype, **template})
        return
    groups = {("all", ""): result} | {
        (column, value): evaluation for column, values in result.by.items() for value, evaluation in values.items()
    }
    print_table(
        ("column", "value", "pairs", "ties", "accuracy", "95 %", "mean margin", "calibration error"),
        [
            (
                column,
                value,
                str(each.n),
                str(each.ties),
                f"{each.accuracy:.3f}",
                f"[{each.interval[0]:.3f}, {each.interval[1]:.3f}]",
                f"{each.mean_margin:+.3f}",
                f"{each.calibration_error:.3f}",
            )
            for (column, value), each in groups.items()
        ],
        texts=2,
    )
    if result.ties:
        print_text(f"{result.ties} of {result.n} pairs are ties (equal scores), which count one half.")
    print_text(f"Scores were computed in {reward_model.dtype}.")
    print_text(f"The model has {reward_model.head.described}.")
    print_text(f"It reads {reward_model.reading}.")
    print_text(truncated.sentence("sequences for evaluation", reward_model.max_length))


def load_scorer(
    name: str,
    max_length: int | None,
    chat_template: str = "auto",
    *,
    option: str = "--max-length",
    dtype: Dtype = "float32",
) -> RewardModel:
    """Load a trained reward model and set torch's number of threads for it; a model without a trained head is refused.

    Args:
        name: a folder, or a model's name.
        max_length: longest sequence in tokens; None: the one saved with the model.
        chat_template: how it reads conversations, as `RewardModel.load` takes it.
        option: name of the command's option for `max_length`, for errors.
        dtype: number format to compute the scores in.
    """
    from frft.models import choose_threads, use_threads
    from frft.reward import RewardModel

    try:
        model = RewardModel.load(
            name,
            seed=0,
            max_length=max_length,
            chat_template=chat_template,
            allow_fresh_head=False,
            dtype=dtype,
        )
    except UnknownLengthError as error:
        raise UnknownLengthError(f"{error} Here it is the option {option}.") from None
    use_threads(choose_threads(model.parameters, None))
    return model
