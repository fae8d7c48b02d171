"""One experiment in one folder: all arms, the comparison, and what is written about them.

OUT/config.yaml           the resolved configuration
OUT/results.json          every figure
OUT/metrics.jsonl         every PPO step of every arm
OUT/rejects.jsonl         rows of the data that could not be used, with the reason
OUT/arms/NAME/            completions.jsonl, selection-1.parquet, ..., and links: policy, reward_model
OUT/judge                 a link to the judge
OUT/stages/               what was computed, one folder for each stage; reused when the run is started again
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

from frft.config import RunConfig, dump_config
from frft.errors import OutputError
from frft.experiment.loop import Arm, run_arm
from frft.experiment.results import StageLog, assemble
from frft.experiment.splits import split
from frft.experiment.stages import METRICS, Stages
from frft.experiment.texts import COMPLETIONS
from frft.models.training import check_reporter
from frft.preferences import Pool, load_pool, load_prompts
from frft.progress import SILENT, Progress
from frft.reward import pairs_identity
from frft.reward.aligned import SELECTION_FILE
from frft.selection import WITHOUT_SIMILARITIES
from frft.store import MANIFEST, ArtifactStore, append_rows, atomic_write, read_json, read_rows, write_json

RUN_FILE = "run.json"
CONFIG_FILE = "config.yaml"
REJECTS_FILE = "rejects.jsonl"
RESULTS_FILE = "results.json"
OWN_FILES = {RUN_FILE, CONFIG_FILE, REJECTS_FILE, "stages", "embeddings"}
"""What may lie in a folder in which nothing was finished."""


def run(config: RunConfig, out: Path, progress: Progress = SILENT) -> dict[str, Any]:
    """Run an experiment, or go on with one that was stopped, and return what stands in `results.json`.

    Args:
        config: the experiment.
        out: its folder; empty, new, or that of the same experiment.
        progress: told of everything that takes long.

    Raises:
        OutputError: `out` holds something else, or cannot be written.
        DataError: the preference data cannot be used.
        FrftError: whatever a stage raises; finished stages stay, and the next start goes on after them.
    """
    started = time.monotonic()
    log = StageLog(progress)
    pool, stages = prepare(config, out, ArtifactStore(out / "stages", log.note), progress)
    _claim(out, config, pool)
    arms, evaluations = [], {}
    # Vanilla first: all others are compared with it.
    for name in sorted(config.arms, key=lambda name: name != "vanilla"):
        progress.say(f"— arm {name}")
        arm = run_arm(stages, name)
        arms.append(arm)
        evaluations[name] = stages.evaluation(arm.policy, arms[0].policy)
        _show(out, stages, arm)
    _write_metrics(out, arms)
    _link(out / "judge", stages.judge.path)
    results = assemble(config, pool, stages, arms, evaluations, log, time.monotonic() - started)
    write_json(out / RESULTS_FILE, results)
    return results


def prepare(config: RunConfig, out: Path, store: ArtifactStore, progress: Progress) -> tuple[Pool, Stages]:
    """Check what can be checked in seconds, read the data, deal out its rows, and make the stages over them.

    Nothing is written but the rejected rows, and those only where `out` exists.

    Raises:
        OutputError: `out` holds something else.
        DataError: the preference data cannot be used.
        ModelError: the embedder is needed and not to be had.
        UsageError: the package for `report_to` is not installed.
    """
    check_reporter(config.report_to)
    data = config.data
    pool = load_pool(
        data.pairs,
        split=data.split,
        prompt_key=data.prompt_key,
        chosen_key=data.chosen_key,
        rejected_key=data.rejected_key,
        max_rejected=data.max_rejected,
        limit=data.limit,
        seed=config.seed,
        rejects_path=out / REJECTS_FILE if out.is_dir() else None,
        progress=progress,
    )
    check_folder(out, config, pool)
    prompts = load_prompts(config.evaluation.prompts) if config.evaluation.prompts else None
    stages = Stages(config, split(pool.table, data, config.seed), store, out / "embeddings", progress, prompts)
    arms = [config.arm(name) for name in config.arms]
    if any(arm.alpha and arm.selection.strategy not in WITHOUT_SIMILARITIES for arm in arms):
        # Finding out after an hour that there is no embedder would be late.
        _ = stages.vectors.embedder.digest
    return pool, stages


def check_folder(out: Path, config: RunConfig, pool: Pool) -> None:
    """Raise `OutputError` unless `out` is new, empty, or the folder of this very experiment.

    A folder in which no stage was finished is as good as empty: a mistake in the first try must not lock it.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise OutputError(f"--out {out} is a file. Name a folder.")
    if {path.name for path in out.iterdir()} <= OWN_FILES and not any(out.glob(f"stages/*/{MANIFEST}")):
        return
    if not (out / RUN_FILE).exists():
        raise OutputError(f"--out {out} is not empty and holds no run. Name a new folder.")
    there = read_json(out / RUN_FILE)
    differences = _differences(there["config"], _settings(config))
    if there["pairs"] != pairs_identity(pool.table):
        differences.append("the preference pairs are others")
    if differences:
        shown = "; ".join(differences[:5]) + (f"; and {len(differences) - 5} more" if len(differences) > 5 else "")
        raise OutputError(
            f"--out {out} holds a run of another configuration ({shown}). Name a new folder, or repeat the old "
            f"settings (they are in {out / CONFIG_FILE}) to go on with it."
        )


def _claim(out: Path, config: RunConfig, pool: Pool) -> None:
    """Make `out` the folder of this experiment."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / RUN_FILE, {"config": _settings(config), "pairs": pairs_identity(pool.table)})
        with atomic_write(out / CONFIG_FILE) as file:
            file.write(dump_config(config).encode())
    except OSError as error:
        raise OutputError(f"--out {out} cannot be written: {error.strerror}. Name another folder.") from error


def _settings(config: RunConfig) -> dict[str, Any]:
    """The configuration without where the pairs lie: the same pairs from another folder are the same run."""
    return config.model_dump(exclude={"data": {"pairs"}})


def _differences(old: Any, new: Any, key: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            line
            for name in dict.fromkeys([*old, *new])
            for line in _differences(old.get(name), new.get(name), f"{key}.{name}".lstrip("."))
        ]
    return [] if old == new else [f"{key}: {old!r} there, {new!r} now"]


def _show(out: Path, stages: Stages, arm: Arm) -> None:
    """Put what an arm made where a person looks for it."""
    folder = out / "arms" / arm.name
    folder.mkdir(parents=True, exist_ok=True)
    _link(folder / "policy", arm.policy.path / "policy")
    reward_model = arm.refreshes[-1].reward_model if arm.refreshes else stages.base_reward
    _link(folder / "reward_model", reward_model.path)
    _copy(stages.evaluation_completions(arm.policy).path / COMPLETIONS, folder / COMPLETIONS)
    for number, refresh in enumerate(arm.refreshes, start=1):
        _copy(refresh.selection.path / SELECTION_FILE, folder / f"selection-{number}.parquet")


def _write_metrics(out: Path, arms: list[Arm]) -> None:
    path = out / METRICS
    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    for arm in arms:
        for segment in arm.segments:
            append_rows(unfinished, [{"arm": arm.name, **row} for row in read_rows(segment.path / METRICS)])
    unfinished.replace(path)


def _copy(source: Path, target: Path) -> None:
    with atomic_write(target) as file, source.open("rb") as original:
        shutil.copyfileobj(original, file)


def _link(link: Path, target: Path) -> None:
    """A relative link, so that the folder of the run can be moved."""
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(target, link.parent))
