"""A study of seconds: models of nothing, no embedder, and one point that fails; and made-up records of cells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from importlib import resources

import numpy as np
import pytest

from frft.config.syntax import parse_yaml
from frft.progress import SILENT, SilentProgress
from frft.results.cell import CellRecord
from frft.reward import AuditInfo, GateInfo, LabelsInfo, RefreshedModelSummary
from frft.statistics import OrderAccuracy
from frft.store import plain
from frft.study import load_study
from frft.study.runner import run_cells, to_do

from ..completed import completed

SMALL = [
    "seeds=1",
    "first_seed=0",
    "workers=1",
    "primary=oracle",
    "everywhere=[vanilla, random, oracle]",
    "arms.lost={selection: {strategy: policy_ratio, take: sample, size: 5000, test_size: 0}}",
    "points.centre.more_arms=[]",
    "points.broken={more_arms: [lost]}",
    "base.data.world.pool_size=400",
    "base.data.world.held_out_pairs=200",
    "base.data.world.demonstrations=64",
    "base.data.world.evaluation_prompts=24",
    "base.policy.scratch={vocab_size: 400, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2}",
    "base.policy.sft.num_train_epochs=1",
    "base.reward.normalise_samples=16",
    "base.reward.train.max_steps=2",
    "base.ppo={total_steps: 4, rollout_batch_size: 8, mini_batch_size: 8, num_ppo_epochs: 1}",
    "base.ppo.sampling.max_new_tokens=8",
    "base.refresh.max_steps=2",
    "base.refresh.alpha=1",
    "base.refresh.at_steps=[2]",
    "base.refresh.selection={size: 16, test_size: 4}",
    "base.evaluation={max_prompts: 24}",
]


@pytest.fixture(scope="session")
def small_overrides() -> list[str]:
    """What makes `averaging` small."""
    text = (resources.files("frft.study") / "averaging.yaml").read_text("utf-8")
    points = parse_yaml(text, "averaging")[0]["points"]
    return [*SMALL, *(f"points.{name}=null" for name in points if name != "centre")]


def typed(records: list[dict]) -> list[CellRecord]:
    """Records as a study reads them from its cells."""
    return [CellRecord.of(record, "a record") for record in records]


def labelled(record: dict, arm: str, asked: int, **more: float) -> dict:
    """A record in which an arm asked for so many fresh labels at each of its refreshes.

    Args:
        more: labels of an `audit`, which used a half of the pairs, then all, and of a `gate`; `right`, the share of the
            labels that is as gold says.
    """
    for number, refresh in enumerate(record["arms"][arm]["refreshes"]):
        refresh["labels"] = completed(LabelsInfo, {"drawn": {"questions": asked}, "train": asked}).as_dict()
        right = OrderAccuracy(more.get("right", 0.8), (0.0, 1.0), asked, 0, 0)
        refresh["labels_by_gold"] = plain(right)
        fresh = {"distinct": asked * (number + 1), "earlier": asked * number, "rows": 2 * asked * (number + 1)}
        model = {"training": {"pairs": 600, "steps": 64}, "fresh": fresh, "replayed": 100}
        refresh["reward_model"] = completed(RefreshedModelSummary, model).as_dict()
        if "audit" in more:
            audit = {"asked": more["audit"], "pairs": {"near": 200, "far": 200}, "used": 200 * (number + 1)}
            refresh["audit"] = completed(AuditInfo, audit).as_dict()
        if "gate" in more:
            refresh["gate"] = completed(GateInfo, {"labels": {"asked": more["gate"]}}).as_dict()
    return record


class Interrupting(SilentProgress):
    """Ctrl-C as soon as a first unit of work is done."""

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Interrupting]:
        yield self

    def advance(self, amount: int = 1, note: str = "") -> None:
        raise KeyboardInterrupt


@pytest.fixture(scope="session")
def small_study(small_overrides):
    return load_study("averaging", small_overrides)


@pytest.fixture(scope="session")
def interrupted_study(small_study, tmp_path_factory):
    """The folder of the small study, interrupted when its first cell was done."""
    out = tmp_path_factory.mktemp("studies") / "small"
    with pytest.raises(KeyboardInterrupt):
        run_cells(to_do(small_study, out), out, 1, Interrupting())
    return out, sorted(path.name for path in (out / "cells").iterdir())


@pytest.fixture(scope="session")
def finished_study(small_study, interrupted_study):
    """The folder and the results of the small study, run to its end."""
    from frft.study import run_study

    out = interrupted_study[0]
    return out, run_study(small_study, out, SILENT, command="frft study averaging")


@pytest.fixture(scope="session")
def averaging():
    return load_study("averaging")


@pytest.fixture(scope="session")
def make_record(averaging):
    """Makes the record of a cell in which every arm ends `gains[arm]` above vanilla, which has `gold`."""

    def make(point: str, seed: int, gains: dict[str, float], gold: float = 1.0, **more: float) -> dict:
        from frft.study.cell import settings

        cell = averaging.cell(point, seed)
        found = {
            "point": point,
            "seed": seed,
            "digest": "",
            "frft": "",
            "settings": settings(cell),
            "base_reward": {"training": {"pairs": 6000, "steps": 188}},
            "arms": {name: arm(gold + gain, name != "vanilla", **more) for name, gain in gains.items()},
            "seconds": 100.0,
        }
        return completed(CellRecord, found).as_dict()

    def arm(gold: float, refreshed: bool, own_test: float = 0.5, variance: float = 0.3, after: float = 0.65) -> dict:
        kl = np.linspace(0, 9, 16)
        refresh = {
            "near_share": 0.5,
            "drawn": {"distinct": 480, "effective": 450.0},
            "pairs_seen": 1240,
            "on_policy": {
                "before": {"accuracy": 0.55, "reward_variance": 0.2},
                "after": {"accuracy": after, "reward_variance": variance},
            },
            "reward_model": {"training": {"pairs": 600, "steps": 64}, "selected_test": {"accuracy": own_test}},
        }
        last = {**deepcopy(refresh), "near_share": 0.25}
        return {
            # Its mean from the middle on is `gold`.
            "steps": {
                "gold": (gold * kl / kl[len(kl) // 2 :].mean()).tolist(),
                "kl": kl.tolist(),
                "score": kl.tolist(),
            },
            "measured_from": 8,
            "refreshed_after": [8, 12] if refreshed else [],
            "evaluation": {
                "gold": {"mean": gold, "std": 1.0, "variance": 0.5},
                "win_rate": {"rate": 0.5 + gold / 100} if refreshed else None,
                "kl_sft_k1": 9.0,
                "on_policy": {"accuracy": 0.6},
                "off_policy": {"gold": {"accuracy": 0.7}, "labels": {"accuracy": 0.65}},
                "reward_variance": 0.4,
            },
            "refreshes": [refresh, last] if refreshed else [],
            "seconds": 20.0,
        }

    return make
