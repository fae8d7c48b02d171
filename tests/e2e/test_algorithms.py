"""Other algorithms, and models that would not fit, through the whole of `frft run`."""

from __future__ import annotations

import pytest

from frft.cli import main
from frft.models import load_causal_lm, load_tokenizer
from frft.store import read_json, read_rows

ARMS = ["arms.part1=null", "arms.random.kl_anchor=previous"]
"""Selection by embeddings knows nothing of algorithms."""
PAR = "arms.par={alpha: 0, reward_shaping: par}"
LESS_MEMORY = ["policy.lora={r: 2}", "ppo.bf16=true", "ppo.gradient_checkpointing=true"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        ["algorithm=rloo", PAR],
        ["algorithm=grpo", "policy.lora={r: 2}"],
        LESS_MEMORY,
        [*LESS_MEMORY, "ppo.critic=shared"],
    ],
    ids=["rloo", "grpo with adapters", "less memory", "least memory"],
)
def test_it_trains_from_data_to_results_and_is_planned_as_it_runs(
    pairs_file, settings_file, tmp_path, capsys, settings
):
    out = tmp_path / "run"
    command = ["run", str(settings_file), f"data.pairs={pairs_file}", *ARMS, *settings, "--out", str(out)]
    assert main([*command, "--dry-run"]) == 0
    plan = capsys.readouterr().out
    assert main(command) == 0
    assert ("have no effect on a run by grpo:" in capsys.readouterr().err) == ("algorithm=grpo" in settings)
    algorithm = settings[0].removeprefix("algorithm=") if "algorithm" in settings[0] else "ppo"
    results = read_json(out / "results.json")
    stages = {entry["stage"] for entry in results["stages"] if entry["kind"] == algorithm}
    # The segment that all arms share, and one for each; PAR has both for itself.
    assert len(stages) == 1 + 2 + 2 * (PAR in settings)
    assert all(stage in plan for stage in stages)
    for name, arm in results["arms"].items():
        assert [row["step"] for row in arm["ppo"]] == [1, 2, 3, 4]
        assert len(arm["refreshes"]) == (name not in ("vanilla", "par"))
        folder = out / "arms" / name / "policy"
        policy = load_causal_lm(folder, load_tokenizer(folder))
        assert not any("lora" in weight for weight, _ in policy.named_parameters())
        if name == "par":
            assert all(0 < row["score"] < 1 for row in arm["ppo"])
    rows = read_rows(out / "metrics.jsonl")
    assert {row["step"]: row["kl_sft_k3"] for row in rows if row["arm"] == "vanilla"}[4] > 1e-6
