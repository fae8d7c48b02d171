"""Two processes (gloo, on the CPU) train like one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ...processes import run_python

SCRIPT = """
import json, sys
from accelerate import Accelerator
from frft.config.sections import PPOConfig, SamplingConfig
from frft.models import load_causal_lm, load_tokenizer
from frft.policy import Critic, PPOTrainer

folder, out, changes = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
accelerator = Accelerator(cpu=True)
tokenizer = load_tokenizer(folder)
policy, reference = (load_causal_lm(folder, tokenizer) for _ in range(2))
settings = dict(total_steps=4, rollout_batch_size=8, mini_batch_size=4, forward_batch_tokens=100, num_ppo_epochs=2,
                learning_rate=1e-3, critic_learning_rate=1e-3, kl_target=0.05, kl_horizon=20,
                sampling=SamplingConfig(max_new_tokens=8, max_prompt_tokens=32))
config = PPOConfig.model_validate(settings | changes)
asked = []

def reward(prompts, completions):
    asked.append(len(prompts))
    return [sum(letter in "aeiou" for letter in text) / 5 for text in completions]

prompts = ["Why?", "How do I bake bread?", "Name a color, please.", "What now?", "x"]
trainer = PPOTrainer(policy, Critic.from_causal_lm(policy), reference, tokenizer, reward, prompts, config, seed=3,
                     accelerator=accelerator)
curve = []
trainer.train(3, lambda metrics, rollout: curve.append({**metrics, "completions": rollout.completions}))
trainer.save(__import__("pathlib").Path(out) / "state")
trainer.save_policy(__import__("pathlib").Path(out) / "policy")
result = {"curve": curve, "asked": asked, "processes": accelerator.num_processes, "beta": trainer.kl.coef}
with open(f"{out}/rank-{accelerator.process_index}.json", "w") as file:
    json.dump(result, file)
accelerator.end_training()
"""


@pytest.fixture
def launch(tiny_lm_folder, tmp_path):
    """Start the script in so many processes; returns its folder and the completed process."""

    def start(processes: int, **changes):
        out = tmp_path / f"{processes}-processes"
        out.mkdir()
        script = tmp_path / "script.py"
        script.write_text(SCRIPT)
        given = (script, tiny_lm_folder, out, json.dumps(changes))
        environment = {"ACCELERATE_USE_CPU": "true"}
        return out, run_python(*given, folder=tmp_path / "said", processes=processes, env=environment)

    return start


def read(out: Path):
    from safetensors.torch import load_file

    ranks = [json.loads(path.read_text()) for path in sorted(out.glob("rank-*.json"))]
    return ranks, load_file(out / "state" / "trained.safetensors")


@pytest.mark.slow
def test_two_processes_give_the_same_curve_as_one(launch):
    (one, first), (two, second) = launch(1), launch(2)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    (alone,), weights = read(one)
    ranks, shared_weights = read(two)
    assert [rank["processes"] for rank in ranks] == [2, 2]
    assert alone["asked"] == [8] * 3
    assert [rank["asked"] for rank in ranks] == [[4] * 3] * 2
    for rank in ranks:
        assert rank["beta"] == pytest.approx(alone["beta"], rel=1e-5)
        for own, expected in zip(rank["curve"], alone["curve"], strict=True):
            assert own["completions"] == expected["completions"]
            for name in expected.keys() - {"completions", "seconds_rollout", "seconds_update", "tokens_per_second"}:
                assert own[name] == pytest.approx(expected[name], rel=1e-3, abs=1e-5), name
    assert weights.keys() == shared_weights.keys()
    for name, weight in weights.items():
        assert torch.allclose(weight, shared_weights[name], atol=1e-4), name


@pytest.mark.slow
def test_batches_that_two_processes_cannot_share_are_refused(launch):
    _, finished = launch(2, mini_batch_size=3)
    assert finished.returncode != 0
    assert "ppo.mini_batch_size (3) cannot be divided evenly among 2 processes" in finished.stderr
