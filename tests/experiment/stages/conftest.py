"""A run on a few pairs, as a plan sees it."""

from __future__ import annotations

import json
from importlib import import_module

import pytest

from frft.config.model import RunConfig
from frft.experiment.plan import plan_run

PROCESS_BYTES = 500 * 2**20
SCRATCH = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 500}


@pytest.fixture
def held(tmp_path, monkeypatch):
    """By kind of stage: the bytes that it is planned to hold beside the process and what stays loaded in it."""
    plan = import_module("frft.experiment.plan")
    monkeypatch.setattr(plan, "flops_a_second", lambda threads: 1e9)
    monkeypatch.setattr(plan, "peak_memory", lambda: PROCESS_BYTES)
    rows = [{"prompt": f"What is {n}?", "chosen": f"{n} it is.", "rejected": "No."} for n in range(80)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def of(**settings) -> dict[str, int]:
        data = {"pairs": str(tmp_path / "pairs.jsonl")}
        arms = {"vanilla": {"alpha": 0}}
        config = RunConfig.model_validate({"data": data, "policy": {"scratch": SCRATCH}, "arms": arms, **settings})
        process = PROCESS_BYTES + plan.LIBRARIES_BYTES
        return {stage.name.split("-")[0]: stage.memory - process for stage in plan_run(config, tmp_path / "out")}

    return of
