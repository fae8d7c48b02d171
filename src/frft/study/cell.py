"""One cell of a study: all its arms trained, and what is kept of each when its stages are deleted."""

from __future__ import annotations

import math
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from frft import __version__
from frft.experiment.loop import Arm, arm_names, run_arm
from frft.experiment.prepare import NO_OUTCOME, prepare
from frft.experiment.segment import METRICS
from frft.experiment.stages import Stages, reference_samples
from frft.experiment.texts import score_by_step
from frft.progress import SILENT
from frft.reward import Refresh
from frft.store import Artifact, ArtifactStore, SharedStore, digest_of, read_json, read_rows, write_json
from frft.study.config import Cell

_KEPT_STAGE = "sft"
"""The kind of stage that cells of one seed share, as far as they change nothing that it depends on."""


def settings(cell: Cell) -> dict[str, Any]:
    """All that decides the outcome of a cell."""
    return cell.config.model_dump(exclude=NO_OUTCOME)


def digest(cell: Cell) -> str:
    """A digest of a cell's settings, and of the version that runs them."""
    return digest_of([__version__, settings(cell)])


def record_path(out: Path, cell: Cell) -> Path:
    """Where a finished cell lies."""
    return out / "cells" / f"{cell.name}.json"


def failure_path(out: Path, cell: Cell) -> Path:
    """Where a failed one lies."""
    return out / "cells" / f"{cell.name}.failed.json"


def read_record(out: Path, cell: Cell) -> dict[str, Any] | None:
    """What a finished cell found, or None."""
    path = record_path(out, cell)
    record: dict[str, Any] | None = read_json(path) if path.exists() else None
    return record


def do_cell(out: Path, cell: Cell, shared: SharedStore | None = None) -> str | None:
    """Run a cell and write what it found, or why it failed; returns the latter in a line.

    Stages lie in OUT/seeds/SEED; when the cell is done, those go that no other cell of the seed can use.
    """
    folder = out / "seeds" / str(cell.seed)
    failure = failure_path(out, cell)
    try:
        record = run_cell(cell, folder, shared)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other cells must go on, and it is shown
        reason = f"{type(error).__name__}: {error}"
        write_json(failure, {"cell": cell.name, "error": reason, "traceback": traceback.format_exc()})
        return reason
    write_json(record_path(out, cell), record)
    failure.unlink(missing_ok=True)
    for stage in (folder / "stages").iterdir():
        if stage.is_dir() and not stage.name.startswith((f"{_KEPT_STAGE}-", ".")):
            shutil.rmtree(stage)
    return None


def run_cell(cell: Cell, folder: Path, shared: SharedStore | None = None) -> dict[str, Any]:
    """Train all arms of a cell, and return what they did, JSON-able.

    Args:
        cell: which.
        folder: of its stages and embeddings; what is there already is used.
        shared: the store that it shares with others.
    """
    started = time.monotonic()
    store = ArtifactStore(folder / "stages", shared=shared)
    _, stages = prepare(cell.config, folder, store, SILENT, checks=False)
    names = arm_names(cell.config)
    arms = {name: run_arm(stages, name) for name in names}
    return {
        "point": cell.point,
        "seed": cell.seed,
        "digest": digest(cell),
        "frft": __version__,
        "settings": settings(cell),
        "base_reward": without_curve(stages.base_reward.info),
        # What can be seen before any reinforcement learning.
        "sft_samples": _sft_samples(stages),
        "arms": {name: _arm(stages, arms[name], arms[names[0]]) for name in names},
        "seconds": round(time.monotonic() - started, 1),
    }


def _sft_samples(stages: Stages) -> dict[str, list[str]]:
    samples = reference_samples(stages.context, stages.config.reward)
    prompts, completions = ([], []) if samples is None else samples.load()
    return {"prompt": list(prompts), "completion": list(completions)}


def _arm(stages: Stages, arm: Arm, baseline: Arm) -> dict[str, Any]:
    assert stages.context.world is not None
    steps = [row for segment in arm.segments for row in read_rows(segment.path / METRICS)]
    gold = [
        each for segment in arm.segments for each in score_by_step(stages.context.world.gold, segment.path).values()
    ]
    made: list[Artifact] = [*arm.segments, *(each.reward_model for each in arm.refreshes)]
    return {
        "steps": {
            "gold": gold,
            "kl": [row["kl_sft_k1"] for row in steps],
            "score": [row["score"] for row in steps],
        },
        # Until then refreshed arms are vanilla, and from then on arms that are never refreshed are compared with them.
        "measured_from": min(stages.config.refresh.refresh_steps(stages.config.ppo.total_steps), default=0),
        "refreshed_after": arm.refreshed_after,
        "stopped_after": arm.stopped_after,
        "looks": [look.info for look in arm.looks],
        "evaluation": stages.evaluation(arm.policy, baseline.policy, arm.reward).info,
        "refreshes": [
            _refresh(stages, refresh, *change) for refresh, change in zip(arm.refreshes, arm.changes, strict=True)
        ],
        "seconds": round(sum(each.seconds for each in made), 1),
    }


def _refresh(stages: Stages, refresh: Refresh, before: Artifact, after: Artifact) -> dict[str, Any]:
    """A refresh: the selection, how much of it the source near the policy wrote, and the reward model.

    `on_policy` is of the reward models before and after it, on what the policy wrote then.
    """
    assert stages.context.world is not None
    pool, train = stages.context.splits.pool, stages.config.reward.train
    source_of = dict(zip(pool["id"].to_pylist(), pool["chosen_source"].to_pylist(), strict=True))
    ids = refresh.read_selection().train_ids
    sources = [source_of.get(each) for each in ids]
    near = stages.context.world.sources.names[stages.context.world.config.near_policy]
    training = refresh.reward_model.info["training"]
    return {
        "selection": refresh.selection.info,
        "drawn": drawn(ids),
        "pairs_seen": pairs_seen(
            training["pairs"], training["steps"], train.per_device_train_batch_size * train.gradient_accumulation_steps
        ),
        "gate": None if refresh.gate is None else refresh.gate.info,
        "on_policy": {"before": before.info, "after": after.info},
        # Pairs that are not of the pool were written by the policy itself.
        "near_share": None if None in sources else sources.count(near) / len(sources),
        "reward_model": without_curve(refresh.reward_model.info),
    }


def drawn(ids: Sequence[str]) -> dict[str, float]:
    """How many distinct pairs were selected, and Kish's effective size (sum c)^2 / sum c^2 of their copies c."""
    copies = Counter(ids).values()
    return {"distinct": len(copies), "effective": len(ids) ** 2 / sum(count**2 for count in copies)}


def pairs_seen(pairs: int, steps: int, batch: int) -> int:
    """Pairs that went through a training of so many optimizer steps, repetitions included.

    The last batch of each pass holds what is left.
    """
    passes, rest = divmod(steps, math.ceil(pairs / batch))
    return passes * pairs + rest * batch


def without_curve(info: dict[str, Any]) -> dict[str, Any]:
    """What a reward model's stage says of itself, less the loss of every step."""
    return {**info, "training": {key: value for key, value in info["training"].items() if key != "losses"}}
