"""Where both sides of a comparison start: an SFT model and a reward model, trained once by frft."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.models import SHAPES, load_pairs, short_prompts
from frft.store import read_json, write_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PROMPT_TOKENS = 64
MAX_LENGTH = 128
HELD_OUT = 512
"""Prompts to evaluate on; no policy is trained on them by reinforcement."""
NORMALISE_ON = 256


def make_start(model: str, pairs: Path, folder: Path) -> dict[str, Any]:
    """Fill `folder` with `policy/` (the SFT model), `reward/` and `start.json`, unless that was done before.

    The settings are those of the preset hh-small. The reward model's scores have mean 0 and variance 1 on samples of
    the SFT model, by its weights alone, so that whoever loads the folder gets the same numbers.

    Returns:
        What start.json holds: the prompts (of at most 64 tokens) to train and to evaluate on, and the losses.
    """
    if (folder / "start.json").exists():
        return read_json(folder / "start.json")
    from frft.config.sections import RewardModelConfig, SamplingConfig, ScratchConfig, TrainConfig
    from frft.models import build_causal_lm, save_model, train_tokenizer
    from frft.policy import fine_tune, generate
    from frft.reward import RewardModel, train_reward_model

    shape, texts = SHAPES[model], load_pairs(pairs)
    scratch = ScratchConfig(
        vocab_size=shape.vocab_size,
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.num_hidden_layers,
        num_attention_heads=shape.num_attention_heads,
    )
    tokenizer = train_tokenizer(texts["prompt"] + texts["chosen"] + texts["rejected"], scratch)
    prompts = short_prompts(texts["prompt"], tokenizer, PROMPT_TOKENS)
    policy = build_causal_lm(scratch, tokenizer, seed=0)
    sft = TrainConfig(num_train_epochs=2, learning_rate=1e-3, max_length=MAX_LENGTH)
    bradley_terry = RewardModelConfig(train=TrainConfig(learning_rate=3e-4, max_length=MAX_LENGTH))
    with tempfile.TemporaryDirectory() as logs:
        learned = fine_tune(
            policy, tokenizer, texts["prompt"], texts["chosen"], sft, seed=0, workdir=Path(logs), whole_text=True
        )
        save_model(policy, tokenizer, folder / "policy")
        reward, report = train_reward_model(folder / "policy", texts, bradley_terry, seed=0, workdir=Path(logs))
    sampling = SamplingConfig(max_new_tokens=32, max_prompt_tokens=PROMPT_TOKENS)
    written = generate(policy, tokenizer, prompts[:NORMALISE_ON], sampling, seed=0)
    reward.normalise(written.prompts, written.completions)
    RewardModel(folded(reward.model, reward.gain, reward.bias), tokenizer, MAX_LENGTH).save(folder / "reward")
    # Every other one, so that both kinds of data (helpful, harmless) are in both.
    evaluation = prompts[1::2][:HELD_OUT]
    start = {
        "model": model,
        "prompts": sorted(set(prompts) - set(evaluation)),
        "evaluation": evaluation,
        "sft_loss": learned.losses[-1],
        "reward_loss": report.final_loss,
    }
    write_json(folder / "start.json", start)
    return start


def folded(classifier: PreTrainedModel, gain: float, bias: float) -> PreTrainedModel:
    """The GPT-2 classifier whose output is `gain` times this one's, plus `bias`; it has no bias to add that to."""
    head, norm = classifier.score.weight.data, classifier.transformer.ln_f.bias.data
    head.mul_(gain)
    norm.add_(bias * head[0] / head[0].square().sum())
    return classifier
