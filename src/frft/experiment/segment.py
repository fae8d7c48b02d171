"""Train one segment of an arm (the steps from one cut to the next) in the folder of its artifact, and resume it.

metrics.jsonl, rollouts.jsonl   one row for each step, and one for each sampled sequence
policy/                         the policy at the end of the segment, a plain model folder
state/                          the rest of what the next segment resumes from (optimizers, critic, RNG state, ...)
checkpoint-STEP/                during training only: the state after STEP steps, with counts of texts and the length
                                and digest of both journals; not in the artifact
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from frft.errors import ArtifactError
from frft.experiment.checkpoints import Checkpoints, saved_in
from frft.experiment.texts import ROLLOUTS, rollout_rows
from frft.models import TruncationCount
from frft.progress import Progress
from frft.results import RolloutRow, SegmentInfo, StepMetrics, read_rollouts, read_steps
from frft.stopping import saves_before_it_ends
from frft.store import MANIFEST, Journal, Peers, read_manifest, remove, rows_at

if TYPE_CHECKING:
    from frft.policy import PPOTrainer
    from frft.policy.online import GroupRollout, GroupTrainer
    from frft.policy.ppo import Rollout

METRICS = "metrics.jsonl"
STATE_FOLDER = "state"
LOGS = "logs"
_REMEDY = (
    "Delete {folder} and run the same command again: the steps of this stage are done again from the stage before it, "
    "with the same outcome."
)
"""What to do about a damaged journal; {folder} stands for the folder of the segment."""


def train_segment(
    path: Path,
    trainer: PPOTrainer | GroupTrainer,
    start: Path | None,
    until_step: int,
    *,
    from_step: int = 0,
    reset_optimizer: bool,
    scored: Callable[[], TruncationCount],
    save_steps: int | None,
    peers: Peers,
    progress: Progress,
) -> SegmentInfo:
    """Train until `until_step` steps are done; stopped at any step and called again, the outcome is the same.

    Args:
        path: the segment's folder; empty, or as an earlier call that was stopped has left it.
        trainer: a trainer at step 0; its state is restored here.
        start: folder of the segment before; None: the trainer's own models are trained, as it was made with them.
        until_step: number of steps completed at the end of the segment, counted from the start of the arm.
        from_step: where `start` is None, the number of steps that count as completed: more than 0 where a policy is
            trained from SFT again, with the prompts, random draws and learning rate of the steps from there on.
        reset_optimizer: start with new optimizer moments instead of those of the segment before.
        scored: returns the reward's truncation counts so far, in this process.
        save_steps: number of steps between checkpoints; None: see `Checkpoints`.
        peers: the processes that train together, all of which call this.
        progress: gets a task with a step as its unit.

    Returns:
        The metrics of the last step, and counts of texts cut in rollouts and in scoring, over all processes.
    """
    checkpoints = Checkpoints(path, save_steps, peers)
    newest = checkpoints.newest()
    counted = {"rollouts_truncated": TruncationCount().as_dict(), "scoring_truncated": TruncationCount().as_dict()}
    marks: dict[str, Any] = {}
    if newest is not None:
        along = trainer.restore(newest)
        counted, marks = along["counts"], along["journals"]
    elif start is not None:
        trainer.restore(start / STATE_FOLDER)
        if reset_optimizer:
            # Only PPO's trainer has this method; configurations refuse `reset_optimizer` for the others.
            cast("PPOTrainer", trainer).reset_optimizer()
    else:
        # Above 0 only in PPO: configurations refuse `restart_policy` for the others.
        trainer.step_number = from_step
    begin = trainer.step_number
    journals = _go_back(path, newest, marks) if peers.is_main else {}
    # The reward counts over its life, with earlier segments' texts: the segment's own count is the difference.
    scored_before = scored().as_dict()
    last: dict[str, Any] = {}

    def counts() -> dict[str, dict[str, int]]:
        new = {name: count - scored_before[name] for name, count in scored().as_dict().items()}
        found = {"rollouts_truncated": trainer.encoder.truncated.as_dict(), "scoring_truncated": _total(trainer, new)}
        return {part: {name: count + counted[part][name] for name, count in found[part].items()} for part in found}

    def save(folder: Path) -> None:
        so_far = counts()
        trainer.save(folder, {"counts": so_far, "journals": {name: each.mark() for name, each in journals.items()}})

    with progress.task(f"training the policy, steps {begin + 1} to {until_step}", until_step - begin) as task:

        def on_step(metrics: dict[str, Any], rollout: Rollout | GroupRollout) -> None:
            step = metrics["step"]
            last.update(metrics)
            if peers.is_main:
                journals[METRICS].append([metrics])
                journals[ROLLOUTS].append(rollout_rows(step, rollout))
            trainer.accelerator.log(metrics, step=step)
            # After the journals: a checkpoint must not be ahead of them. The last step ends in the artifact instead.
            if step < until_step:
                checkpoints.step_done(step, save)
            task.advance(1, f"score {metrics['score']:+.2f}, KL {metrics['kl_sft_k1']:.2f}")

        with saves_before_it_ends():
            trainer.train(until_step, on_step)
    for journal in journals.values():
        journal.verify(_REMEDY.format(folder=path))
    trainer.save(path / STATE_FOLDER)
    trainer.save_policy(path / "policy")
    return SegmentInfo.of({"last": last, **counts()}, path)


def _go_back(path: Path, checkpoint: Path | None, marks: dict[str, Any]) -> dict[str, Journal]:
    """Delete whatever a stopped call left beyond its checkpoint, and return the journals as they were then.

    Args:
        path: the folder of the segment.
        checkpoint: what is gone on from; None: the segment starts at its beginning, with empty journals.
        marks: of each journal, by its name, what the checkpoint says of it.
    """
    kept = {METRICS, ROLLOUTS, LOGS, *([checkpoint.name] if checkpoint else [])}
    for entry in path.iterdir():
        if entry.name not in kept:
            remove(entry)
    remedy = _REMEDY.format(folder=path)
    return {
        name: Journal.create(path / name) if checkpoint is None else Journal.resume(path / name, marks[name], remedy)
        for name in (METRICS, ROLLOUTS)
    }


def read_journals(path: Path) -> tuple[list[StepMetrics], list[RolloutRow]]:
    """The rows of both journals of a segment, finished or under way, which are verified as far as that can be.

    Those of a finished one by its manifest; of one under way, or stopped, the rows up to the last checkpoint by that.

    Raises:
        ArtifactError: a journal was damaged, edited, cut short or removed.
    """
    for checkpoint in reversed(saved_in(path)):
        try:
            along = read_manifest(checkpoint, fields={"along"}, remedy=_REMEDY)["along"]
        except ArtifactError:
            if not checkpoint.exists():
                continue  # the training saved a newer one at this moment, and the next diagnosis finds that
            raise
        for name, mark in along["journals"].items():
            _ = rows_at(path / name, mark, _REMEDY.format(folder=path))
        break
    if not any((path / name).exists() for name in (MANIFEST, METRICS, ROLLOUTS)):
        return [], []  # before its first step
    return read_steps(path / METRICS), read_rollouts(path / ROLLOUTS)


def _total(trainer: PPOTrainer | GroupTrainer, counts: dict[str, int]) -> dict[str, int]:
    """Sum of counts over all processes, each of which scores its share of the texts; all of them must call this."""
    import torch

    values = torch.tensor(list(counts.values()), device=trainer.accelerator.device)
    total = trainer.accelerator.reduce(values, "sum").tolist()
    return dict(zip(counts, total, strict=True))
