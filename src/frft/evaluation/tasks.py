"""Scores of a model on tasks (MMLU, GSM8K, ...) by EleutherAI's lm-evaluation-harness; needs the extra `tasks`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from difflib import get_close_matches
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frft.errors import DataError, FrftError, ModelError, UsageError, printable
from frft.evaluation.task_scores import TaskRow, TaskScore, TaskScores
from frft.paths import did_you_mean
from frft.progress import SILENT, Progress

if TYPE_CHECKING:
    from lm_eval.api.group import Group
    from lm_eval.tasks import TaskManager
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BOOTSTRAP_DRAWS = 1000
"""Bootstrap draws for the standard error of a value that is no mean; the harness's 100,000 take minutes for an F1."""
_SHOWN_CHARACTERS = 300
HAVE_DATA = "A task's data must be on the Hub or in the local cache, and its YAML be whole."
LEAVE_OUT = "Leave out the task, or use another model."


def run_tasks(
    model: str | Path,
    tasks: Sequence[str],
    *,
    include_path: Path | None = None,
    limit: int | None = None,
    num_fewshot: int | None = None,
    batch_size: int = 8,
    trust_remote_code: bool = False,
    unsafe_code: bool = False,
    progress: Progress = SILENT,
) -> TaskScores:
    """Score a causal language model on tasks, by `lm_eval.simple_evaluate`.

    Prompts, few-shot examples, answers and metrics are the harness's, with its own seeds; the model gives plain
    continuations, in float32, without a chat template. A small model uses one CPU thread, as everywhere in frft.

    Args:
        model: folder or name of a model with safetensors weights.
        tasks: names of tasks, groups or tags of the harness, such as mmlu and gsm8k. Their data come from the Hub.
        include_path: a folder with your own tasks as the harness's YAML files, which override tasks of the same name.
            Python functions that they name are run.
        limit: use only this many documents of each task, the first ones; for tests. None: all.
        num_fewshot: number of examples before each question, except in tasks that are fixed to none; None: the tasks'
            own numbers.
        batch_size: sequences in a batch.
        trust_remote_code: run Python code that comes with the model.
        unsafe_code: allow tasks that run code written by the model (humaneval, ...) on this machine.
        progress: gets tasks with a request as their unit.

    Raises:
        UsageError: the extra is not installed, there is no such task, a task runs code without `unsafe_code`, or
            several processes were launched.
        DataError: a task's data cannot be loaded, or the task is broken.
        ModelError: the model cannot be loaded, or fails on a request.
    """
    if not tasks:
        raise UsageError("There are no tasks to run: name some, such as mmlu or gsm8k.")
    if (limit is not None and limit < 1) or (num_fewshot is not None and num_fewshot < 0) or batch_size < 1:
        raise UsageError(
            f"limit {limit}, num_fewshot {num_fewshot}, batch_size {batch_size}: they must be at least 1, 0 and 1."
        )
    lm_eval, version = _harness()
    from frft.evaluation.harness import HarnessModel
    from frft.models import choose_threads, process_count, quiet, seeded, use_threads

    if process_count() > 1:
        raise UsageError(f"{process_count()} processes were launched, and each would answer all questions. Start one.")
    progress.say(f"Loading {', '.join(tasks)}")
    with _hushed():
        groups, loose = _load_tasks(list(dict.fromkeys(tasks)), include_path, unsafe_code)
    policy, tokenizer = _load_model(model, trust_remote_code)
    use_threads(choose_threads(policy.num_parameters(), None))
    terminal = sys.stderr
    # The harness seeds the global random generators; `seeded` restores their states.
    with quiet(), seeded(0), _hushed(), _explained(ModelError, f"Cannot run the tasks on {model}", LEAVE_OUT):
        asked = HarnessModel(policy, tokenizer, batch_size, progress, terminal)
        results = lm_eval.simple_evaluate(
            model=asked,
            tasks=[*_roots(groups), *loose],
            # Without it, the harness would read its 14,000 task files again.
            task_manager=_manager(include_path),
            num_fewshot=num_fewshot,
            limit=limit,
            bootstrap_iters=BOOTSTRAP_DRAWS,
            confirm_run_unsafe_code=unsafe_code,
        )
    scores = _task_scores(results)
    for group in groups.values():
        scores |= _group_scores(results, group, scores)
    with_value = {task for task, _, _ in scores}
    return TaskScores(
        model=str(model),
        harness=version,
        asked=[
            *(name for root in _roots(groups) for name in _rows_of(root, with_value)),
            *(task.task_name for task in loose),
        ],
        scores=list(scores.values()),
        documents={
            task: list(dict.fromkeys(_key(sample, sample["prompt_hash"]) for sample in samples))
            for task, samples in results["samples"].items()
        },
        requests=asked.requests,
        truncated=asked.truncated,
    )


