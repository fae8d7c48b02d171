"""`frft eval tasks`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from frft.errors import UsageError

if TYPE_CHECKING:
    from frft.evaluation import TaskDifference, TaskScore, TaskScores


def tasks(
    *models: str,
    tasks: list[str],
    include_path: Path | None = None,
    limit: int | None = None,
    num_fewshot: int | None = None,
    batch_size: int = 8,
    trust_remote_code: bool = False,
    unsafe_code: bool = False,
    json: bool = False,
) -> None:
    """Evaluate models on benchmarks (MMLU, GSM8K, ...), and compare the later models with the first.

    By lm-evaluation-harness, the extra `tasks`. With two models or more, the others are compared with the first,
    document by document: name the model before a training first.

    Parameters
    ----------
    models
        Folders or names of language models, such as RUN/arms/NAME/policy.
    tasks
        Names of the harness's tasks, groups or tags, such as mmlu gsm8k. Their data come from the Hub.
    include_path
        A folder with tasks of your own, in the harness's YAML. Python functions that they name are executed.
    limit
        Use only this many documents of each task, the first ones: a quick check, not a result to report.
    num_fewshot
        Number of examples before each question; default: the task's own.
    batch_size
        Number of sequences per batch.
    trust_remote_code
        Execute Python code from a model's repository.
    unsafe_code
        Allow tasks that execute code written by the model on this machine.
    json
        Print JSON.
    """
    from frft.cli.output import print_json
    from frft.evaluation import check_tasks, compare_tasks, run_tasks
    from frft.progress import for_terminal
    from frft.statistics import holm

    if not models:
        raise UsageError("No model: give a folder or a name, or two to compare the second with the first.")
    if len(set(models)) < len(models):
        raise UsageError("A model is given twice; it would be compared with itself.")
    check_tasks(models, trust_remote_code=trust_remote_code)
    progress = for_terminal()
    scores = [
        run_tasks(
            model,
            tasks,
            include_path=include_path,
            limit=limit,
            num_fewshot=num_fewshot,
            batch_size=batch_size,
            trust_remote_code=trust_remote_code,
            unsafe_code=unsafe_code,
            progress=progress,
        )
        for model in models
    ]
    found = {
        (after.model, *difference.row): difference
        for after in scores[1:]
        for difference in compare_tasks(scores[0], after)
    }
    # Holm's correction counts the tasks and groups that were asked for, not the single tasks within a group.
    asked = {
        (after.model, *score.row): found[after.model, *score.row] for after in scores[1:] for score in after.headline
    }
    corrected = holm({key: each.p_value for key, each in asked.items() if each.p_value is not None})
    if json:
        print_json(
            {
                "models": [each.as_dict() for each in scores],
                "limit": limit,
                "differences": [
                    {
                        "model": key[0],
                        "baseline": scores[0].model,
                        "asked": key in asked,
                        **difference.as_dict(),
                        "p_holm": corrected.get(key),
                        "reading": difference.reading(corrected.get(key)),
                    }
                    for key, difference in found.items()
                ],
            }
        )
        return
    _print(scores, asked, corrected, limit)


TaskKey = tuple[str, str, str, str]


def _print(
    scores: Sequence[TaskScores],
    differences: Mapping[TaskKey, TaskDifference],
    corrected: Mapping[TaskKey, float],
    limit: int | None,
) -> None:
    from frft.cli.output import print_table, print_text

    print_table(
        ("model", "task", "metric", "shots", "documents", "value", "95 %"),
        [
            (
                each.model,
                score.task,
                _metric(score),
                "–" if score.shots is None else str(score.shots),
                str(score.n),
                f"{score.value:.4g}",
                _interval(score.interval, ".4g"),
            )
            for each in scores
            for score in each.headline
        ],
        texts=3,
    )
    if differences:
        print_table(
            ("after", "task", "metric", "reading", "difference, 95 %", "up / down", "p (Holm)"),
            [
                (
                    key[0],
                    each.task,
                    _metric(each),
                    each.reading(corrected.get(key)),
                    f"{each.difference:+.4f} {_interval(each.interval, '+.4f')}",
                    "–" if each.up is None else f"{each.up} / {each.down}",
                    f"{corrected[key]:.3g}" if key in corrected else "–",
                )
                for key, each in differences.items()
            ],
            texts=4,
        )
        print_text(
            f"Against {scores[0].model}, document by document; up / down: documents with a higher and a lower score. "
            "The reading is by p, corrected for the number of rows."
        )
    for each in scores:
        if each.truncated:
            print_text(
                f"{each.model}: {each.truncated} of {each.requests} requests lost the beginning of their text, longer "
                "than the model can read."
            )
    if limit is not None:
        print_text(f"Only the first {limit} documents of each task were used: do not report these scores as results.")


def _metric(score: TaskScore | TaskDifference) -> str:
    return score.metric if score.filter == "none" else f"{score.metric} ({score.filter})"


def _interval(interval: tuple[float, float] | None, form: str) -> str:
    return "–" if interval is None else f"[{interval[0]:{form}}, {interval[1]:{form}}]"
