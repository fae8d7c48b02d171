"""One cell of a study: all its arms trained, and what is kept of each when its stages are deleted."""

from __future__ import annotations

import math
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frft import __version__
from frft.experiment.loop import Arm, arm_names, run_arm
from frft.experiment.prepare import NO_OUTCOME, prepare
from frft.experiment.segment import METRICS
from frft.experiment.stages import Stages, reference_samples
from frft.experiment.texts import score_by_step
from frft.progress import SILENT
from frft.results import EvaluationInfo, LookInfo, ModelChange, OwnTextAccuracy, read_steps
from frft.results.cell import (
    CellArm,
    CellFailure,
    CellRecord,
    CellRefresh,
    DrawnPairs,
    SampleColumns,
    StepCurves,
)
from frft.reward import AuditInfo, LabelsInfo, Refresh, RefreshedModelInfo, RewardModelInfo, SelectionInfo
from frft.reward.refresh import read_pairs
from frft.statistics import OrderAccuracy, order_accuracy
from frft.store import Artifact, ArtifactStore, SharedStore, digest_of, write_sealed
from frft.study.config import Cell

if TYPE_CHECKING:
    import pyarrow as pa

    from frft.worlds import World

_KEPT_STAGE = "sft"
"""Kind of the stage that the cells of one seed share where nothing differs that it depends on."""


def settings(cell: Cell) -> dict[str, Any]:
    """The settings that decide the outcome of a cell, as JSON-able values."""
    return cell.config.model_dump(mode="json", exclude=NO_OUTCOME)


def digest(cell: Cell) -> str:
    """A digest of a cell's settings, and of the version that runs them."""
    return digest_of([__version__, settings(cell)])


def record_path(out: Path, cell: Cell) -> Path:
    """The file in which a finished cell's record is kept."""
    return out / "cells" / f"{cell.name}.json"


def failure_path(out: Path, cell: Cell) -> Path:
    """The file that says why a cell failed."""
    return out / "cells" / f"{cell.name}.failed.json"


def read_record(out: Path, cell: Cell) -> CellRecord | None:
    """The record of a finished cell; None where the cell is not finished."""
    path = record_path(out, cell)
    return CellRecord.read(path) if path.exists() else None


def do_cell(out: Path, cell: Cell, shared: SharedStore | None = None) -> str | None:
    """Run a cell and write its record, or why it failed.

    Stages lie in OUT/seeds/SEED; when the cell is done, those that no other cell of the seed can use are deleted.

    Returns:
        The failure in a line; None where the cell was finished.
    """
    folder = out / "seeds" / str(cell.seed)
    failure = failure_path(out, cell)
    try:
        record = run_cell(cell, folder, shared)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other cells must go on, and it is shown
        reason = f"{type(error).__name__}: {error}"
        write_sealed(failure, CellFailure(cell.name, reason, traceback.format_exc()).as_dict())
        return reason
    write_sealed(record_path(out, cell), record.as_dict())
    failure.unlink(missing_ok=True)
    for stage in (folder / "stages").iterdir():
        if stage.is_dir() and not stage.name.startswith((f"{_KEPT_STAGE}-", ".")):
            shutil.rmtree(stage)
    return None


def run_cell(cell: Cell, folder: Path, shared: SharedStore | None = None) -> CellRecord:
    """Train all arms of a cell, and return what they did.

    Args:
        cell: the point and the seed to run.
        folder: where its stages and embeddings lie; those that are there already are used.
        shared: the store in which runs share stages; None: there is none.
    """
    started = time.monotonic()
    store = ArtifactStore(folder / "stages", shared=shared)
    _, stages = prepare(cell.config, folder, store, SILENT, checks=False)
    names = arm_names(cell.config)
    arms = {name: run_arm(stages, name) for name in names}
    return CellRecord(
        point=cell.point,
        seed=cell.seed,
        digest=digest(cell),
        frft=__version__,
        settings=settings(cell),
        base_reward=stages.base_reward.info_as(RewardModelInfo).summary,
        sft_samples=_sft_samples(stages),
        arms={name: _arm(stages, arms[name], arms[names[0]]) for name in names},
        seconds=round(time.monotonic() - started, 1),
    )


def _sft_samples(stages: Stages) -> SampleColumns:
    samples = reference_samples(stages.context, stages.config.reward)
    prompts, completions = ([], []) if samples is None else samples.load()
    return SampleColumns(list(prompts), list(completions))


