"""Steps of frft's PPO: seconds, samples and tokens a second, and the share of the arithmetic floor."""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from benchmarks.arithmetic import Lengths, peak_flops
from benchmarks.models import PAIRS, SHAPES, load_pairs, random_model, short_prompts
from benchmarks.results import machine, report

BATCH = 64
EPOCHS = 4
PROMPT_TOKENS = 64
COLUMNS = {
    "model": "{model}",
    "rollout, s": "{rollout_seconds:.2f}",
    "update, s": "{update_seconds:.2f}",
    "update, tokens/s": "{update_tokens_per_second:,.0f}",
    "share of its floor": "{update_floor_share:.0%}",
    "step, s": "{step_seconds:.2f}",
    "samples/s": "{samples_per_second:.1f}",
    "tokens/s": "{tokens_per_second:,.0f}",
    "share of the floor": "{step_floor_share:.0%}",
}


def main() -> None:
    """Measure, write results/step.*, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=SHAPES, default=["0.5M", "0.9M", "2.7M", "4.3M", "20M"])
    parser.add_argument("--steps", type=int, default=4, help="steps measured, after one that is not")
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=Path, default=PAIRS, help="preference data, for its prompts")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    rows = [measure(model, options.pairs, options.steps, options.new_tokens) for model in options.models]
    notes = [
        f"{machine()}; threads: {options.threads}. {BATCH} prompts of at most {PROMPT_TOKENS} tokens a step, "
        f"{options.new_tokens} new tokens, {EPOCHS} epochs, one mini-batch; policy, reference, critic and reward model "
        "of the same size. Tokens are the responses'; in an update each counts once for every epoch.",
        f"Medians of {options.steps} steps. Floor: the matrix products alone, at the rate measured beside each row.",
    ]
    report("step", notes, rows, COLUMNS)


def measure(name: str, pairs: Path, steps: int, new_tokens: int) -> dict[str, Any]:
    """One row: a model."""
    from transformers import GPT2ForSequenceClassification

    from frft.config.sections import PPOConfig, SamplingConfig, ScratchConfig
    from frft.models import seeded, train_tokenizer
    from frft.models.kernels import with_fast_kernels
    from frft.policy import Critic, PPOTrainer
    from frft.reward import RewardModel

    shape = SHAPES[name]
    texts = load_pairs(pairs)
    tokenizer = train_tokenizer(texts["chosen"], ScratchConfig())
    policy, reference = (with_fast_kernels(random_model(shape)) for _ in range(2))
    with seeded(0):
        policy.config.num_labels = 1
        classifier = with_fast_kernels(GPT2ForSequenceClassification(policy.config).eval())
    reward = RewardModel(classifier, tokenizer, 2 * (PROMPT_TOKENS + new_tokens))
    config = PPOConfig(
        total_steps=steps + 1,
        rollout_batch_size=BATCH,
        mini_batch_size=BATCH,
        num_ppo_epochs=EPOCHS,
        sampling=SamplingConfig(max_new_tokens=new_tokens, max_prompt_tokens=PROMPT_TOKENS),
    )
    critic, prompts = Critic.from_classifier(classifier), short_prompts(texts["prompt"], tokenizer, PROMPT_TOKENS)
    trainer = PPOTrainer(policy, critic, reference, tokenizer, reward, prompts, config, seed=0)
    trainer.step()
    measured = []
    for _ in range(steps):
        rollout, metrics = trainer.step()
        responses = rollout.mask_BT.sum(-1).tolist()
        lengths = [Lengths(len(ids), n) for ids, n in zip(rollout.prompt_ids, responses, strict=True)]
        peak = peak_flops()
        update, collect = metrics["seconds_update"], metrics["seconds_rollout"]
        measured.append(
            {
                "rollout_seconds": collect,
                "update_seconds": update,
                "update_tokens_per_second": EPOCHS * sum(responses) / update,
                "update_floor_share": shape.update_flops(lengths, EPOCHS) / peak / update,
                "step_seconds": collect + update,
                "samples_per_second": BATCH / (collect + update),
                "tokens_per_second": sum(responses) / (collect + update),
                "step_floor_share": shape.step_flops(lengths, EPOCHS) / peak / (collect + update),
            }
        )
    medians = {key: statistics.median(step[key] for step in measured) for key in measured[0]}
    return {"model": name, **medians, "steps": measured}


if __name__ == "__main__":
    main()
