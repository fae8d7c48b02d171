"""RLOO and GRPO by TRL in two processes (gloo, on the CPU) train as in one."""

from __future__ import annotations

import json

import pytest

from ..processes import run_python

SCRIPT = """
import json, sys, torch
from pathlib import Path
from torch import distributed
from frft.config.sections import GroupConfig, PPOConfig, SamplingConfig
from frft.models import load_causal_lm, load_tokenizer
from frft.policy.online import GroupTrainer
torch.set_num_threads(1)
folder, out = sys.argv[1:]
tokenizer = load_tokenizer(folder)
config = PPOConfig(total_steps=3, rollout_batch_size=8, mini_batch_size=8, learning_rate=1e-3, kl_coef=0.3,
                   sampling=SamplingConfig(max_new_tokens=8, max_prompt_tokens=32))
seen, rows, cut = [], [], []
def reward(prompts, completions):
    seen.append(len(prompts))
    return [sum(letter in "aeiou" for letter in text) / 5 for text in completions]
def on_step(metrics, rollout):
    rows.append([metrics, rollout.prompts, rollout.completions])
for algorithm in ("rloo", "grpo"):
    for begin in (0, 2):  # in two parts, the second from what the first saved
        policy, reference = (load_causal_lm(folder, tokenizer) for _ in range(2))
        trainer = GroupTrainer(algorithm, policy, reference, tokenizer, reward, ["Why?", "How do I bake?" * 9, "A."],
                               config, GroupConfig(num_generations=4), seed=3)
        state = Path(out) / algorithm
        if begin:
            trainer.restore(state)
        trainer.train(3 if begin else 2, on_step)
        cut.append(trainer.encoder.truncated.as_dict())
        trainer.save(Path(out) / f"{algorithm}-end" if begin else state)
if trainer.accelerator.is_main_process:
    json.dump({"rows": rows, "seen": seen, "cut": cut}, open(out + "/rows.json", "w"))
if distributed.is_initialized():
    distributed.barrier()
    distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_train_what_one_does(tiny_lm_folder, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    found = []
    for processes in (1, 2):
        out = tmp_path / str(processes)
        out.mkdir()
        done = run_python(script, tiny_lm_folder, out, folder=tmp_path / "said", processes=processes)
        assert done.returncode == 0, done.stderr[-3000:]
        found.append(json.loads((out / "rows.json").read_text()))
    one, two = found
    assert (one["seen"], two["seen"]) == ([8] * 6, [4] * 6)
    assert one["cut"] == two["cut"]
    assert [count["sequences"] for count in two["cut"]] == [16, 8] * 2
    assert two["cut"][0]["prompts_truncated"] > 0
    for (metrics, *texts), (others, *other_texts) in zip(one["rows"], two["rows"], strict=True):
        assert texts == other_texts
        for name in ("score", "kl_sft_k1", "kl_sft_k3", "reward", "entropy", "response_tokens"):
            assert metrics[name] == pytest.approx(others[name], rel=1e-3, abs=1e-5), name