def _arm(stages: Stages, arm: Arm, baseline: Arm) -> CellArm:
    assert stages.context.world is not None
    steps = [row for segment in arm.segments for row in read_steps(segment.path / METRICS)]
    gold = [
        each for segment in arm.segments for each in score_by_step(stages.context.world.gold, segment.path).values()
    ]
    made: list[Artifact] = [*arm.segments, *(each.reward_model for each in arm.refreshes)]
    return CellArm(
        steps=StepCurves(gold, [row.kl_sft_k1 for row in steps], [row.score for row in steps]),
        # Until then refreshed arms are vanilla, and from then on arms that are never refreshed are compared with them.
        measured_from=min(stages.config.refresh.refresh_steps(stages.config.ppo.total_steps), default=0),
        refreshed_after=arm.refreshed_after,
        stopped_after=arm.stopped_after,
        looks=[look.info_as(LookInfo) for look in arm.looks],
        evaluation=stages.evaluation(arm.policy, baseline.policy, arm.reward).info_as(EvaluationInfo),
        refreshes=[
            _refresh(stages, refresh, *change) for refresh, change in zip(arm.refreshes, arm.changes, strict=True)
        ],
        seconds=round(sum(each.seconds for each in made), 1),
    )


def _refresh(stages: Stages, refresh: Refresh, before: Artifact, after: Artifact) -> CellRefresh:
    """The record of one refresh.

    Its `near_share` is the share of the selected pairs whose chosen completion is of the source near which the policy
    starts, its `domain_share` that of pairs on prompts of the policy's domains.
    """
    world, pool, train = stages.context.world, stages.context.splits.pool, stages.config.reward.train
    assert world is not None
    ids = refresh.read_selection().train_ids
    near = world.sources.names[world.config.near_policy]
    domains = [name for name, share in zip(world.domains, world.policy_shares, strict=True) if share > 0]
    model = refresh.reward_model.info_as(RefreshedModelInfo)
    batch = train.per_device_train_batch_size * train.gradient_accumulation_steps
    return CellRefresh(
        selection=refresh.selection.info_as(SelectionInfo),
        drawn=drawn(ids),
        pairs_seen=pairs_seen(model.training.pairs, model.training.steps, batch),
        labels=None if refresh.labels is None else refresh.labels.info_as(LabelsInfo),
        labels_by_gold=None if refresh.labels is None else labels_by_gold(world, read_pairs(refresh.labels)),
        audit=None if refresh.audit is None else refresh.audit.info_as(AuditInfo),
        gate=refresh.verdict,
        on_policy=ModelChange(before.info_as(OwnTextAccuracy), after.info_as(OwnTextAccuracy)),
        near_share=_share(ids, pool, "chosen_source", [near]),
        domain_share=_share(ids, pool, "domain", domains) if len(world.domains) > 1 else None,
        reward_model=model.summary,
    )


def labels_by_gold(world: World, labelled: pa.Table) -> OrderAccuracy:
    """How often the labels of N pairs, chosen and rejected, are as the gold reward of a world says."""
    prompts = labelled["prompt"].to_pylist()
    chosen, rejected = (world.gold(prompts, labelled[side].to_pylist()) for side in ("chosen", "rejected"))
    return order_accuracy([1.0] * len(prompts), chosen - rejected, prompts)


def _share(ids: Sequence[str], pool: pa.Table, column: str, values: Sequence[str]) -> float | None:
    """The share of selected pairs with one of these values in a column of the pool.

    None where pairs are not of the pool, because the policy itself wrote them, or where there are none.
    """
    value_of = dict(zip(pool["id"].to_pylist(), pool[column].to_pylist(), strict=True))
    found = [value_of.get(each) for each in ids]
    return None if None in found or not found else sum(value in values for value in found) / len(found)


def drawn(ids: Sequence[str]) -> DrawnPairs:
    """How many distinct pairs were selected, and Kish's effective size (sum c)^2 / sum c^2 of their copies c."""
    copies = Counter(ids).values()
    if not copies:
        return DrawnPairs(0, 0.0)
    return DrawnPairs(len(copies), len(ids) ** 2 / sum(count**2 for count in copies))


def pairs_seen(pairs: int, steps: int, batch: int) -> int:
    """Pairs that go through `steps` optimizer steps of `batch` pairs each, repetitions included.

    The last batch of each pass over the `pairs` pairs may be smaller than the others.
    """
    # `rest` steps of an unfinished pass are full batches: only the last step of a pass can be smaller.
    passes, rest = divmod(steps, math.ceil(pairs / batch))
    return passes * pairs + rest * batch
