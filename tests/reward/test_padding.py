"""Tokenizers without a padding token: the vocabulary does not grow, and a head reads at the end of the text."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from frft.reward import RewardModel, train_reward_model


@pytest.fixture
def without_padding(tiny_lm_folder, tmp_path):
    folder = tmp_path / "lm"
    shutil.copytree(tiny_lm_folder, folder)
    for name in ("tokenizer_config.json", "config.json", "generation_config.json"):
        settings = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({k: v for k, v in settings.items() if not k.startswith("pad_token")}))
    return folder


@pytest.fixture
def long_training(reward_training):
    """With room for the whole of every text."""
    return reward_training.model_copy(update={"train": reward_training.train.model_copy(update={"max_length": 96})})


def by_hand(model, tokenizer, prompt, completion):
    """The output of Transformers' own classifier for one text, of which it reads the last token: EOS."""
    ids = [*tokenizer(prompt)["input_ids"], *tokenizer(completion)["input_ids"], tokenizer.eos_token_id]
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits.item()


def test_what_is_trained_reads_the_end_of_each_text_in_every_batch_and_elsewhere(
    without_padding, pool, long_training, tmp_path
):
    model, _ = train_reward_model(without_padding, pool, long_training, seed=0, workdir=tmp_path / "logs")
    assert model.model.config.vocab_size == 320
    assert model.model.config.pad_token_id is None
    prompts, completions = pool["prompt"].to_pylist()[:6], ["a", "a b", *pool["chosen"].to_pylist()[2:6]]
    together = model.raw_scores(prompts, completions)
    assert together == pytest.approx(model.raw_scores(prompts, completions, batch_size=1), abs=1e-5)
    model.save(tmp_path / "saved")
    elsewhere = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    own = [by_hand(elsewhere, model.tokenizer, *texts) for texts in zip(prompts, completions, strict=True)]
    assert together == pytest.approx(own, abs=1e-5)
    assert RewardModel.load(tmp_path / "saved", seed=0).raw_scores(prompts, completions).tolist() == together.tolist()


def test_training_sees_the_tokens_that_scoring_reads(without_padding, pool, long_training, tmp_path):
    """The loss of the first step, of texts of several lengths, is that of the scores before training."""
    start = RewardModel.load(without_padding, seed=0, max_length=96)
    one_step = long_training.model_copy(
        update={"train": long_training.train.model_copy(update={"max_steps": 1, "per_device_train_batch_size": 36})}
    )
    _, report = train_reward_model(start, pool, one_step, seed=0, workdir=tmp_path)
    chosen, rejected = (
        torch.tensor(start.raw_scores(pool["prompt"].to_pylist(), pool[side].to_pylist()))
        for side in ("chosen", "rejected")
    )
    assert report.losses[0] == pytest.approx(-torch.nn.functional.logsigmoid(chosen - rejected).mean().item(), abs=1e-4)


def test_padding_that_a_model_names_is_kept(tiny_lm_folder, tmp_path):
    """A model whose configuration calls EOS padding reads at the token before it, in its own forward pass and here."""
    model = RewardModel.load(tiny_lm_folder, seed=0, max_length=96)
    eos = model.tokenizer.eos_token_id
    model.model.config.pad_token_id = eos
    model.save(tmp_path)
    for name in ("reward.json", "manifest.json"):
        (tmp_path / name).unlink()
    loaded = RewardModel.load(tmp_path, seed=0, max_length=96)
    elsewhere = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    prompts, completions = ["Why?", "How do I bake bread?"], ["So.", "Mix flour."]
    own = [by_hand(elsewhere, loaded.tokenizer, *texts) for texts in zip(prompts, completions, strict=True)]
    assert loaded.raw_scores(prompts, completions) == pytest.approx(own, abs=1e-6)