def check_tasks(models: Iterable[str | Path], *, trust_remote_code: bool = False) -> None:
    """Check that several models exist and the extra is installed, before the first one is scored for hours.

    Raises:
        UsageError: the extra is not installed.
        ModelError: a model or its tokenizer cannot be found.
    """
    from frft.models import load_tokenizer
    from frft.models.loading import load_model_config

    _harness()
    for model in models:
        load_model_config(model, trust_remote_code=trust_remote_code)
        load_tokenizer(model, trust_remote_code=trust_remote_code)


def _harness() -> tuple[Any, str]:
    try:
        import lm_eval
    except ImportError:
        raise UsageError("Tasks need the extra `tasks`: pip install 'frft[tasks]'.") from None
    from importlib.metadata import version

    return lm_eval, version("lm_eval")


def _load_model(name: str | Path, trust_remote_code: bool) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    import torch
    from transformers import AutoTokenizer

    from frft.models import load_causal_lm, load_tokenizer, quiet, tokenizer_source

    load_tokenizer(name, trust_remote_code=trust_remote_code)
    source = tokenizer_source(name)
    with quiet():
        # Without the padding token that `load_tokenizer` may add: it would get a share of every next-token probability.
        tokenizer = AutoTokenizer.from_pretrained(
            source.base, revision=source.revision, trust_remote_code=trust_remote_code
        )
    model = load_causal_lm(name, tokenizer, trust_remote_code=trust_remote_code)
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer


@lru_cache(maxsize=1)
def _manager(include_path: Path | None) -> TaskManager:
    """The index of all tasks; cached, since it takes seconds to make and is the same for every model."""
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=include_path)


