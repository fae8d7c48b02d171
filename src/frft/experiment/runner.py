"""One experiment in one folder: all arms, the comparison, and what is written about them.

OUT/config.yaml           the resolved configuration
OUT/results.json          every figure; and checksums of metrics.jsonl and of what lies in arms/
OUT/metrics.jsonl         every PPO step of every arm
OUT/training.svg          the same as a picture: reward, KL and, in a world, the gold reward over the steps
OUT/rejects.jsonl         rows of the data that could not be used, with the reason; if there are any
OUT/arms/NAME/            completions.jsonl, completions-2.jsonl (a second of each prompt), selection-1.parquet, ...,
                          and links: policy, reward_model
OUT/sft, OUT/judge        links to the SFT model and, where one was trained for it, to the judge
OUT/verdicts.jsonl        replies of a judge that is asked over the network (evaluation.judge): nothing is asked twice
OUT/stages/               what was computed, one folder for each stage; reused when the run is started again. Its files
                          are hard links to those of the store that runs share, where there is one
"""

from __future__ import annotations

import shutil
import time
from contextlib import nullcontext
from pathlib import Path

from frft.config import RunConfig
from frft.errors import LabelsPendingError, raise_pending
from frft.experiment.folder import launched_alone, link
from frft.experiment.loop import Arm, arm_names, run_arm
from frft.experiment.named_judges import try_judges
from frft.experiment.picture import draw_picture
from frft.experiment.plan import forecast
from frft.experiment.prepare import check_is_run, claim, place_for_rejects, prepare, remarks
from frft.experiment.processes import libraries_set_aside
from frft.experiment.results import StageLog, assemble
from frft.experiment.segment import METRICS
from frft.experiment.stages import Stages
from frft.experiment.texts import COMPLETIONS
from frft.experiment.workers import choose_workers, work_in_parallel
from frft.models import peers
from frft.progress import SILENT, Progress
from frft.results import RunResults, SeedsResults, Workers
from frft.results.run import MADE_ANEW
from frft.reward.refresh import SELECTION_FILE
from frft.store import (
    Artifact,
    ArtifactStore,
    Peers,
    append_rows,
    atomic_write,
    open_store,
    verify_listed,
    write_sealed,
)

RESULTS_FILE = "results.json"
SECOND = "completions-2.jsonl"
PICTURE_FILE = "training.svg"


def run(
    config: RunConfig, out: Path, progress: Progress = SILENT, *, store: str | Path | None = None
) -> RunResults | SeedsResults:
    """Run an experiment with its seed or with several (seeds.py), or go on with one that was stopped.

    Arguments and errors are those of `run_one`.

    Returns:
        The content of `results.json`: `RunResults`; with several seeds (config.seeds), `SeedsResults`.
    """
    if config.seeds is None:
        return run_one(config, out, progress, store=store)
    from frft.experiment.seeds import run_seeds

    return run_seeds(config, out, progress, store=store)


def run_one(
    config: RunConfig, out: Path, progress: Progress = SILENT, *, store: str | Path | None = None
) -> RunResults:
    """Run an experiment, or go on with one that was stopped, and return the content of `results.json`.

    Launched as several processes (torchrun, accelerate launch), all of them call this: they train policies together,
    one of them makes whatever else there is, and the main one writes. A script that calls it by itself needs the usual
    `if __name__ == "__main__":`, because it may start worker processes.

    Args:
        config: the experiment.
        out: its folder; empty, new, or that of the same experiment.
        progress: told of everything that takes long.
        store: folder of the store that runs share (docs/store.md), or "none"; None: the environment variable
            FRFT_STORE, or else a folder in the user's cache.

    Raises:
        OutputError: `out` holds something else, another launcher is at work there, or it or the store cannot be
            written.
        DataError: the preference data cannot be used.
        UsageError: `workers` were asked for under a launcher.
        FrftError: whatever a stage raises; finished stages stay, and the next start goes on after them.
    """
    together = peers()
    # Before the lock, so that nothing is written to a folder of something else.
    check_is_run(out)
    with launched_alone(out, together, progress):
        return _run(config, out, progress, store, together)


