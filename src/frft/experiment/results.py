"""Assemble results.json: every figure of a finished experiment in one object."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator
from typing import Any

from frft import __version__
from frft.config import RunConfig
from frft.config.sections import RefreshConfig
from frft.evaluation import kept_replies
from frft.experiment.loop import Arm
from frft.experiment.plan import PlannedStage
from frft.experiment.prepare import RunRows
from frft.experiment.segment import METRICS
from frft.experiment.stages import Stages
from frft.experiment.texts import score_by_step
from frft.models import TruncationCount
from frft.progress import Progress, duration
from frft.results import (
    ArmFigures,
    DataFigures,
    EvaluationInfo,
    GoldJudgeFigures,
    JudgeFigures,
    JudgeReplies,
    LookInfo,
    MachineFigures,
    ModelChange,
    NamedJudgeFigures,
    OwnTextAccuracy,
    RefreshFigures,
    RunResults,
    SFTInfo,
    StageFigures,
    StepMetrics,
    TrainedJudgeFigures,
    Workers,
    read_steps,
)
from frft.reward import AuditInfo, LabelsInfo, Refresh, RefreshedModelInfo, RewardModelInfo, SelectionInfo
from frft.store import Artifact, peak_memory
from frft.worlds import World

TRUNCATION_COUNTS = ("sequences", "prompts_truncated", "completions_truncated")
"""Keys of a `TruncationCount` in what a stage reports, in the order of its fields."""
VERSIONED = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "sentence-transformers",
    "numpy",
    "pyarrow",
)
"""Packages whose versions results.json records."""


class StageLog:
    """Records every artifact that a run asks for: its folder, its time and memory, and whether it existed at the start.

    Attributes:
        entries: one for each artifact, in the order in which they were asked for.
        planned: the stages of the run's plan, by name; set before the first is asked for.
        told: whether worker processes have reported the stages that they built, so that this log does not again.
    """

    def __init__(self, progress: Progress) -> None:
        self.entries: list[StageFigures] = []
        self.planned: dict[str, PlannedStage] = {}
        self.told = False
        self._progress = progress

    def note(self, artifact: Artifact, _: bool) -> None:
        """Record an artifact; the store calls this once for each that is asked for."""
        name = artifact.path.name
        # The plan says what existed at the start. The store does not: a worker of this run may have built it just now.
        planned = self.planned.get(name)
        # Where looks decide about refreshes, a stage may not be in the plan; one of its kind takes as much memory.
        alike = planned or next(each for each in self.planned.values() if each.name.startswith(f"{artifact.kind}-"))
        was_there, was_stored = (False, False) if planned is None else (planned.done, planned.stored)
        self.entries.append(
            StageFigures(
                stage=name,
                kind=artifact.kind,
                seconds=artifact.seconds,
                reused=was_there or was_stored,
                from_store=was_stored,
                peak_memory_bytes=artifact.peak_memory,
                predicted_peak_memory_bytes=alike.memory,
                truncated=dict(_truncated(artifact.info)),
            )
        )
        if was_there or was_stored or not self.told:
            took = "was there" if was_there else "from the store" if was_stored else duration(artifact.seconds)
            self._progress.say(f"  {name}  {took}")

    def waits(self, name: str) -> None:
        """Report a wait; the store calls this before it waits for a stage that another process builds."""
        self._progress.say(f"  waiting for {name}, which another process builds")


def _truncated(info: Any, key: str = "") -> Iterator[tuple[str, TruncationCount]]:
    """All truncation counts in what a stage reports, each with its dotted key; `info` may nest them at any depth."""
    if isinstance(info, dict):
        if "prompts_truncated" in info:
            yield key or "prompts", TruncationCount(*(info[name] for name in TRUNCATION_COUNTS))
        for name, value in info.items():
            yield from _truncated(value, f"{key}.{name}".lstrip("."))


def assemble(
    config: RunConfig,
    rows: RunRows,
    stages: Stages,
    start: Artifact,
    arms: list[Arm],
    evaluations: dict[str, Artifact],
    log: StageLog,
    workers: Workers,
    seconds: float,
) -> RunResults:
    """All figures of a finished experiment. Peaks of memory are those of single processes.

    Args:
        config: the run.
        rows: its preference pairs.
        stages: its stages.
        start: the evaluation of the SFT model.
        arms: the trained arms.
        evaluations: the evaluations of the arms, by name.
        log: the record of its stages.
        workers: the number of worker processes, and why.
        seconds: wall-clock seconds since this start of the run.
    """
    counts = {
        "splits": stages.context.splits.counts(),
        "evaluation_prompts": stages.context.evaluation_prompt_counts,
    }
    return RunResults(
        frft=__version__,
        config=config.model_dump(mode="json"),
        data=DataFigures.of({**rows.report, **counts}, "What was read"),
        sft=stages.sft.info_as(SFTInfo),
        base_reward=stages.base_reward.info_as(RewardModelInfo),
        judge=_judge(stages),
        start=start.info_as(EvaluationInfo),
        start_stage=start.path.name,
        arms={arm.name: _arm(arm, config.arm(arm.name), evaluations[arm.name], rows.world) for arm in arms},
        stages=log.entries,
        seconds=round(sum(entry.seconds for entry in log.entries), 1),
        seconds_of_this_start=round(seconds, 1),
        peak_memory_bytes=max(peak_memory(), *(entry.peak_memory_bytes for entry in log.entries)),
        workers=workers,
        versions={name: importlib.metadata.version(name) for name in VERSIONED},
        machine=_machine(),
    )


def _judge(stages: Stages) -> JudgeFigures:
    """The judge that compared the arms; of one that is asked over the network, also its replies, tokens and cost."""
    judge, price = stages.judge, stages.config.evaluation.price
    if stages.context.named_judge is None:
        trained = judge.identity
        return trained.info_as(TrainedJudgeFigures) if isinstance(trained, Artifact) else GoldJudgeFigures()
    replies = None
    if judge.verdicts is not None and judge.verdicts.exists():
        replies = JudgeReplies(**kept_replies(judge.verdicts, price))
    return NamedJudgeFigures(judge.name, judge.scores, replies)


def _arm(arm: Arm, config: RefreshConfig, evaluation: Artifact, world: World | None) -> ArmFigures:
    return ArmFigures(
        when=config.when if config.alpha else None,
        evaluation=evaluation.info_as(EvaluationInfo),
        evaluation_stage=evaluation.path.name,
        refreshes=[
            _refresh(refresh, arm.refreshed_after[k], arm.changes[k] if arm.changes else None)
            for k, refresh in enumerate(arm.refreshes)
        ],
        ppo=[row for segment in arm.segments for row in _steps(segment, world)],
        refreshed_after=arm.refreshed_after,
        restarted_after=arm.restarted_after,
        references=0 if config.reward_shaping == "none" else config.references,
        stopped_after=arm.stopped_after,
        looks=[look.info_as(LookInfo) for look in arm.looks],
        stages=[segment.path.name for segment in arm.segments],
    )


def _refresh(refresh: Refresh, step: int, change: tuple[Artifact, Artifact] | None) -> RefreshFigures:
    return RefreshFigures(
        after_step=step,
        accepted=refresh.accepted,
        selection=refresh.selection.info_as(SelectionInfo),
        labels=None if refresh.labels is None else refresh.labels.info_as(LabelsInfo),
        audit=None if refresh.audit is None else refresh.audit.info_as(AuditInfo),
        reward_model=refresh.reward_model.info_as(RefreshedModelInfo),
        gate=refresh.verdict,
        on_policy=None if change is None else ModelChange(*(each.info_as(OwnTextAccuracy) for each in change)),
    )


def _steps(segment: Artifact, world: World | None) -> list[StepMetrics]:
    """The metrics of each step; in a world, with the mean gold reward of its rollouts, which training does not use."""
    steps = read_steps(segment.path / METRICS)
    if world is None:
        return steps
    gold = score_by_step(world.gold, segment.path)
    return [step.model_copy(update={"gold": gold[step.step]}) for step in steps]


def _machine() -> MachineFigures:
    import torch

    gpu = torch.cuda.is_available()
    return MachineFigures(
        python=platform.python_version(),
        platform=platform.platform(),
        cpus=os.cpu_count(),
        threads=None if gpu else torch.get_num_threads(),
        gpu=torch.cuda.get_device_name() if gpu else None,
        gpu_peak_memory_bytes=torch.cuda.max_memory_allocated() if gpu else None,
    )
