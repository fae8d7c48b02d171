"""What an experiment found: every figure in one JSON object."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from frft import __version__
from frft.config import RunConfig
from frft.config.sections import RefreshConfig
from frft.experiment.loop import Arm
from frft.experiment.plan import PlannedStage
from frft.experiment.prepare import RunRows
from frft.experiment.segment import METRICS
from frft.experiment.stages import Stages
from frft.experiment.texts import score_by_step
from frft.experiment.workers import Workers
from frft.progress import Progress, duration
from frft.reward import Refresh
from frft.store import Artifact, peak_memory, read_rows
from frft.worlds import World

TRUNCATION_COUNTS = ("sequences", "prompts_truncated", "completions_truncated")
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


class StageLog:
    """Notes every artifact that a run asks for: where it lies, how long it took, whether it was there at the start.

    Attributes:
        entries: one for each artifact, in the order in which they were asked for.
        planned: the stages of the run by name; set before the first is asked for.
        told: whether others tell of what is built.
    """

    def __init__(self, progress: Progress) -> None:
        self.entries: list[dict[str, Any]] = []
        self.planned: dict[str, PlannedStage] = {}
        self.told = False
        self._progress = progress

    def note(self, artifact: Artifact, _: bool) -> None:
        """Called by the store for each artifact."""
        name = artifact.path.name
        # Not what the store says: another process of this run may have built it just now.
        planned = self.planned.get(name)
        # Where looks decide, a plan does not know what comes, but what kind of it.
        alike = planned or next(each for each in self.planned.values() if each.name.startswith(f"{artifact.kind}-"))
        was_there, was_stored = (False, False) if planned is None else (planned.done, planned.stored)
        self.entries.append(
            {
                "stage": name,
                "kind": artifact.kind,
                "seconds": artifact.seconds,
                "reused": was_there or was_stored,
                "from_store": was_stored,
                "peak_memory_bytes": artifact.peak_memory,
                "predicted_peak_memory_bytes": alike.memory,
                "truncated": dict(_truncated(artifact.info)),
            }
        )
        if was_there or was_stored or not self.told:
            took = "was there" if was_there else "from the store" if was_stored else duration(artifact.seconds)
            self._progress.say(f"  {name}  {took}")

    def waits(self, name: str) -> None:
        """Called by the store before it waits for another process."""
        self._progress.say(f"  waiting for {name}, which another process builds")


def _truncated(info: Any, key: str = "") -> Iterator[tuple[str, dict[str, int]]]:
    """All counts of cut texts in what a stage says of itself: where, and how many."""
    if isinstance(info, dict):
        if "prompts_truncated" in info:
            yield key or "prompts", {name: info[name] for name in TRUNCATION_COUNTS}
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
) -> dict[str, Any]:
    """All figures of a finished experiment, JSON-able. Peaks of memory are those of single processes.

    Args:
        start: the evaluation of the SFT model.
        evaluations: those of the arms, by name.
    """
    return {
        "frft": __version__,
        "config": config.model_dump(),
        "data": {
            **rows.report,
            "splits": stages.context.splits.counts(),
            "evaluation_prompts": stages.context.evaluation_prompt_counts,
        },
        "sft": stages.sft.info,
        "base_reward": stages.base_reward.info,
        "judge": {"kind": "gold"} if stages.judge is None else {"kind": "reward_model", **stages.judge.info},
        "start": start.info,
        "start_stage": start.path.name,
        "arms": {arm.name: _arm(arm, config.arm(arm.name), evaluations[arm.name], rows.world) for arm in arms},
        "stages": log.entries,
        "seconds": round(sum(entry["seconds"] for entry in log.entries), 1),
        "seconds_of_this_start": round(seconds, 1),
        "peak_memory_bytes": max(peak_memory(), *(entry["peak_memory_bytes"] for entry in log.entries)),
        "workers": asdict(workers),
        "versions": {name: importlib.metadata.version(name) for name in VERSIONED},
        "machine": {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "cpus": os.cpu_count(),
            **_accelerator(),
        },
    }


def _arm(arm: Arm, config: RefreshConfig, evaluation: Artifact, world: World | None) -> dict[str, Any]:
    return {
        "when": config.when if config.alpha else None,
        "evaluation": evaluation.info,
        "evaluation_stage": evaluation.path.name,
        "refreshes": [
            _refresh(refresh, arm.refreshed_after[k], arm.changes[k] if arm.changes else None)
            for k, refresh in enumerate(arm.refreshes)
        ],
        "ppo": [row for segment in arm.segments for row in _steps(segment, world)],
        "refreshed_after": arm.refreshed_after,
        "stopped_after": arm.stopped_after,
        "looks": [look.info for look in arm.looks],
        "stages": [segment.path.name for segment in arm.segments],
    }


def _refresh(refresh: Refresh, step: int, change: tuple[Artifact, Artifact] | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "after_step": step,
        "accepted": refresh.accepted,
        "selection": refresh.selection.info,
        "reward_model": refresh.reward_model.info,
    }
    if refresh.gate is not None:
        found["gate"] = refresh.gate.info
    if change is not None:
        found["on_policy"] = {"before": change[0].info, "after": change[1].info}
    return found


def _steps(segment: Artifact, world: World | None) -> list[dict[str, Any]]:
    """The metrics of each step; in a world, with the mean gold reward of its rollouts, which no training saw."""
    steps = read_rows(segment.path / METRICS)
    if world is None:
        return steps
    gold = score_by_step(world.gold, segment.path)
    return [{**step, "gold": gold[step["step"]]} for step in steps]


def _accelerator() -> dict[str, Any]:
    import torch

    if not torch.cuda.is_available():
        return {"threads": torch.get_num_threads()}
    return {"gpu": torch.cuda.get_device_name(), "gpu_peak_memory_bytes": torch.cuda.max_memory_allocated()}
