"""Before the first stage: quick checks of configuration and folder, and the preference data with its splits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frft import __version__
from frft.config import RunConfig, dump_config
from frft.errors import ArtifactError, DataError, OutputError
from frft.evaluation.judge_names import unread_options
from frft.experiment.folder import EMBEDDINGS
from frft.experiment.named_judges import evaluation_judge, labelling_judges
from frft.experiment.splits import Splits, split, world_splits
from frft.experiment.stages import RunContext, Stages, check_reading
from frft.models.training import check_reporter
from frft.preferences import load_pool, load_prompts
from frft.progress import Progress
from frft.reward import pairs_identity
from frft.store import (
    ALONE,
    LAUNCHER_LOCK,
    MANIFEST,
    RESULTS_FORMAT,
    ArtifactStore,
    Peers,
    atomic_write,
    format_of,
    names_in,
    read_sealed,
    write_sealed,
)
from frft.strategies import get_strategy
from frft.worlds import World

RUN_FILE = "run.json"
_NEW_FOLDER = "Name a new folder, or restore the file from a copy."
CONFIG_FILE = "config.yaml"
REJECTS_FILE = "rejects.jsonl"
VERDICTS_FILE = "verdicts.jsonl"
LABELS_FOLDER = "labels"
OWN_FILES = {
    *(RUN_FILE, CONFIG_FILE, REJECTS_FILE, VERDICTS_FILE, f"{VERDICTS_FILE}.lock"),
    *(LAUNCHER_LOCK, LABELS_FOLDER, "stages", EMBEDDINGS),
}
"""Names in the folder of a run that has finished no stage: a folder with nothing else counts as unused."""
NO_OUTCOME: dict[str, Any] = {
    "data": {"pairs"},
    "evaluation": {"concurrency", "price"},
    "ppo": {"save_steps"},
    "workers": True,
}
"""Settings that do not affect the results, and so may change when a run is resumed. `data.pairs` is among them: the
file may have moved, and its content is compared by digest."""


@dataclass(frozen=True)
class RunRows:
    """The rows of a run.

    Attributes:
        splits: the preference pairs by purpose.
        identity: SHA-256 digest of the preference pairs.
        report: counts of rows read, used and rejected, JSON-able.
        evaluation_prompts: prompts to compare the policies on; None: the prompts of the held-out pairs.
        world: the world that the pairs come from; None: they were read from a file or dataset.
    """

    splits: Splits
    identity: str
    report: dict[str, Any]
    evaluation_prompts: Sequence[str] | None
    world: World | None = None


def prepare(
    config: RunConfig,
    out: Path,
    store: ArtifactStore,
    progress: Progress,
    *,
    peers: Peers = ALONE,
    checks: bool = True,
    rejects_path: Path | None = None,
) -> tuple[RunRows, Stages]:
    """Check what can be checked in seconds, read the pairs (or generate a world's), and make the stages over them.

    Nothing is written but the rejected rows.

    Args:
        config: the run.
        out: folder of the run.
        store: where artifacts are kept.
        progress: told of everything that takes long.
        peers: the processes that train policies together.
        checks: whether to check `out`; of several processes, one does.
        rejects_path: file for the rejected rows; None: they are not written.

    Raises:
        OutputError: `out` holds something else.
        DataError: the preference data cannot be used, or lacks a column that a strategy reads.
        ModelError: an embedder is needed and cannot be loaded.
        ChatTemplateError: a reward model is to read completions alone, and its chat template does not render them.
        UsageError: the package for `report_to` is not installed.
    """
    check_reporter(config.report_to)
    check_reading(config)
    if config.data.world is not None:
        rows = _of_a_world(World(config.data.world), config)
    else:
        rows = _of_pairs(config, rejects_path, progress)
    if checks:
        check_run_folder(out, config, rows.identity)
    context = RunContext(
        config,
        rows.splits,
        store,
        out / EMBEDDINGS,
        progress,
        rows.evaluation_prompts,
        peers,
        world=rows.world,
        # Its name and options are checked now, not after hours of training.
        named_judge=evaluation_judge(config, out / VERDICTS_FILE, progress),
        labelling_judges=labelling_judges(config, out / LABELS_FOLDER / VERDICTS_FILE, progress),
        labels_folder=out / LABELS_FOLDER,
    )
    arms = [config.arm(name) for name in config.arms]
    _check_columns(config, rows.splits.pool.column_names)
    looks = config.monitor.every is not None and config.monitor.drift
    if looks or any(arm.alpha and (arm.gate or arm.embeds) for arm in arms):
        # Loads the embedder: a missing one is an error now, not at the first refresh.
        _ = context.vectors.embedder.digest
    return rows, Stages(context)


def _check_columns(config: RunConfig, columns: Sequence[str]) -> None:
    """Raise `DataError` if a strategy or an audit reads a column that the pairs lack; now, not at the first refresh."""
    for name in config.arms:
        arm = config.arm(name)
        strategy = get_strategy(arm.selection.strategy)
        audited = [arm.fresh.audit_by] if arm.fresh is not None and arm.fresh.audit_by else []
        if arm.alpha and audited and audited[0] not in columns:
            raise DataError(
                f"arms.{name}: labels.audit_by: the pairs have no column {audited[0]!r}. They have "
                f"{', '.join(columns)}. Name one of these, or leave audit_by out."
            )
        missing = [column for column in arm.selection.columns if arm.alpha and column not in columns]
        if missing:
            raise DataError(
                f"arms.{name}: the strategy {strategy.name} reads the column {missing[0]!r}, which the pairs do not "
                f"have. They have {', '.join(columns)}. Give pairs with that column, or another selection.strategy."
            )


def remarks(config: RunConfig, rows: RunRows) -> list[str]:
    """Remarks before a run, one a line: settings that nothing reads, and refreshes that would take the whole pool."""
    lines = []
    unread, judge = config.unread(), config.evaluation.judge
    if judge is not None:
        options = unread_options(judge, config.evaluation, setting="evaluation.judge")
        unread += [f"evaluation.{name}" for name in options]
    if unread:
        where = " in a world" if rows.world else ""
        lines.append(f"These settings have no effect on a run by {config.algorithm}{where}: {', '.join(unread)}")
    if judge is not None and rows.splits.judge.num_rows and not config.trains_judge:
        lines.append(
            f"{judge} judges, so the {rows.splits.judge.num_rows} pairs of data.judge_fraction are not used. They are "
            "set aside all the same: all other rows, and so the stages, are those of a run with a trained judge"
        )
    pairs = rows.splits.pool.num_rows
    for wanted, names in _selecting(config).items():
        if wanted >= pairs:
            lines.append(
                f"The pool has {pairs} pairs, and a refresh of {', '.join(names)} is to select {wanted} "
                "(refresh.selection.size and test_size). Rankings and random will take the whole pool, and filters all "
                "pairs that qualify, so that there is no control of equal size. Give more pairs, or select fewer"
            )
    prompts = len(rows.splits.prompts)
    for name in config.arms:
        arm = config.arm(name)
        if arm.alpha and arm.fresh is not None and arm.fresh.budget > prompts:
            lines.append(
                f"labels.budget of {name} is {arm.fresh.budget}, and the pool has {prompts} prompts. A refresh asks "
                "one question of a prompt, so it will ask for fewer labels. Give more pairs, or a smaller budget"
            )
        elif arm.alpha and arm.gate is not None and arm.gate.labels and arm.prompts_to_label > prompts:
            lines.append(
                f"gate.labels of {name} would look at the policy's texts to {arm.gate.prompts_to_label} prompts beside "
                f"those of labels.budget, and the pool has {prompts} prompts in all. So few may fail to show that a "
                "refreshed reward model is no worse, and it is then refused. Give more pairs, or raise gate.margin"
            )
    return lines


def _selecting(config: RunConfig) -> dict[int, list[str]]:
    """Names of the arms that select a part of the pool, by the number of pairs that they select."""
    arms: dict[int, list[str]] = {}
    for name in config.arms:
        arm = config.arm(name)
        # With `take: sample`, pairs are drawn with replacement: they may outnumber the pool.
        ranked = arm.selection.take == "top" and get_strategy(arm.selection.strategy).chooses
        if arm.alpha and ranked:
            arms.setdefault(arm.selection.places, []).append(name)
    return arms


def _of_pairs(config: RunConfig, rejects_path: Path | None, progress: Progress) -> RunRows:
    data = config.data
    assert data.pairs is not None
    pool = load_pool(
        data.pairs,
        split=data.split,
        prompt_key=data.prompt_key,
        chosen_key=data.chosen_key,
        rejected_key=data.rejected_key,
        max_rejected=data.max_rejected,
        limit=data.limit,
        seed=config.seed,
        rejects_path=rejects_path,
        progress=progress,
    )
    prompts = load_prompts(config.evaluation.prompts) if config.evaluation.prompts else None
    splits = split(pool.table, data, config.seed, gate=config.has_gate)
    return RunRows(splits, pairs_identity(pool.table), pool.report.as_dict(), prompts)


def _of_a_world(world: World, config: RunConfig) -> RunRows:
    data = config.data
    # Fractions of a whole of which the pool is what remains: judge / pool, to apply to the world's `pool_size`.
    share = data.judge_fraction / (1 - data.judge_fraction - data.evaluation_fraction)
    judge_pairs = round(share * world.config.pool_size) if config.trains_judge else 0
    if config.trains_judge and not judge_pairs:
        raise DataError(
            f"data.judge_fraction ({data.judge_fraction}) leaves no pairs for the judge beside a pool of "
            f"{world.config.pool_size}. Raise it, or set monitor.judge: gold."
        )
    splits = world_splits(world, judge_pairs, gate=config.has_gate)
    report = {"world": world.config.model_dump(), "read": 0, "made": splits.pool.num_rows}
    prompts = world.prompts(0, world.config.evaluation_prompts, "evaluation")
    return RunRows(splits, pairs_identity(splits.pool), report, prompts, world)


def check_run_folder(out: Path, config: RunConfig, identity: str) -> None:
    """Raise `OutputError` unless `out` is new, empty, or the folder of this very experiment.

    A folder in which no stage was finished counts as empty, so that a mistake in a first attempt does not block it.
    """
    check_is_run(out)
    if not out.exists() or _is_unused(out):
        return
    different = different_settings(out / RUN_FILE, config)
    if read_run(out / RUN_FILE)["pairs"] != identity:
        different.append("the preference pairs differ")
    if different:
        shown = "; ".join(different[:5]) + (f"; and {len(different) - 5} more" if len(different) > 5 else "")
        raise OutputError(
            f"--out {out} holds a run of another configuration ({shown}). Name a new folder, or repeat the old "
            f"settings (they are in {out / CONFIG_FILE}) to go on with it."
        )


def check_is_run(out: Path) -> None:
    """Raise `OutputError` unless `out` is new, empty, or the folder of a run."""
    try:
        is_there = out.exists()
    except OSError as error:  # a name that is too long, links in a circle
        raise _unwritable(out, error) from error
    if not is_there:
        return
    if not out.is_dir():
        raise OutputError(f"--out {out} is a file. Name a folder.")
    if not _is_unused(out) and not (out / RUN_FILE).exists():
        raise OutputError(f"--out {out} is not empty and holds no run. Name a new folder.")


def read_run(run_file: Path) -> dict[str, Any]:
    """The content of run.json (`config`, `pairs`, ...) of a run that this version can resume.

    Raises:
        OutputError: the run is of an older version.
        UsageError: it is of a newer one.
        ArtifactError: the file was edited.
    """
    number, found = run_format(run_file), read_sealed(run_file, _NEW_FOLDER)
    if number < RESULTS_FORMAT:
        folder, has = run_file.parent, f"format {number}" if number else "no format number"
        raise OutputError(
            f"--out {folder} holds a run of an older version of frft ({run_file.name} has {has}; this version writes "
            f"format {RESULTS_FORMAT}), which cannot be resumed: this version would make other stages. "
            f"Name a new folder to run it anew (its settings are in {folder / CONFIG_FILE}), or go on with the version "
            f"that started it. If it is finished, `frft diagnose {folder}` reads it."
        )
    return dict(found)


def run_format(run_file: Path) -> int:
    """The format number in a run's run.json; 0: it was written before there were format numbers.

    Raises:
        UsageError: the run is of a newer version.
        ArtifactError: the file was edited.
    """
    found = read_sealed(run_file, _NEW_FOLDER)
    if not found.keys() >= {"config", "pairs"}:
        raise ArtifactError(f"{run_file} lacks the keys config and pairs: it was edited. {_NEW_FOLDER}")
    return format_of(found, run_file)


def different_settings(run_file: Path, config: RunConfig) -> list[str]:
    """The settings in which the run of this file differs from `config`, one line each; empty: the same experiment.

    Raises what `read_run` raises.
    """
    found = differences(read_run(run_file)["config"], _settings(config))
    # Metrics may go to another tracker after a restart; results do not depend on it.
    return [line for line in found if not line.startswith("report_to:")]


@contextmanager
def place_for_rejects(out: Path) -> Iterator[Path | None]:
    """The file for rejected rows on the first start of a run; it and new folders are deleted if they stay empty.

    Yields None where an earlier start wrote the file, or where `out` holds something else (`check_run_folder` refuses
    it later).
    """
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    if not made and not (out.is_dir() and _is_unused(out)):
        yield None
        return
    _make(out)
    path = out / REJECTS_FILE
    try:
        yield path
    finally:
        if path.exists() and not path.stat().st_size:
            path.unlink()
        for folder in made:
            if not any(folder.iterdir()):
                folder.rmdir()


def claim(out: Path, config: RunConfig, rows: RunRows) -> None:
    """Make `out` the folder of this experiment: write run.json and config.yaml.

    Raises:
        OutputError: they cannot be written.
    """
    _make(out)
    try:
        made_from = {"config": _settings(config), "pairs": rows.identity}
        write_sealed(out / RUN_FILE, {"format": RESULTS_FORMAT, "frft": __version__, **made_from})
        with atomic_write(out / CONFIG_FILE) as file:
            file.write(dump_config(config).encode())
    except OSError as error:
        raise _unwritable(out, error) from error


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(out, error) from error


def _unwritable(out: Path, error: OSError) -> OutputError:
    return OutputError(f"--out {out} cannot be written: {error.strerror}. Name another folder.")


def _is_unused(out: Path) -> bool:
    """Whether a folder is empty, or holds a run that has finished no stage."""
    return names_in(out) <= OWN_FILES and not any(out.glob(f"stages/*/{MANIFEST}"))


def _settings(config: RunConfig) -> dict[str, Any]:
    return config.model_dump(exclude=NO_OUTCOME)


def differences(old: Any, new: Any, key: str = "") -> list[str]:
    """The differences between two nested settings, one line each: "KEY: OLD there, NEW now"."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            line
            for name in dict.fromkeys([*old, *new])
            for line in differences(old.get(name), new.get(name), f"{key}.{name}".lstrip("."))
        ]
    return [] if old == new else [f"{key}: {old!r} there, {new!r} now"]
