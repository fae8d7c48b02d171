"""Diagnose a run under way: the metrics of its steps so far, and its first and last rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from frft.config import load_config
from frft.diagnosis.diagnosis import diagnose
from frft.diagnosis.links import training_to_evaluation
from frft.diagnosis.subject import Scored, Subject
from frft.errors import UsageError
from frft.experiment.looks import course_of
from frft.experiment.loop import Arm
from frft.experiment.plan import planned_arms
from frft.experiment.prepare import CONFIG_FILE, prepare
from frft.experiment.run_diagnosis import RunDiagnosis
from frft.experiment.segment import read_journals
from frft.experiment.texts import means_by_step
from frft.progress import Progress
from frft.results import LookInfo, RolloutRow, StepMetrics
from frft.store import ArtifactStore
from frft.worlds import World

LAST_STEPS = 5
"""Number of last PPO steps whose rollouts stand for the current policy of a run that is not finished."""


def diagnose_unfinished(out: Path, progress: Progress) -> RunDiagnosis:
    """The diagnosis of a run that is not finished, from the journals of its segments."""
    config = load_config(str(out / CONFIG_FILE))
    world = None if config.data.world is None else World(config.data.world)
    arms, looks = [], {}
    for arm in planned_arms(prepare(config, out, ArtifactStore(out / "stages"), progress)[1]):
        steps, rollouts = _journals(arm)
        if not steps:
            continue
        judged = None if world is None else means_by_step(rollouts, world.gold)
        last = [row for row in rollouts if row.step > steps[-1].step - LAST_STEPS]
        penalty = config.ppo.missing_eos_penalty
        subject = Subject(
            arm.name,
            after=_rollouts(last, world),
            # The first step's rollouts are sampled before its update: they are the policy's before training.
            before=_rollouts([row for row in rollouts if row.step == steps[0].step], world),
            replaced=penalty is not None and any(np.float32(row.score) == np.float32(penalty) for row in last),
            course=course_of(steps, judged),
            unmeasured=["the reward model itself: the run is under way"],
        )
        arms.append(diagnose(subject))
        looks[arm.name] = [look.info_as(LookInfo) for look in arm.looks if look.info]
    if not arms:
        if any(out.glob(f"stages/{config.algorithm}-*")):
            raise UsageError(
                f"{out} was started with another state of frft's code, which gives stages other names. Diagnose it "
                "with the code that it was started with, or start it again."
            )
        raise UsageError(f"{out} has not begun to train a policy; there is nothing to diagnose yet.")
    return RunDiagnosis(False, arms, training_to_evaluation([], []), looks)


def _journals(arm: Arm) -> tuple[list[StepMetrics], list[RolloutRow]]:
    """Steps and rollouts of an arm since its last accepted refresh: those that its current reward model scored."""
    folders = [
        folder
        for segment in arm.segments
        for folder in (segment.path, segment.path.with_name(f"{segment.path.name}.unfinished"))
        if folder.is_dir()
    ]
    read = [read_journals(folder) for folder in folders]
    steps, rollouts = [row for each, _ in read for row in each], [row for _, each in read for row in each]
    # A running or killed process may have written a step to one journal and not yet to the other.
    done = {row.step for row in steps} & {row.step for row in rollouts}
    # Without strictness: an arm that is refreshed without data has steps here, but no refresh of its reward model.
    accepted = [step for step, made in zip(arm.refreshed_after, arm.refreshes, strict=False) if made.accepted]
    begin = max((step for step in (*accepted, *arm.restarted_after) if step < max(done, default=0)), default=0)
    return (
        [row for row in steps if row.step in done and row.step > begin],
        [row for row in rollouts if row.step in done and row.step > begin],
    )


def _rollouts(rows: Sequence[RolloutRow], world: World | None) -> Scored:
    prompts, completions = [row.prompt for row in rows], [row.completion for row in rows]
    gold = None if world is None else world.gold(prompts, completions)
    return Scored(prompts, completions, np.array([row.score for row in rows], dtype=np.float64), gold)
