"""What an experiment found: every figure in one JSON object, and the same as a few lines for a person."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from frft import __version__
from frft.config import RunConfig
from frft.experiment.loop import Arm
from frft.experiment.plan import PlannedStage
from frft.experiment.segment import METRICS
from frft.experiment.stages import Stages
from frft.experiment.workers import Workers
from frft.preferences import Pool
from frft.progress import Progress, duration
from frft.store import Artifact, peak_memory, read_rows

TRUNCATION_COUNTS = ("sequences", "prompts_truncated", "completions_truncated")
LIBRARIES = (
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
        planned = self.planned[name]
        self.entries.append(
            {
                "stage": name,
                "kind": artifact.kind,
                "seconds": artifact.seconds,
                "reused": planned.done,
                "peak_memory_bytes": artifact.peak_memory,
                "predicted_peak_memory_bytes": planned.memory,
                "truncated": dict(_truncated(artifact.info)),
            }
        )
        if planned.done or not self.told:
            self._progress.say(f"  {name}  {'was there' if planned.done else duration(artifact.seconds)}")

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
    pool: Pool,
    stages: Stages,
    arms: list[Arm],
    evaluations: dict[str, Artifact],
    log: StageLog,
    workers: Workers,
    seconds: float,
) -> dict[str, Any]:
    """All figures of a finished experiment, JSON-able. Peaks of memory are those of single processes."""
    return {
        "frft": __version__,
        "config": config.model_dump(),
        "data": {
            **pool.report.as_dict(),
            "splits": stages.splits.counts(),
            "evaluation_prompts": stages.evaluation_prompt_counts,
        },
        "sft": stages.sft.info,
        "base_reward": stages.base_reward.info,
        "judge": stages.judge.info,
        "arms": {arm.name: _arm(arm, evaluations[arm.name]) for arm in arms},
        "stages": log.entries,
        "seconds": round(sum(entry["seconds"] for entry in log.entries), 1),
        "seconds_of_this_start": round(seconds, 1),
        "peak_memory_bytes": max(peak_memory(), *(entry["peak_memory_bytes"] for entry in log.entries)),
        "workers": asdict(workers),
        "versions": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "machine": {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "cpus": os.cpu_count(),
            **_accelerator(),
        },
    }


def _arm(arm: Arm, evaluation: Artifact) -> dict[str, Any]:
    return {
        "evaluation": evaluation.info,
        "refreshes": [
            {"selection": refresh.selection.info, "reward_model": refresh.reward_model.info}
            for refresh in arm.refreshes
        ],
        "ppo": [row for segment in arm.segments for row in read_rows(segment.path / METRICS)],
        "stages": [segment.path.name for segment in arm.segments],
    }


def _accelerator() -> dict[str, Any]:
    import torch

    if not torch.cuda.is_available():
        return {"threads": torch.get_num_threads()}
    return {"gpu": torch.cuda.get_device_name(), "gpu_peak_memory_bytes": torch.cuda.max_memory_allocated()}


COLUMNS = ("arm", "win rate [95 %]", "judge", "KL", "tokens", "ended", "pairs", "RM held-out", "RM own test")
LEGEND = (
    ("win rate", "against vanilla, by the judge, over the evaluation prompts; ties count one half"),
    ("judge", "its mean score"),
    ("KL", "from SFT, nats a completion (k1)"),
    ("tokens", "mean length of a completion"),
    ("ended", "completions that came to their end (EOS); the others were cut off, and judged as they stood"),
    ("pairs", "what the arm's last reward model was trained on"),
    ("RM held-out", "its accuracy on unfiltered pairs that no training saw"),
    (
        "RM own test",
        "its accuracy on the test rows of its own selection. Believe the other one: the filter makes 'looks",
    ),
    ("", "like the policy' predict the label, and with init: current the base model was trained on these rows"),
)


def table(results: dict[str, Any]) -> list[tuple[str, ...]]:
    """One row for each arm, in the order of `COLUMNS`."""
    rows: list[tuple[str, ...]] = []
    for name, arm in results["arms"].items():
        evaluation, win = arm["evaluation"], arm["evaluation"]["win_rate"]
        model = arm["refreshes"][-1]["reward_model"] if arm["refreshes"] else results["base_reward"]
        rows.append(
            (
                name,
                "baseline" if win is None else f"{_percent(win['rate'])} {_interval(win['interval'])}",
                f"{evaluation['judge_score']:+.3f}",
                f"{evaluation['kl_sft_k1']:.2f}",
                f"{evaluation['response_tokens']:.1f}",
                _percent(evaluation["has_eos"]),
                str(model["training"]["pairs"]),
                f"{_percent(model['held_out']['accuracy'])} {_interval(model['held_out']['interval'])}",
                _percent(model["selected_test"]["accuracy"]) if "selected_test" in model else "–",
            )
        )
    return rows


def findings(results: dict[str, Any]) -> list[str]:
    """What the figures say, in plain words, and how much weight they bear."""
    compared = {
        name: arm["evaluation"]["win_rate"]
        for name, arm in results["arms"].items()
        if arm["evaluation"]["win_rate"] is not None
    }
    judge = results["judge"]["held_out"]
    better = [name for name, win in compared.items() if win["interval"][0] > 0.5]
    worse = [name for name, win in compared.items() if win["interval"][1] < 0.5]
    lines = []
    if compared:
        apart = [
            f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} {how} than vanilla"
            for names, how in ((better, "better"), (worse, "worse"))
            if names
        ]
        verdict = " and ".join(apart) or "no arm can be told from vanilla"
        lines.append(
            f"By the judge's 95 % intervals, {verdict}. With {len(compared)} comparisons and no true difference, about "
            f"{0.05 * len(compared):.1f} would stand apart by luck."
        )
    lines.append(
        f"The judge agrees with the labels of {_share(judge)} held-out pairs"
        + (
            "; a win rate says no more than its judge does."
            if judge["interval"][0] > 0.5
            else ", which is not above chance: these win rates say nothing about quality."
        )
    )
    base = results["base_reward"]["held_out"]
    if base["interval"][0] <= 0.5:
        lines.append(
            f"The reward model that all arms start with agrees with the labels of {_share(base)} held-out pairs, "
            "which is not above chance: there is little signal to realign."
        )
    prompts = results["data"]["evaluation_prompts"]
    if prompts["trained_on"]:
        lines.append(
            f"{prompts['trained_on']} of the {prompts['used']} evaluation prompts were also trained on; the win rates "
            "say less about others."
        )
    cut = results["arms"]["vanilla"]["evaluation"]["written_truncated"]
    if cut["prompts_truncated"]:
        lines.append(
            f"Of {cut['prompts_truncated']} of the {cut['sequences']} evaluation prompts the policies saw the end only "
            "(max_prompt_tokens). All counts of cut texts stand in results.json, stage by stage."
        )
    lines.append("One seed: repeat with other seeds before believing a difference.")
    for name, arm in results["arms"].items():
        for number, refresh in enumerate(arm["refreshes"], start=1):
            counts = refresh["selection"]["counts"]
            if counts["taken"] < counts["wanted"] and refresh["selection"]["strategy"] != "all":
                lines.append(
                    f"Arm {name}, refresh {number}: only {counts['taken']} of the {counts['wanted']} wanted pairs "
                    f"qualified; compare it with care."
                )
    return lines


def memory_line(results: dict[str, Any]) -> str:
    """What one process held at most, beside what was predicted."""
    stages = results["stages"]
    predicted = max(stage["predicted_peak_memory_bytes"] for stage in stages) / 2**30
    workers = results["workers"]["count"]
    where = f" in each of {workers} worker processes" if workers > 1 else ""
    return f"{results['peak_memory_bytes'] / 2**30:.1f} GiB at most{where} (predicted: {predicted:.1f})"


def _share(evaluation: dict[str, Any]) -> str:
    return f"{_percent(evaluation['accuracy'])} {_interval(evaluation['interval'])} of {evaluation['n']}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _interval(bounds: tuple[float, float] | list[float]) -> str:
    return f"[{100 * bounds[0]:.1f}, {100 * bounds[1]:.1f}]"
