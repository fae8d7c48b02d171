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
from frft.experiment.splits import Splits, split
from frft.experiment.stages import METRICS, Stages
from frft.experiment.texts import COMPLETIONS
from frft.models import load_tokenizer
from frft.preferences import Message, Pool, Render, load_pool, load_prompts
from frft.progress import SILENT, Progress
from frft.reward.aligned import SELECTION_FILE
from frft.store import ArtifactStore, append_rows, atomic_write, read_json, read_rows, write_json

RUN_FILE = "run.json"
RESULTS_FILE = "results.json"


def run(config: RunConfig, out: Path, progress: Progress = SILENT) -> dict[str, Any]:
    """Run an experiment, or go on with one that was stopped, and return what stands in `results.json`.

    Args:
        config: the experiment.
        out: its folder; empty, new, or that of the same experiment.
        progress: told of everything that takes long.

    Raises:
        OutputError: `out` holds something else.
        DataError: the preference data cannot be used.
        FrftError: whatever a stage raises; finished stages stay, and the next start goes on after them.
    """
    started = time.monotonic()
    claim(out, config)
    log = StageLog(progress)
    pool, stages = prepare(config, out, ArtifactStore(out / "stages", log.note), progress)
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
    """Read the data, deal out its rows, and make the stages over them.

    Raises:
        DataError: the preference data cannot be used.
    """
    data, render = config.data, _render(config)
    pool = load_pool(
        data.pairs,
        split=data.split,
        prompt_key=data.prompt_key,
        chosen_key=data.chosen_key,
        rejected_key=data.rejected_key,
        max_rejected=data.max_rejected,
        limit=data.limit,
        seed=config.seed,
        render=render,
        rejects_path=out / "rejects.jsonl" if out.exists() else None,
        progress=progress,
    )
    splits: Splits = split(pool.table, data, config.seed)
    prompts = config.evaluation.prompts and load_prompts(config.evaluation.prompts, render=render)
    return pool, Stages(config, splits, store, out / "embeddings", progress, prompts or None)


def claim(out: Path, config: RunConfig) -> None:
    """Make `out` the folder of this experiment.

    Raises:
        OutputError: it is the folder of another one, or of something that is none.
    """
    check_folder(out, config)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / RUN_FILE, {"config": config.model_dump()})
    with atomic_write(out / "config.yaml") as file:
        file.write(dump_config(config).encode())


def check_folder(out: Path, config: RunConfig) -> None:
    """Raise `OutputError` unless `out` is new, empty, or the folder of this very experiment."""
    if not out.exists():
        return
    if not out.is_dir():
        raise OutputError(f"--out {out} is a file. Name a folder.")
    if not any(out.iterdir()):
        return
    if not (out / RUN_FILE).exists():
        raise OutputError(f"--out {out} is not empty and holds no run. Name a new folder.")
    there = read_json(out / RUN_FILE)["config"]
    differences = _differences(there, config.model_dump())
    if differences:
        shown = "; ".join(differences[:5]) + (f"; and {len(differences) - 5} more" if len(differences) > 5 else "")
        raise OutputError(
            f"--out {out} holds a run of another configuration ({shown}). Name a new folder, or repeat the old "
            f"settings (they are in {out / 'config.yaml'}) to go on with it."
        )


def _differences(old: Any, new: Any, key: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            line
            for name in dict.fromkeys([*old, *new])
            for line in _differences(old.get(name), new.get(name), f"{key}.{name}".lstrip("."))
        ]
    return [] if old == new else [f"{key}: {old!r} there, {new!r} now"]


def _render(config: RunConfig) -> Render | None:
    """How message lists become text: by the policy tokenizer's chat template, or as plain dialogues."""
    name = config.policy.model_name_or_path
    if not config.data.chat_template or name is None:
        return None
    tokenizer = load_tokenizer(name, trust_remote_code=config.policy.trust_remote_code)

    def render(messages: list[Message]) -> str:
        text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return text

    return render


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
