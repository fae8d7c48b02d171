"""`frft reward train` and `frft reward eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from frft.config.model import RewardModelConfig
from frft.errors import OutputError, UsageError

reward = App(name="reward", help="Train and evaluate reward models.")


@reward.command
def train(
    *,
    pairs: list[str],
    out: Path,
    config: Annotated[RewardModelConfig, Parameter(name="*")] = RewardModelConfig(),
    samples: str | None = None,
    seed: int = 0,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Train a reward model on preference pairs (Bradley-Terry, by TRL).

    Parameters
    ----------
    pairs
        The preference pairs: files, folders, globs, or ids of data sets on the Hub.
    out
        Folder of the reward model; new or empty.
    config
        What to start from and how to train.
    samples
        Rows of prompt and completion to normalise scores on (mean 0, variance 1); at most --normalise-samples of them.
    seed
        Of everything random.
    json
        Print what happened as JSON.
    """
    from frft.cli.output import print_json
    from frft.models import choose_threads, use_threads
    from frft.preferences import load_pool, load_samples
    from frft.progress import for_terminal
    from frft.reward import RewardModel, train_reward_model

    if config.model_name_or_path is None:
        raise UsageError("Say what to start from: --model-name-or-path FOLDER_OR_NAME.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"--out {out} is not a new or empty folder.")
    progress = for_terminal()
    pool = load_pool(pairs, progress=progress)
    base = RewardModel.load(config.model_name_or_path, seed=seed, max_length=config.train.max_length)
    use_threads(choose_threads(base.parameters, None))
    model, report = train_reward_model(base, pool.table, config, seed=seed, workdir=out / "logs", progress=progress)
    if samples is not None and config.normalise_samples:
        written = load_samples(samples, progress=progress)
        most = slice(config.normalise_samples)
        model.normalise(written.prompts[most], written.completions[most], progress=progress)
    model.save(out)
    if json:
        print_json({**report.as_dict(), "gain": model.gain, "bias": model.bias})
    else:
        print(f"Trained on {report.pairs} pairs in {report.steps} steps; loss {report.final_loss:.4f}. Wrote {out}")


@reward.command(name="eval")
def evaluate(
    *,
    model: str,
    pairs: list[str],
    by: list[str] | None = None,
    max_length: int | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Say how well a reward model orders preference pairs, and how well it knows how well.

    Parameters
    ----------
    model
        The reward model: a folder, or a name.
    pairs
        The preference pairs: files, folders, globs, or ids of data sets on the Hub.
    by
        Columns to evaluate by as well; none: the columns that look like sources.
    max_length
        Longest sequence in tokens, for a model that was not trained by frft.
    json
        Print JSON.
    """
    from frft.cli.output import print_json, print_table
    from frft.models import choose_threads, use_threads
    from frft.preferences import load_pool
    from frft.progress import for_terminal
    from frft.reward import RewardModel, evaluate_reward_model

    progress = for_terminal()
    pool = load_pool(pairs, progress=progress)
    sources = [name for name in pool.table.column_names if name.endswith("source") or name == "annotator"]
    reward_model = RewardModel.load(model, seed=0, max_length=max_length, allow_fresh_head=False)
    use_threads(choose_threads(reward_model.parameters, None))
    result = evaluate_reward_model(reward_model, pool.table, groups=sources if by is None else by, progress=progress)
    truncated = reward_model.truncated
    if json:
        print_json({**result.as_dict(), "truncated": truncated.as_dict()})
        return
    groups = {("all", ""): result} | {
        (column, value): evaluation for column, values in result.by.items() for value, evaluation in values.items()
    }
    print_table(
        ("column", "value", "pairs", "accuracy", "95 %", "mean margin", "calibration error"),
        [
            (
                column,
                value,
                str(each.n),
                f"{each.accuracy:.3f}",
                f"[{each.interval[0]:.3f}, {each.interval[1]:.3f}]",
                f"{each.mean_margin:+.3f}",
                f"{each.calibration_error:.3f}",
            )
            for (column, value), each in groups.items()
        ],
        texts=2,
    )
    if truncated.prompts or truncated.completions:
        print(
            f"Of {truncated.sequences} sequences, {truncated.prompts} lost the beginning of their prompt and "
            f"{truncated.completions} the end of their completion (longer than {reward_model.max_length} tokens)."
        )