def _load_tasks(
    names: Sequence[str], include_path: Path | None, unsafe_code: bool
) -> tuple[Mapping[str, Group], list[Any]]:
    """All groups by name, with their tasks, and the tasks that are in none of these groups."""
    if include_path is not None and not include_path.is_dir():
        there = did_you_mean(include_path, Path.is_dir)
        raise UsageError(f"{include_path} is no folder.{there} Name a folder that holds tasks as YAML files.")
    manager = _manager(include_path)
    index = manager.task_index
    for name in names:
        if name not in index:
            near = get_close_matches(name, index, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            also = "" if include_path is None else f", nor a readable one in {include_path}"
            raise UsageError(f"{name!r} is no task, group or tag of lm-evaluation-harness{also}.{hint}")
    if not unsafe_code:
        # Checked before loading, since the modules of such tasks download and run code when they are imported.
        _refuse_unsafe({name for name, config in _configs(names, index) if config.get("unsafe_code")})
    with _explained(DataError, f"Cannot load {', '.join(names)}", HAVE_DATA):
        loaded = manager.load(list(names))
    if not unsafe_code:
        _refuse_unsafe({name for name, task in loaded["tasks"].items() if getattr(task, "UNSAFE_CODE", False)})
    grouped = {task.task_name for group in loaded["groups"].values() for task in group.get_all_tasks()}
    return loaded["groups"], [task for name, task in loaded["tasks"].items() if name not in grouped]


def _refuse_unsafe(names: Iterable[str]) -> None:
    if unsafe := sorted(names):
        raise UsageError(
            f"Tasks that run code written by the model on this machine: {', '.join(unsafe)}. Allow it (--unsafe-code) "
            "where that can do no harm, or leave them out."
        )


def _configs(members: Iterable[Any], index: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and configuration, as written in YAML, of tasks, groups and tags, and of all their members."""
    for member in members:
        own = member if isinstance(member, dict) else {}
        name = str(own.get("group") or own.get("task") or member)
        entry = index.get(name)
        config = (None if entry is None else entry.cfg) or {}
        yield name, {**config, **own}
        if entry is not None and entry.kind.name == "TAG":
            yield from _configs(entry.tags, index)
        for inside in (config.get("task"), own.get("task")):
            yield from _configs(inside if isinstance(inside, list) else (), index)


def _roots(groups: Mapping[str, Group]) -> list[Group]:
    inner = {group.name for outer in groups.values() for group in outer.get_all_groups()}
    return [group for name, group in groups.items() if name not in inner]


def _rows_of(group: Group, with_value: set[str]) -> list[str]:
    """Names of the rows to report for a group: its own where it has a value, else those of its members."""
    if group.name in with_value:
        return [group.name]
    return [
        name
        for child in group
        for name in (_rows_of(child, with_value) if hasattr(child, "get_all_tasks") else [child.task_name])
    ]


def _task_scores(results: Mapping[str, Any]) -> dict[TaskRow, TaskScore]:
    """Every metric of every task, from the harness's results and its samples."""
    scores = {}
    for task, samples in results["samples"].items():
        for metric, filter_name in _metrics(results["results"][task]):
            answers = {
                _key(sample): sample[metric]
                for sample in samples
                if sample["filter"] == filter_name and metric in sample["metrics"]
            }
            plain = all(hasattr(value, "__float__") for value in answers.values())
            documents = {key: float(value) for key, value in answers.items()} if plain else None
            bounded = all(0 <= value <= 1 for value in (documents or {}).values())
            row = (task, metric, filter_name)
            scores[row] = _score(
                results["results"][task],
                row,
                documents,
                bounded=bounded,
                higher_is_better=results["higher_is_better"][task].get(metric),
                shots=results["n-shot"][task],
            )
    return scores


def _group_scores(
    results: Mapping[str, Any], group: Group, scores: Mapping[TaskRow, TaskScore]
) -> dict[TaskRow, TaskScore]:
    """Every metric that the harness aggregates over the tasks of a group."""
    found = {}
    by_size = {each.metric: each.weight_by_size for each in group.aggregate_metric_list or []}
    for metric, filter_name in _metrics(results["results"][group.name]):
        rows = [(task.task_name, metric, filter_name) for task in group.get_all_tasks()]
        parts = [scores[row] for row in rows if row in scores]
        sizes = [len(part.documents or ()) for part in parts]
        # Weighted by size, each document counts 1. Otherwise each task counts alike, so a document of a task with n
        # documents weighs (mean n) / n; the weights have mean 1 either way.
        weights = [1.0 if by_size[metric] else sum(sizes) / len(sizes) / max(size, 1) for size in sizes]
        documents = {
            f"{part.task}/{key}": weight * value
            for part, weight in zip(parts, weights, strict=True)
            for key, value in (part.documents or {}).items()
        }
        row = (group.name, metric, filter_name)
        # Taken from the tasks, since the harness's own figures of a group leave out groups within it.
        directions, shots = {part.higher_is_better for part in parts}, {part.shots for part in parts}
        found[row] = _score(
            results["results"][group.name],
            row,
            documents if all(sizes) else None,
            bounded=all(part.bounded for part in parts),
            higher_is_better=directions.pop() if len(directions) == 1 else None,
            shots=shots.pop() if len(shots) == 1 else None,
            heaviest=max(weights),
        )
    return found


def _metrics(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Metric and filter of each value among a task's figures, whose keys are `acc,none` and `acc_stderr,none`."""
    pairs = [(metric, filter_name) for metric, comma, filter_name in (key.rpartition(",") for key in figures) if comma]
    return [(metric, filter_name) for metric, filter_name in pairs if not metric.endswith("_stderr")]


def _score(figures: Mapping[str, Any], row: TaskRow, documents: Mapping[str, float] | None, **more: Any) -> TaskScore:
    import numpy as np

    _, metric, filter_name = row
    value, stderr = float(figures[f"{metric},{filter_name}"]), figures.get(f"{metric}_stderr,{filter_name}")
    # A task may aggregate its documents in any way (perplexity, F1); an interval is given only if it is their mean.
    if documents and not np.isclose(np.mean(list(documents.values())), value, rtol=1e-6, atol=1e-9):
        documents = None
    return TaskScore(
        *row,
        value=value,
        # The harness writes "N/A" where it has none.
        stderr=stderr if isinstance(stderr, float) and np.isfinite(stderr) else None,
        n=len(documents) if documents else figures["sample_len"],
        documents=documents or None,
        **more,
    )


def _key(sample: Mapping[str, Any], *more: str) -> str:
    """Key of a document within its task: its number and the hash of its content, and `more`."""
    return "/".join((str(sample["doc_id"]), sample["doc_hash"], *more))


@contextmanager
def _hushed() -> Iterator[None]:
    """Discard what the harness and the code of tasks print, which would disturb progress bars and JSON output."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        yield


@contextmanager
def _explained(kind: type[FrftError], what: str, advice: str) -> Iterator[None]:
    """Raise any exception of the harness or of a task's code as an error of this package, of the given kind."""
    try:
        yield
    except FrftError:
        raise
    except Exception as error:
        said = printable(str(error).strip().partition("\n")[0])[:_SHOWN_CHARACTERS].rstrip(".")
        raise kind(f"{what}: {type(error).__name__}: {said or 'no reason given'}. {advice}") from error
