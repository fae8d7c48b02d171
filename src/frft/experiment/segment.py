"""Train one segment of an arm (the steps from one cut to the next) in the folder of its artifact, and resume it.

metrics.jsonl, rollouts.jsonl   one row for each step, and one for each sampled sequence
policy/                         the policy at the end of the segment, a plain model folder
state/                          the rest of what the next segment resumes from (optimizers, critic, RNG state, ...)
checkpoint-STEP/                during training only: policy, state and counts after STEP steps; not in the artifact
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from frft.experiment.checkpoints import Checkpoints
from frft.experiment.texts import ROLLOUTS, append_rollout
from frft.models import TruncationCount
from frft.progress import Progress
from frft.results import SegmentInfo
from frft.store import Peers, append_rows, keep_rows, read_json, write_json

if TYPE_CHECKING:
    from frft.policy import PPOTrainer
    from frft.policy.online import GroupRollout, GroupTrainer
    from frft.policy.ppo import Rollout

METRICS = "metrics.jsonl"
STATE_FOLDER = "state"
COUNTS = "counts.json"
LOGS = "logs"


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
    if newest is not None:
        trainer.restore(newest)
        counted = read_json(newest / COUNTS)
    elif start is not None:
        trainer.restore(start / STATE_FOLDER)
        if reset_optimizer:
            # Only PPO's trainer has this method; configurations refuse `reset_optimizer` for the others.
            cast("PPOTrainer", trainer).reset_optimizer()
    else:
        # Above 0 only in PPO: configurations refuse `restart_policy` for the others.
        trainer.step_number = from_step
    begin = trainer.step_number
    if peers.is_main:
        _go_back(path, begin, newest)
    # The reward counts over its life, with earlier segments' texts: the segment's own count is the difference.
    scored_before = scored().as_dict()
    last: dict[str, Any] = {}

    def counts() -> dict[str, dict[str, int]]:
        new = {name: count - scored_before[name] for name, count in scored().as_dict().items()}
        found = {"rollouts_truncated": trainer.encoder.truncated.as_dict(), "scoring_truncated": _total(trainer, new)}
        return {part: {name: count + counted[part][name] for name, count in found[part].items()} for part in found}

    def save(folder: Path) -> None:
        trainer.save(folder)
        so_far = counts()
        if peers.is_main:
            write_json(folder / COUNTS, so_far)

    with progress.task(f"training the policy, steps {begin + 1} to {until_step}", until_step - begin) as task:

        def on_step(metrics: dict[str, Any], rollout: Rollout | GroupRollout) -> None:
            step = metrics["step"]
            last.update(metrics)
            if peers.is_main:
                append_rows(path / METRICS, [metrics])
                append_rollout(path, step, rollout)
            trainer.accelerator.log(metrics, step=step)
            # After the journals: a checkpoint must not be ahead of them. The last step ends in the artifact instead.
            if step < until_step:
                checkpoints.step_done(step, save)
            task.advance(1, f"score {metrics['score']:+.2f}, KL {metrics['kl_sft_k1']:.2f}")

        trainer.train(until_step, on_step)
    trainer.save(path / STATE_FOLDER)
    trainer.save_policy(path / "policy")
    return SegmentInfo.of({"last": last, **counts()}, path)


def _go_back(path: Path, step: int, checkpoint: Path | None) -> None:
    """Delete whatever a stopped call left beyond `step`: rows of later steps, and all but journals and `checkpoint`."""
    kept = {METRICS, ROLLOUTS, LOGS, *([checkpoint.name] if checkpoint else [])}
    for entry in path.iterdir():
        if entry.name not in kept:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for name in (METRICS, ROLLOUTS):
        keep_rows(path / name, lambda row: row["step"] <= step)


def _total(trainer: PPOTrainer | GroupTrainer, counts: dict[str, int]) -> dict[str, int]:
    """Sum of counts over all processes, each of which scores its share of the texts; all of them must call this."""
    import torch

    values = torch.tensor(list(counts.values()), device=trainer.accelerator.device)
    total = trainer.accelerator.reduce(values, "sum").tolist()
    return dict(zip(counts, total, strict=True))