def _run(config: RunConfig, out: Path, progress: Progress, store: str | Path | None, together: Peers) -> RunResults:
    started = time.monotonic()
    log = StageLog(progress)
    shared = open_store(store, progress.say)
    artifacts = ArtifactStore(out / "stages", log.note, log.waits, shared)
    with place_for_rejects(out) if together.is_main else nullcontext() as rejects:
        rows, stages = prepare(
            config, out, artifacts, progress, peers=together, checks=together.is_main, rejects_path=rejects
        )
    if together.is_main:
        claim(out, config, rows)
    for remark in remarks(config, rows):
        progress.say(remark)
    planned = forecast(stages)
    log.planned = {stage.name: stage for stage in planned}
    # A barrier: no process builds before the main one has checked the folder, or before all have planned the same.
    together.agree(None)
    if together.is_main and not all(stage.done or stage.stored for stage in planned):
        try_judges(stages)
    workers = choose_workers(stages, planned)
    if workers.count > 1:
        progress.say(f"{workers.count} worker processes: {workers.reason}")
        work_in_parallel(config, out, workers.count, progress, shared)
        log.told = True
    # Where workers build, or nothing is left to build, importing all libraries here would only take time.
    builds = workers.count == 1 and not all(stage.done or stage.stored for stage in planned)
    with libraries_set_aside() if builds else nullcontext():
        arms, evaluations, start = _walk(stages, out, workers, progress, together)
    results = assemble(config, rows, stages, start, arms, evaluations, log, workers, time.monotonic() - started)
    if together.is_main:
        _write_metrics(out, results)
        link(out / "sft", stages.sft.path)
        if isinstance(stages.judge.identity, Artifact):
            link(out / "judge", stages.judge.identity.path)
        write_sealed(out / RESULTS_FILE, results.as_dict(), _shown(out, results))
        with atomic_write(out / PICTURE_FILE) as file:
            file.write(draw_picture(results).encode())
    return results


def _walk(
    stages: Stages, out: Path, workers: Workers, progress: Progress, together: Peers
) -> tuple[list[Arm], dict[str, Artifact], Artifact]:
    """Train and evaluate all arms: the arms, their evaluations by name, and the evaluation of the SFT model.

    After worker processes, every stage is found finished, and this only reads them.

    Raises:
        LabelsPendingError: arms wait for labels; all others are finished first.
    """
    arms: list[Arm] = []
    waiting: list[LabelsPendingError] = []
    evaluations: dict[str, Artifact] = {}
    for name in arm_names(stages.config):
        if workers.count == 1:
            progress.say(f"— arm {name}")
        try:
            arm = run_arm(stages, name)
        except LabelsPendingError as error:
            progress.say(f"  {name} waits for labels")
            waiting.append(error)
            continue
        arms.append(arm)
        evaluations[name] = stages.evaluation(arm.policy, arms[0].policy, arm.reward)
        # The first arm's reward model scores once more below, for the SFT model's evaluation; others free memory.
        if arm is not arms[0]:
            arm.reward.unload()
        if together.is_main:
            _show(out, stages, arm)
    raise_pending(waiting)
    return arms, evaluations, stages.evaluation(stages.sft, arms[0].policy, arms[0].reward)


def _show(out: Path, stages: Stages, arm: Arm) -> None:
    """Fill OUT/arms/NAME: links to policy and reward model, copies of completions and selections."""
    folder = out / "arms" / arm.name
    folder.mkdir(parents=True, exist_ok=True)
    link(folder / "policy", arm.policy.path / "policy")
    accepted = [refresh.reward_model for refresh in arm.refreshes if refresh.accepted]
    reward_model = accepted[-1] if accepted else stages.base_reward
    link(folder / "reward_model", reward_model.path)
    for written, name in zip(stages.evaluation_completions(arm.policy), (COMPLETIONS, SECOND), strict=True):
        _copy(written.path / COMPLETIONS, folder / name)
    for number, refresh in enumerate(arm.refreshes, start=1):
        _copy(refresh.selection.path / SELECTION_FILE, folder / f"selection-{number}.parquet")


def shown_selection(out: Path, arm: str, number: int) -> Path:
    """The file with the pairs that an arm's refresh selected, in OUT/arms; `number` counts its refreshes from 1.

    Raises:
        ArtifactError: the file is missing, or not the one that results.json was written with.
    """
    path = out / "arms" / arm / f"selection-{number}.parquet"
    verify_listed(out / RESULTS_FILE, path, remedy=MADE_ANEW)
    return path


def _write_metrics(out: Path, results: RunResults) -> None:
    """Write the metrics of every step of every arm, atomically: the file gets its name when all rows are in it."""
    path = out / METRICS
    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    for name, arm in results.arms.items():
        append_rows(unfinished, [{"arm": name, **row.as_dict()} for row in arm.ppo])
    unfinished.replace(path)


def _shown(out: Path, results: RunResults) -> list[Path]:
    """The copies of what stages hold, which results.json lists with their checksums."""
    arms = (path for name in results.arms for path in (out / "arms" / name).iterdir())
    return [out / METRICS, *(path for path in arms if path.is_file() and not path.is_symlink())]


def _copy(source: Path, target: Path) -> None:
    with atomic_write(target) as file, source.open("rb") as original:
        shutil.copyfileobj(original, file)
